#![no_main]

use oc_mirror_fuzz::host::MANIFEST;

libfuzzer_sys::fuzz_target!(|data: &[u8]| MANIFEST.run(data));
