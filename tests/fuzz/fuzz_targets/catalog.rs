#![no_main]

use oc_mirror_fuzz::host::CATALOG;

libfuzzer_sys::fuzz_target!(|data: &[u8]| CATALOG.run(data));
