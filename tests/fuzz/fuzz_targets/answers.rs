#![no_main]

use oc_mirror_fuzz::host::ANSWERS;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ANSWERS.run(data));
