//! Prints what `helm template --include-crds` prints for the archive of a chart, to compare the two:
//! `cargo run -p oc-mirror-chart --example template -- app-1.0.0.tgz [values.yaml]…`

use std::process::ExitCode;

use oc_mirror_chart::{Chart, Options, merge_files, render, template_output};

fn main() -> ExitCode {
    match run() {
        Ok(text) => {
            #[expect(clippy::print_stdout, reason = "it is what this is for")]
            {
                print!("{text}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "it is what this is for")]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, Box<dyn std::error::Error>> {
    let mut paths = std::env::args().skip(1);
    let archive = paths.next().ok_or("the archive of a chart is not named")?;
    let chart = Chart::from_archive(&std::fs::read(archive)?)?;
    let mut values = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        values.push((path, text));
    }
    let values = merge_files(values.iter().map(|(path, text)| (path.as_str(), text.as_str())))?;
    Ok(template_output(&render(&chart, &values, &Options::default())?))
}
