#![no_main]

use oc_mirror_fuzz::host::SIGNATURES;

libfuzzer_sys::fuzz_target!(|data: &[u8]| SIGNATURES.run(data));
