#![no_main]

use oc_mirror_fuzz::host::ARCHIVES;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ARCHIVES.run(data));
