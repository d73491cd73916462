#![no_main]

use oc_mirror_fuzz::guests::TEMPLATE;

libfuzzer_sys::fuzz_target!(|data: &[u8]| TEMPLATE.run(data));
