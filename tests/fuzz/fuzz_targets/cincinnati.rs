#![no_main]

use oc_mirror_fuzz::guests::CINCINNATI;

libfuzzer_sys::fuzz_target!(|data: &[u8]| CINCINNATI.run(data));
