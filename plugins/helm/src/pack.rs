//! [`pack`]: an archive of a chart's directory, the same bytes on every machine.

use oc_mirror_chart::{Chart, ChartError, File, Ignored};

/// Leaves out what `.helmignore` says.
pub(crate) fn kept(files: Vec<File>) -> Vec<File> {
    let rules = files.iter().find(|file| file.path == ".helmignore").map(File::text);
    let rules = Ignored::parse(&rules.unwrap_or_default());
    files.into_iter().filter(|file| !rules.covers(&file.path)).collect()
}

/// Packs a chart's files as `helm package` names them, with the files sorted and without times and owners.
pub(crate) fn pack(chart: &Chart, files: &[File]) -> Result<Vec<u8>, ChartError> {
    let failed = |error: std::io::Error| ChartError::Archive(error.to_string());
    let mut sorted: Vec<&File> = files.iter().collect();
    sorted.sort_by(|a, b| (a.path != "Chart.yaml", &a.path).cmp(&(b.path != "Chart.yaml", &b.path)));
    let gzip = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::default());
    let mut tar = tar::Builder::new(gzip);
    for file in sorted {
        let mut header = tar::Header::new_ustar();
        header.set_size(file.data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        let path = format!("{}/{}", chart.name(), file.path);
        tar.append_data(&mut header, path, file.data.as_slice()).map_err(failed)?;
    }
    tar.into_inner().and_then(|gzip| gzip.finish()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_the_chart() {
        let files = vec![
            File::new("templates/a.yaml", b"a: 1".to_vec()),
            File::new("notes.tmp", b"x".to_vec()),
            File::new("Chart.yaml", b"name: a\nversion: 1.0.0\n".to_vec()),
            File::new(".helmignore", b"*.tmp\n".to_vec()),
        ];
        let files = kept(files);
        let chart = Chart::from_files(files.clone()).expect("a chart");
        let archive = pack(&chart, &files).expect("packed");
        let again: Vec<_> = oc_mirror_chart::archive::unpack(&archive)
            .expect("an archive")
            .into_iter()
            .map(|file| file.path)
            .collect();
        assert_eq!(again, ["Chart.yaml", ".helmignore", "templates/a.yaml"]);
        assert_eq!(archive, pack(&chart, &files).expect("packed"));
    }
}
