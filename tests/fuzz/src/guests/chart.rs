//! Charts: archives stay in their directory, and rendering stays within its budget.

use std::io::Write;

use oc_mirror_chart::archive::{self, File};
use oc_mirror_chart::{Chart, Options, merge_files, missing, render, template_output};
use oc_mirror_go_template::{Limits, Map};

use crate::target::{Input, Target};

/// Archives of Helm charts, packed or to be packed, and the files in them.
pub const CHART: Target = Target { name: "chart", longest: 64 << 10, memory: 256 << 20, check };

const NAMES: [&str; 7] = [
    "Chart.yaml",
    "values.yaml",
    "templates/a.yaml",
    "templates/_b.tpl",
    "values.schema.json",
    ".helmignore",
    "crds/c.yaml",
];

fn check(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 3 {
        0 => unpacked(input.0),
        1 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(input.0).expect("in memory");
            unpacked(&gzip.finish().expect("in memory"));
        }
        _ => {
            let parts: Vec<&[u8]> = NAMES.iter().map(|_| input.part()).collect();
            let files = NAMES.iter().zip(parts).filter(|(_, part)| !part.is_empty());
            let files = files.map(|(name, part)| File::new(*name, part.to_vec())).collect();
            if let Ok(chart) = Chart::from_files(files) {
                rendered(&chart);
            }
        }
    }
}

fn unpacked(bytes: &[u8]) {
    let Ok(files) = archive::unpack(bytes) else { return };
    assert!(!files.is_empty() && files.len() <= archive::MAX_FILES);
    let mut sum = 0;
    for File { path, data } in &files {
        assert!(
            path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\\'),
            "{path}"
        );
        assert!(data.len() as u64 <= archive::MAX_FILE);
        sum += data.len() as u64;
    }
    assert!(sum <= archive::MAX_BYTES);
    if let Ok(chart) = Chart::from_files(files) {
        rendered(&chart);
    }
}

fn rendered(chart: &Chart) {
    let _ = (missing(chart), chart.name(), chart.crds());
    let limits = Limits { steps: 20_000, bytes: 1 << 20, depth: 50 };
    let options = Options { limits, any_kube_version: true, ..Options::default() };
    let once = render(chart, &Map::default(), &options).map(|rendered| template_output(&rendered));
    let again = render(chart, &Map::default(), &options).map(|rendered| template_output(&rendered));
    assert_eq!(once, again, "the same chart makes the same text");
    let _ = merge_files([("a", "a: {b: 1}"), ("b", "a: null")]);
}
