#![no_main]

use oc_mirror_fuzz::host::IMAGESET;

libfuzzer_sys::fuzz_target!(|data: &[u8]| IMAGESET.run(data));
