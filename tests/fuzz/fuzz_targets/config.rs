#![no_main]

use oc_mirror_fuzz::host::CONFIG;

libfuzzer_sys::fuzz_target!(|data: &[u8]| CONFIG.run(data));
