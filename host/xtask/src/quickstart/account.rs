//! What the quickstart tells in the end, from the reports the program wrote and nothing else.

use std::fmt::Write as _;

use serde_json::Value;

/// One run of the program.
pub(super) struct Run {
    command: String,
    report: Value,
}

impl Run {
    /// Remembers a command line and its report.
    pub(super) fn new(args: &[&str], report: Value) -> Self {
        Self { command: format!("oc-mirror {}", args.join(" ")), report }
    }

    fn list(&self, key: &str) -> &[Value] {
        self.report[key].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn total(&self, key: &str) -> u64 {
        self.report["totals"][key].as_u64().unwrap_or(0)
    }

    fn publishes(&self) -> bool {
        self.report["workflow"] == "diskToMirror"
    }
}

/// Returns the account of all runs.
pub(super) fn tell(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n$ {}", run.command);
        for imageset in run.list("imagesets") {
            text.push_str(&tell_imageset(imageset));
        }
        if run.publishes() {
            text.push_str(&tell_publishing(run));
        } else {
            tell_images(run, &mut text);
        }
    }
    text
}

fn tell_imageset(imageset: &Value) -> String {
    let number = |key: &str| imageset[key].as_u64().unwrap_or(0);
    let outcome = imageset["outcome"].as_str().unwrap_or("done");
    let chunks = imageset["chunks"].as_array().map_or(0, Vec::len);
    let files = if chunks == 1 { "file" } else { "files" };
    let mut text = format!("  imageset {}: {outcome}", number("sequence"));
    let _ = write!(text, ", {} in {chunks} {files}", size(number("bytes")));
    if number("savedBytes") > 0 {
        let _ = write!(text, "; {} saved, which earlier imagesets hold", size(number("savedBytes")));
    }
    text.push('\n');
    text
}

fn tell_images(run: &Run, text: &mut String) {
    for image in run.list("images") {
        let number = |key: &str| image[key].as_u64().unwrap_or(0);
        let name = image["origin"].as_str().unwrap_or_default();
        let (new, total) = (size(number("newBytes")), size(number("totalBytes")));
        let _ = writeln!(text, "    {name}: {new} of {total} are new");
    }
    for refused in run.list("refused") {
        let part = |key: &str| refused[key].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "    {}: blocked by `{}` ({}): {}",
            part("origin"),
            part("policy"),
            part("code"),
            part("message")
        );
    }
}

fn tell_publishing(run: &Run) -> String {
    format!(
        "  {} blobs sent ({}), {} mounted from another repository, {} there already, {} manifests\n",
        run.total("blobs"),
        size(run.total("blobBytes")),
        run.total("mountedBlobs"),
        run.total("skippedBlobs"),
        run.total("manifests")
    )
}

/// Returns a size as people read it.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tells_both_directions() {
        let made = Run::new(
            &["file://out"],
            json!({
                "workflow": "mirrorToDisk",
                "imagesets": [{ "sequence": 2, "outcome": "made", "chunks": ["a"], "bytes": 2048, "savedBytes": 5 << 20 }],
                "images": [{ "origin": "h/a:v1", "newBytes": 10, "totalBytes": 2048 }],
                "refused": [{ "origin": "h/b:v1", "policy": "block", "code": "base-image", "message": "built on h/c" }],
            }),
        );
        let published = Run::new(
            &["--from", "file://out", "docker://h"],
            json!({
                "workflow": "diskToMirror",
                "imagesets": [{ "sequence": 1, "outcome": "published", "chunks": ["a", "b"], "bytes": 1 }],
                "totals": { "blobs": 3, "blobBytes": 1536, "mountedBlobs": 1, "manifests": 4 },
            }),
        );
        assert_eq!(
            tell(&[made, published]),
            "\n$ oc-mirror file://out\n  \
             imageset 2: made, 2.0 KiB in 1 file; 5.0 MiB saved, which earlier imagesets hold\n    \
             h/a:v1: 10 B of 2.0 KiB are new\n    \
             h/b:v1: blocked by `block` (base-image): built on h/c\n\
             \n$ oc-mirror --from file://out docker://h\n  \
             imageset 1: published, 1 B in 2 files\n  \
             3 blobs sent (1.5 KiB), 1 mounted from another repository, 0 there already, 4 manifests\n"
        );
    }
}
