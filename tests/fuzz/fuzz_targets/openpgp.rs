#![no_main]

use oc_mirror_fuzz::host::OPENPGP;

libfuzzer_sys::fuzz_target!(|data: &[u8]| OPENPGP.run(data));
