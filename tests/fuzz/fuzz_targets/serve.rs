#![no_main]

use oc_mirror_fuzz::host::SERVE;

libfuzzer_sys::fuzz_target!(|data: &[u8]| SERVE.run(data));
