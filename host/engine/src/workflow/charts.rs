//! Charts that came along with images, put where people look for them: `charts/` in the workspace.
//!
//! Archives of the predecessors have their charts put there too. A chart that a later sequence has no more is left: who
//! installed it may need it to go back.

use oc_mirror_model::report::RunReport;

use super::prepare::Prepared;
use super::{WorkflowError, WorkflowErrorKind, Workspace};
use crate::archive::Reader;

/// Where charts are, in the workspace and among the files of an imageset.
pub(super) const CHARTS: &str = "charts";

/// Puts the charts of an imageset into the workspace.
pub(super) async fn unpack(
    workspace: &Workspace,
    reader: &Reader,
    report: &mut RunReport,
) -> Result<(), WorkflowError> {
    let mut count = 0;
    for entry in reader.files() {
        let Some(file) = entry.file() else { continue };
        let path = file.strip_prefix("files/").unwrap_or_default();
        if let Some(name) = name_of(path) {
            workspace.write(&format!("{CHARTS}/{name}"), &reader.file(file).await?)?;
            count += 1;
        }
    }
    tell(workspace, count, report);
    Ok(())
}

/// Puts the charts that sources of a run have found into the workspace.
pub(super) fn keep(
    workspace: &Workspace,
    prepared: &Prepared,
    report: &mut RunReport,
) -> Result<(), WorkflowError> {
    let mut count = 0;
    for artifact in &prepared.artifacts {
        if let Some(name) = name_of(&artifact.path) {
            let bytes = std::fs::read(&artifact.file).map_err(|source| WorkflowErrorKind::Workspace {
                path: artifact.file.display().to_string(),
                source,
            })?;
            workspace.write(&format!("{CHARTS}/{name}"), &bytes)?;
            count += 1;
        }
    }
    tell(workspace, count, report);
    Ok(())
}

/// Says where they are.
pub(super) fn tell(workspace: &Workspace, count: usize, report: &mut RunReport) {
    let note = format!("charts are in `{}`", workspace.dir().join(CHARTS).display());
    if count > 0 && !report.notes.contains(&note) {
        report.notes.push(note);
    }
}

/// Returns the name of a chart's file, if the path is that of one. Anything deeper is no chart of ours.
fn name_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix(CHARTS)?.strip_prefix('/')?;
    if name.contains('/') || !name.ends_with(".tgz") { None } else { Some(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("charts/app-1.0.0.tgz", Some("app-1.0.0.tgz"))]
    #[case("charts/a/app-1.0.0.tgz", None)]
    #[case("charts/readme", None)]
    #[case("chartsx/app.tgz", None)]
    #[case("update-graphs/x.tgz", None)]
    fn only_charts(#[case] path: &str, #[case] name: Option<&str>) {
        assert_eq!(name_of(path), name);
    }
}
