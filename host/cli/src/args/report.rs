//! What `oc-mirror report` takes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::{BucketArgs, NetworkArgs, VerifyArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
-o takes a form, which is printed, or a file, whose name says the form:
  html       FILE.html       a page to hand over, which needs nothing else: contents, sizes, signatures, what was blocked
  json       FILE.json       what is known of each image, and what belongs to what
  spdx       FILE.spdx.json  SPDX 2.3
  cyclonedx  FILE.cdx.json   CycloneDX 1.6

Only the index in the first chunk of an imageset is needed. Images that the newest imageset names and does not describe
are known by the imagesets before it, which have to be there too. With SOURCE_DATE_EPOCH, equal imagesets make equal
reports.")]
pub(crate) struct ReportArgs {
    /// Imagesets: a directory, one of their chunks, file://DIR or s3://BUCKET[/PREFIX]
    #[arg(value_name = "WHAT")]
    pub what: String,

    /// What to make: html, json, spdx or cyclonedx, or a file whose name ends in .html, .json, .spdx.json or .cdx.json
    #[arg(short, long, value_name = "FORM|FILE", default_value = "json")]
    pub output: ReportOutput,

    /// Take the keys of the workspace in this directory [default: beside the imagesets]
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    #[command(flatten)]
    pub verify: VerifyArgs,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub bucket: BucketArgs,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportForm {
    Html,
    Json,
    Spdx,
    Cyclonedx,
}

impl ReportForm {
    /// Each form with its word and how names of files with it end. An ending that is the end of another one comes after it.
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Html, "html", ".html"),
        (Self::Spdx, "spdx", ".spdx.json"),
        (Self::Cyclonedx, "cyclonedx", ".cdx.json"),
        (Self::Json, "json", ".json"),
    ];
}

/// What to make, and the file to write it to instead of printing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportOutput {
    pub form: ReportForm,
    pub file: Option<PathBuf>,
}

impl FromStr for ReportOutput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((form, ..)) = ReportForm::ALL.iter().find(|(_, word, _)| *word == text) {
            return Ok(Self { form: *form, file: None });
        }
        let name = text.to_ascii_lowercase();
        if let Some((form, ..)) = ReportForm::ALL.iter().find(|(.., ending)| name.ends_with(ending)) {
            return Ok(Self { form: *form, file: Some(PathBuf::from(text)) });
        }
        let list = |of: fn(&(ReportForm, &'static str, &'static str)) -> &'static str| {
            ReportForm::ALL.iter().map(of).collect::<Vec<_>>().join(", ")
        };
        Err(format!(
            "it is neither a form ({}) nor a file whose name ends in one of {}",
            list(|(_, word, _)| word),
            list(|(.., ending)| ending)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_endings_say_the_form() {
        let of = |text: &str| text.parse::<ReportOutput>();
        let file = |form, name: &str| Ok(ReportOutput { form, file: Some(PathBuf::from(name)) });
        assert_eq!(of("spdx"), Ok(ReportOutput { form: ReportForm::Spdx, file: None }));
        assert_eq!(of("out/a.spdx.json"), file(ReportForm::Spdx, "out/a.spdx.json"));
        assert_eq!(of("a.cdx.json"), file(ReportForm::Cyclonedx, "a.cdx.json"));
        assert_eq!(of("a.html"), file(ReportForm::Html, "a.html"));
        assert_eq!(of("A.JSON"), file(ReportForm::Json, "A.JSON"));
        assert!(of("a.txt").is_err_and(|error| error.contains(".spdx.json")));
    }
}
