#![no_main]

use oc_mirror_fuzz::guests::CHART;

libfuzzer_sys::fuzz_target!(|data: &[u8]| CHART.run(data));
