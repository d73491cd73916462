#![no_main]

use oc_mirror_fuzz::host::REFERENCE;

libfuzzer_sys::fuzz_target!(|data: &[u8]| REFERENCE.run(data));
