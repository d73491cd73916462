#![no_main]

use oc_mirror_fuzz::host::RECORDS;

libfuzzer_sys::fuzz_target!(|data: &[u8]| RECORDS.run(data));
