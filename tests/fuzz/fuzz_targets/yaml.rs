#![no_main]

use oc_mirror_fuzz::guests::YAML;

libfuzzer_sys::fuzz_target!(|data: &[u8]| YAML.run(data));
