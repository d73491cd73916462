#![no_main]

use oc_mirror_fuzz::host::TAR;

libfuzzer_sys::fuzz_target!(|data: &[u8]| TAR.run(data));
