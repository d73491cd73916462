#![no_main]

use oc_mirror_fuzz::host::REGISTRIES_CONF;

libfuzzer_sys::fuzz_target!(|data: &[u8]| REGISTRIES_CONF.run(data));
