#![no_main]

use oc_mirror_fuzz::host::POLICY;

libfuzzer_sys::fuzz_target!(|data: &[u8]| POLICY.run(data));
