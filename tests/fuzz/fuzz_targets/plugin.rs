#![no_main]

use oc_mirror_fuzz::host::PLUGIN;

libfuzzer_sys::fuzz_target!(|data: &[u8]| PLUGIN.run(data));
