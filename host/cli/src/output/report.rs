//! What became of a run, for people.

use oc_mirror_model::deletion::{DeletedImage, DeletionReport, Outcome};
use oc_mirror_model::forecast::{Amount, Forecast};
use oc_mirror_model::report::{ContentReport, RunReport, TargetReport, Totals, Workflow};

use super::{clean, columns, line, size};

/// The result in one line. A run with failures has made or recorded nothing, and must not read as if it had.
fn headline(report: &RunReport) -> String {
    let failed = report.failures.len();
    if failed > 0 {
        let outcome = match report.workflow {
            Workflow::MirrorToDisk => "no imageset was made",
            _ if report.targets.iter().any(|target| target.failures.is_empty()) => {
                "the sequence was not completed at every target"
            }
            Workflow::DiskToMirror | Workflow::MirrorToMirror => "the sequence was not completed",
        };
        let failures = if failed == 1 { "1 failure".to_owned() } else { format!("{failed} failures") };
        return format!("{outcome}: {failures}");
    }
    let verb = match report.workflow {
        Workflow::MirrorToDisk => "mirrored to disk",
        Workflow::DiskToMirror => "published",
        Workflow::MirrorToMirror => "mirrored",
    };
    let verb = if report.dry_run { format!("would be {verb}") } else { verb.to_owned() };
    let total: u64 = report.images.iter().map(|i| i.total_bytes).sum();
    let images = match report.images.len() {
        1 => "1 image".to_owned(),
        count => format!("{count} images"),
    };
    format!("{images}, {} in all, {verb}", size(total))
}

/// Prints the result of a run for people.
pub(crate) fn report(report: &RunReport) {
    line(&headline(report));
    contents(&report.contents).iter().for_each(|text| line(text));
    for set in &report.imagesets {
        if set.outcome == "nothing new" {
            match set.sequence {
                0 => line("no imageset was made: nothing is left to mirror"),
                last => line(&format!("nothing new since sequence {last}")),
            }
            continue;
        }
        let base = if set.base == 0 { String::new() } else { format!(" since {}", set.base) };
        let files = if set.chunks.is_empty() { String::new() } else { format!(", {}", set.chunks.join(" ")) };
        let saved = match set.saved_bytes {
            0 => String::new(),
            bytes => format!(", {} not carried again", size(bytes)),
        };
        let bytes = if set.bytes == 0 { String::new() } else { format!(", {}", size(set.bytes)) };
        line(&format!("sequence {}{base}: {}{bytes}{saved}{files}", set.sequence, set.outcome));
    }
    for target in &report.targets {
        line(&target_line(target));
    }
    for registry in &report.registries {
        // What keeps to the specification needs no mention.
        if !["generic", "docker-registry"].contains(&registry.profile.as_str()) {
            line(&format!(
                "registry {}: {}, {}",
                clean(&registry.registry),
                registry.profile,
                registry.because
            ));
        }
    }
    if let Some(expected) = &report.forecast {
        forecast(expected, report.workflow).iter().for_each(|text| line(text));
    }
    let totals = &report.totals;
    let sent = report.workflow != Workflow::MirrorToDisk && !report.dry_run;
    if sent && *totals != Totals::default() {
        line(&format!(
            "blobs: {} sent ({}), {} mounted, {} in place, {} fetched from the target; {} manifests",
            totals.blobs,
            size(totals.blob_bytes),
            totals.mounted_blobs,
            totals.skipped_blobs,
            totals.refetched_blobs,
            totals.manifests
        ));
    }
    let companions: u64 = report.images.iter().map(|i| i.companions).sum();
    if companions > 0 {
        line(&format!("signatures and other referrers: {companions}{}", unsigned(report)));
    }
    let mirrored = report.images.iter().filter(|i| i.found_at.is_some()).count();
    if mirrored > 0 {
        line(&format!("read from mirrors: {mirrored} of {} images", report.images.len()));
    }
    for image in report.refused.iter().take(MOST_NAMED) {
        // Most policies name the image themselves.
        let named = image.message.contains(&image.origin);
        let subject = if named { String::new() } else { format!("{}: ", clean(&image.origin)) };
        line(&format!("refused: {subject}{} ({}, {})", clean(&image.message), image.policy, image.code));
    }
    more(report.refused.len(), "refused");
    if let Some(pruned) = &report.pruned {
        deletion(pruned);
    }
    for (what, texts) in [("note", &report.notes), ("warning", &report.warnings)] {
        texts.iter().take(MOST_NAMED).for_each(|text| line(&format!("{what}: {}", clean(text))));
        more(texts.len(), what);
    }
}

/// Says what a run would move, need and ask for.
fn forecast(forecast: &Forecast, workflow: Workflow) -> Vec<String> {
    let amount = |amount: &Amount| match amount.blobs {
        1 => format!("1 blob, {}", size(amount.bytes)),
        count => format!("{count} blobs, {}", size(amount.bytes)),
    };
    let mut rows: Vec<(&str, String)> = Vec::new();
    if workflow != Workflow::DiskToMirror {
        let from: Vec<String> = forecast
            .fetch_from
            .iter()
            .take(MOST_NAMED)
            .map(|(place, part)| format!("{} {}", clean(place), size(part.bytes)))
            .collect();
        let from = if from.is_empty() { String::new() } else { format!(" ({})", from.join(", ")) };
        rows.push(("to fetch", format!("{}{from}", amount(&forecast.fetch))));
        if forecast.at_hand.blobs > 0 {
            rows.push(("at hand", amount(&forecast.at_hand)));
        }
    }
    if workflow == Workflow::MirrorToDisk {
        rows.push(("already shipped", amount(&forecast.shipped)));
    } else {
        rows.push(("to send", amount(&forecast.send)));
        rows.push(("at the target", amount(&forecast.at_target)));
    }
    for blocked in &forecast.blocked {
        let images = match blocked.images {
            1 => "1 image".to_owned(),
            count => format!("{count} images"),
        };
        rows.push(("blocked", format!("{images} by {} ({})", blocked.policy, blocked.code)));
    }
    match forecast.chunks.as_slice() {
        [] => {}
        [only] => rows.push(("chunks", format!("1 of {}", size(*only)))),
        several => {
            let largest = several.iter().max().copied().unwrap_or_default();
            rows.push(("chunks", format!("{}, the largest of {}", several.len(), size(largest))));
        }
    }
    for room in &forecast.space {
        let free = format!("{} needed in {}, {} free", size(room.needed), room.path, size(room.available));
        rows.push(("space", free));
    }
    let requests: Vec<String> = forecast
        .requests
        .iter()
        .take(MOST_NAMED)
        .map(|(registry, count)| format!("{} {count}", clean(registry)))
        .collect();
    if !requests.is_empty() {
        rows.push(("requests", requests.join(", ")));
    }
    rows.into_iter().map(|(name, text)| format!("{name}: {text}")).collect()
}

/// Says how many others there are of what is shown in part.
fn more(count: usize, what: &str) {
    if count > MOST_NAMED {
        line(&format!("{what}: {} more; {REST}", count - MOST_NAMED));
    }
}

/// Lists what the images are of, if that is more than one thing.
fn contents(groups: &[ContentReport]) -> Vec<String> {
    if groups.len() < 2 {
        return Vec::new();
    }
    // The same operator may be in two catalogs.
    let title = |group: &ContentReport| {
        let is_twice = |other: &&ContentReport| other.kind == group.kind && other.name == group.name;
        let catalog = match group.catalog.rsplit('/').next() {
            Some(catalog) if groups.iter().filter(is_twice).count() > 1 => format!(" of {catalog}"),
            _ => String::new(),
        };
        let name = if group.name.is_empty() { "images".to_owned() } else { group.name.clone() };
        format!("{} {name}{catalog}", group.kind)
    };
    let mut order: Vec<&ContentReport> = groups.iter().collect();
    // Of many, those that make the most difference are shown.
    if order.len() > MOST_NAMED {
        order.sort_by_key(|group| std::cmp::Reverse((group.new_bytes, group.total_bytes)));
    }
    let (shown, others) = order.split_at(order.len().min(MOST_NAMED));
    let row = |title: String, group: &ContentReport| {
        let count = if group.images == 1 { "1 image".to_owned() } else { format!("{} images", group.images) };
        let new = match group.new_bytes {
            0 => "nothing new".to_owned(),
            bytes if bytes == group.total_bytes => "all new".to_owned(),
            bytes => format!("{} new", size(bytes)),
        };
        vec![format!("  {title}"), count, size(group.total_bytes), new]
    };
    let mut rows: Vec<Vec<String>> = shown.iter().map(|group| row(title(group), group)).collect();
    if !others.is_empty() {
        let sum = |of: fn(&ContentReport) -> u64| others.iter().map(|group| of(group)).sum();
        let all = ContentReport {
            images: sum(|group| group.images),
            new_bytes: sum(|group| group.new_bytes),
            total_bytes: sum(|group| group.total_bytes),
            ..ContentReport::default()
        };
        rows.push(row(format!("{} others", others.len()), &all));
    }
    columns(rows).lines().map(str::to_owned).collect()
}

/// What became of one target of several.
fn target_line(target: &TargetReport) -> String {
    let outcomes = target.imagesets.iter().map(|set| format!("sequence {} {}", set.sequence, set.outcome));
    let failed = match target.failures.len() {
        0 => None,
        1 => Some("1 failure".to_owned()),
        count => Some(format!("{count} failures")),
    };
    let sent = (target.totals.blobs > 0)
        .then(|| format!("{} blobs sent ({})", target.totals.blobs, size(target.totals.blob_bytes)));
    let parts: Vec<String> = outcomes.chain(sent).chain(failed).collect();
    let parts = if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") };
    format!("{}: {parts}", clean(&target.target))
}

/// So many lines of a kind leave room for the others on a screen.
pub(super) const MOST_NAMED: usize = 20;
/// Where the rest of a run's is.
pub(super) const REST: &str = "results/result.json in the workspace names all";

/// Prints what became of images that were to be deleted.
pub(crate) fn deletion(report: &DeletionReport) {
    let would = if report.dry_run { "would be " } else { "" };
    for image in &report.images {
        match image.outcome {
            Outcome::Deleted if report.dry_run => {
                line(&format!("{} would be deleted", clean(&image.reference)));
                image.manifests.iter().for_each(|manifest| line(&format!("  {manifest}")));
            }
            Outcome::Untagged if report.dry_run => {
                line(&format!("{} would lose its tag", clean(&image.reference)))
            }
            _ => {}
        }
    }
    let stay = report.images.iter().filter(|image| match image.outcome {
        Outcome::TagStays | Outcome::Untagged | Outcome::Forgotten => true,
        // What was refused is told as an error.
        Outcome::Kept => report.failures.iter().all(|failure| failure.subject != image.reference),
        _ => false,
    });
    let stay: Vec<&DeletedImage> = stay.collect();
    for image in stay.iter().take(MOST_NAMED) {
        let what = match image.outcome {
            Outcome::TagStays => "the tag stays, since the registry removes no tags: ",
            Outcome::Untagged | Outcome::Forgotten => "the manifest stays: ",
            _ => "stays: ",
        };
        line(&format!("{}: {what}{}", clean(&image.reference), clean(&image.reason)));
    }
    if stay.len() > MOST_NAMED {
        line(&format!("and {} more; -o json names all", stay.len() - MOST_NAMED));
    }
    let manifests = if report.manifests == 1 {
        "1 manifest".to_owned()
    } else {
        format!("{} manifests", report.manifests)
    };
    let images = match report.count(Outcome::Deleted) {
        1 => "1 image".to_owned(),
        count => format!("{count} images"),
    };
    let frees = if report.dry_run { "which would free" } else { "which frees" };
    line(&format!("{images} {would}deleted, {manifests}, {frees} {}", size(report.freed_bytes)));
    let counts = [
        (Outcome::Untagged, "removed from the record and untagged; their manifests stay"),
        (Outcome::TagStays, "removed from the record; their tags stay"),
        (Outcome::Forgotten, "removed from the record only"),
        (Outcome::NotThere, "not there any more"),
        (Outcome::Kept, "left alone"),
        (Outcome::Failed, "failed"),
    ];
    for (outcome, words) in counts {
        match report.count(outcome) {
            0 => {}
            count => line(&format!("{count} {words}")),
        }
    }
    for warning in &report.warnings {
        line(&format!("warning: {}", clean(warning)));
    }
    if report.manifests > 0 && !report.dry_run {
        line("note: the space is free once the registry has collected its garbage; start that there");
    }
}

/// How many images have no signature, where that is known.
fn unsigned(report: &RunReport) -> String {
    match report.unsigned.len() {
        0 => String::new(),
        1 => "; 1 image has none".to_owned(),
        count => format!("; {count} images have none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_run_does_not_read_like_a_success() {
        let mut report = RunReport::new(Workflow::MirrorToDisk, false);
        assert_eq!(headline(&report), "0 images, 0 B in all, mirrored to disk");
        let failure = oc_mirror_model::report::Failure {
            subject: "x".to_owned(),
            kind: String::new(),
            message: "gone".to_owned(),
            hint: None,
            exit_code: 8,
        };
        report.failures.push(failure);
        assert_eq!(headline(&report), "no imageset was made: 1 failure");
    }

    fn group(kind: &str, name: &str, images: u64, new_bytes: u64) -> ContentReport {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        ContentReport { kind, name, images, new_bytes, total_bytes: 3 << 20, ..ContentReport::default() }
    }

    #[test]
    fn what_images_are_of_is_told_where_it_is_more_than_one_thing() {
        let one = |catalog: &str, new| ContentReport {
            catalog: catalog.to_owned(),
            ..group("operator", "loki-operator", 12, new)
        };
        let groups = [
            group("release", "4.20.1 amd64", 193, 3 << 20),
            one("r.io/red/index:v4.20", 1 << 20),
            one("r.io/other/community:v4.20", 0),
            group("additional", "", 1, 3 << 20),
        ];
        let expected = [
            "  release 4.20.1 amd64                       193 images  3.0 MiB  all new",
            "  operator loki-operator of index:v4.20      12 images   3.0 MiB  1.0 MiB new",
            "  operator loki-operator of community:v4.20  12 images   3.0 MiB  nothing new",
            "  additional images                          1 image     3.0 MiB  all new",
        ];
        assert_eq!(contents(&groups), expected);
        assert!(contents(&groups[..1]).is_empty());
    }

    #[test]
    fn what_would_be_done_is_told() {
        let expected = Forecast {
            fetch: Amount { blobs: 2, bytes: 3 << 20 },
            fetch_from: [("quay.io".to_owned(), Amount { blobs: 2, bytes: 3 << 20 })].into(),
            shipped: Amount { blobs: 1, bytes: 10 },
            blocked: vec![oc_mirror_model::forecast::Blocked {
                policy: "block".to_owned(),
                code: "block.name".to_owned(),
                images: 3,
            }],
            chunks: vec![1 << 20, 2 << 20],
            requests: [("quay.io".to_owned(), 14)].into(),
            ..Forecast::default()
        };
        let lines = [
            "to fetch: 2 blobs, 3.0 MiB (quay.io 3.0 MiB)",
            "already shipped: 1 blob, 10 B",
            "blocked: 3 images by block (block.name)",
            "chunks: 2, the largest of 2.0 MiB",
            "requests: quay.io 14",
        ];
        assert_eq!(forecast(&expected, Workflow::MirrorToDisk), lines);
        let sent = forecast(&expected, Workflow::DiskToMirror);
        assert_eq!(&sent[..2], ["to send: 0 blobs, 0 B", "at the target: 0 blobs, 0 B"]);
    }

    #[test]
    fn thousands_of_images_fit_on_a_screen() {
        let groups: Vec<ContentReport> =
            (0..300).map(|n| group("operator", &format!("operator-{n:03}"), 7, n << 10)).collect();
        let lines = contents(&groups);
        assert_eq!(lines.len(), MOST_NAMED + 1);
        assert!(lines[0].starts_with("  operator operator-299  7 images     3.0 MiB"), "{lines:#?}");
        assert_eq!(lines[MOST_NAMED], "  280 others             1960 images  840.0 MiB  38.1 MiB new");
    }
}
