#![no_main]

use oc_mirror_fuzz::host::LAYER;

libfuzzer_sys::fuzz_target!(|data: &[u8]| LAYER.run(data));
