//! `oc-mirror describe`.

use std::sync::Arc;

use oc_mirror_engine::report::Silence;
use oc_mirror_engine::workflow::describing::describe_imagesets;
use oc_mirror_model::describe::{Description, Sum};
use oc_mirror_model::report::exit;

use super::check::{What, explained, plural, settings, signatures};
use crate::args::{DescribeArgs, Format};
use crate::error::CliError;
use crate::output::{self, clean, size, table};
use crate::{keys, network};

/// Prints what imagesets hold.
pub(crate) fn run(args: &DescribeArgs) -> Result<u8, CliError> {
    let what = What::parse(&args.what)?;
    let trusted = keys::trusted(&args.verify, what.workspace(args.workspace.as_deref())?.as_deref())?;
    let run = settings(5, None, Arc::new(Silence))?;
    let network = network::open(&args.network, &run)?;
    let from = what.imagesets(&args.bucket, &args.network, &network)?.ok_or_else(|| {
        CliError::new("what was published is no imageset")
            .hint("name the imagesets; `oc-mirror check` looks into a target")
    })?;
    let found =
        super::runtime()?.block_on(async { describe_imagesets(&from, &trusted).await }).map_err(explained)?;
    match args.output {
        Format::Text => found.iter().for_each(print),
        format => output::data(format, &found)?,
    }
    Ok(exit::OK)
}

fn print(found: &Description) {
    let builds = match found.base {
        0 => "complete in itself".to_owned(),
        base => format!("builds on sequence {base}"),
    };
    output::line(&format!("imageset {} of chain {}, {builds}", found.sequence, found.uid));
    output::line(&format!(
        "  made {} by {}, format {}",
        clean(&found.created),
        clean(&found.created_by),
        found.format
    ));
    output::line(&format!("  identity {}", found.index));
    if let Some(previous) = &found.previous {
        output::line(&format!("  follows {previous}"));
    }
    output::line(&format!(
        "  {}",
        signatures(&found.signed_by, &found.verified).unwrap_or_else(|| "not signed".to_owned())
    ));
    if found.required.count > 0 {
        let sequences: Vec<String> = found.required.sequences.iter().map(ToString::to_string).collect();
        output::line(&format!(
            "  requires {} of {} from sequence {}",
            plural(found.required.count, "blob"),
            size(found.required.bytes),
            sequences.join(", ")
        ));
    }
    if !found.unchanged.is_empty() {
        let images = plural(found.unchanged.len(), "image");
        output::line(&format!("  requires {images} that earlier imagesets brought, unchanged"));
    }
    output::line("");
    let chunks = found.chunks.iter().map(|chunk| {
        let state = chunk.fault.as_deref().unwrap_or("there");
        vec![chunk.name.clone(), size(chunk.bytes), state.to_owned()]
    });
    indented(&table(&["CHUNK", "SIZE", "STATE"], chunks.collect()));
    let mut rows: Vec<Vec<String>> =
        found.content.iter().map(|group| row(clean(&group.name), &group.sum)).collect();
    rows.push(plain("files", found.files.count, found.files.bytes));
    rows.push(plain("metadata", 0, found.metadata_bytes));
    if found.unchanged.is_empty() {
        rows.push(row("all images".to_owned(), &found.total));
    } else {
        rows.push(row("described".to_owned(), &found.total));
        let count = found.unchanged.len().to_string();
        rows.push(["as they were", count.as_str(), "-", "0 B", "-"].map(str::to_owned).to_vec());
    }
    indented(&table(&["CONTENT", "IMAGES", "SIZE", "NEW HERE", "SHARED"], rows));
    let operators: Vec<Vec<String>> = found
        .catalogs
        .iter()
        .flat_map(|catalog| {
            let of_package = |package: &oc_mirror_model::describe::Package| {
                row(format!("  {} ({})", clean(&package.package), package.bundles.join(", ")), &package.sum)
            };
            let own = row(clean(&catalog.catalog), &catalog.sum);
            std::iter::once(own).chain(catalog.packages.iter().map(of_package)).collect::<Vec<_>>()
        })
        .collect();
    if !operators.is_empty() {
        indented(&table(&["CATALOG AND OPERATORS", "IMAGES", "SIZE", "NEW HERE", "SHARED"], operators));
    }
    let images = found.images.iter().map(|image| {
        vec![
            clean(&image.name),
            image.kind.clone(),
            image.digest.to_string(),
            size(image.bytes),
            size(image.new_bytes),
        ]
    });
    let unchanged = found.unchanged.iter().map(|image| {
        [clean(&image.name).as_str(), &image.kind, "as it was", "-", "0 B"].map(str::to_owned).to_vec()
    });
    indented(&table(&["IMAGE", "KIND", "DIGEST", "SIZE", "NEW HERE"], images.chain(unchanged).collect()));
    if found.total.new_bytes == 0 {
        output::line("  Nothing of any image is new in it.");
    }
    if !found.unchanged.is_empty() {
        output::line(
            "  What is as it was is described by earlier imagesets; a target knows it by its record.",
        );
    }
    for image in &found.quarantined {
        output::line(&format!("  quarantined: {}: {}", clean(&image.origin), clean(&image.reason)));
    }
    for refused in &found.refused {
        output::line(&format!("  refused: {}: {}", clean(&refused.origin), clean(&refused.message)));
    }
    let policies = found.policies.iter().map(|policy| {
        let counts = [policy.asked, policy.allowed, policy.warned, policy.denied, policy.failed];
        let name = format!("{} ({} {})", policy.policy, policy.id, policy.version);
        std::iter::once(name).chain(counts.map(|count| count.to_string())).collect()
    });
    let policies: Vec<Vec<String>> = policies.collect();
    if !policies.is_empty() {
        indented(&table(&["POLICY", "ASKED", "ALLOWED", "WARNED", "DENIED", "FAILED"], policies));
    }
    for finding in found.policies.iter().flat_map(|policy| &policy.findings) {
        // What kept an image out is told above.
        let told = |image: &&String| found.refused.iter().all(|refused| refused.origin != **image);
        for image in finding.images.iter().filter(told) {
            output::line(&format!(
                "  passed: {}: {} ({})",
                clean(image),
                clean(&finding.message),
                finding.code
            ));
        }
    }
    output::line(
        "  SIZE is of all that is needed, NEW HERE of what of it is in these chunks, SHARED of what of that others need too.",
    );
    output::line("  In each row every blob is counted once; what is shared is in every row that needs it.");
}

fn row(name: String, sum: &Sum) -> Vec<String> {
    vec![name, sum.images.to_string(), size(sum.bytes), size(sum.new_bytes), size(sum.shared_bytes)]
}

fn plain(name: &str, count: usize, bytes: u64) -> Vec<String> {
    let name = if count > 0 { format!("{name} ({count})") } else { name.to_owned() };
    vec![name, "-".to_owned(), size(bytes), size(bytes), "-".to_owned()]
}

fn indented(table: &str) {
    table.lines().for_each(|line| output::line(&format!("  {line}")));
    output::line("");
}
