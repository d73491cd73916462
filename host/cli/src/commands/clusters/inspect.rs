//! `oc-mirror clusters inspect`: reads what clusters run.

use oc_mirror_clusters::inspect::{self, Include};
use oc_mirror_clusters::{ClusterError, Endpoint};
use oc_mirror_model::clusters::{ClusterInventory, InspectedCluster, UnreadCluster};
use oc_mirror_model::report::exit;
use tokio::task::JoinSet;

use crate::args::{ClusterArgs, IncludeWhat, InspectArgs};
use crate::error::CliError;
use crate::{cluster_access, output};

/// Reads clusters, and writes the file.
pub(super) async fn inspect(args: &InspectArgs) -> Result<u8, CliError> {
    let include = Include {
        names: args.include.contains(&IncludeWhat::Names),
        addresses: args.include.contains(&IncludeWhat::Addresses),
        ids: args.include.contains(&IncludeWhat::Ids),
    };
    let found = gather(&args.clusters, include).await?;
    let count = (found.clusters.len(), found.unread.len());
    let text = found.to_yaml();
    match &args.output {
        Some(path) => {
            super::write(path, &text, "the file")?;
            output::status(&format!("{}: {}", path.display(), written(count)));
        }
        None => {
            output::line(text.trim_end());
            output::status(&written(count));
        }
    }
    output::status(&content(include));
    Ok(if count.1 == 0 { exit::OK } else { exit::CLUSTER })
}

/// Reads clusters side by side. What keeps one from being read is shown, and does not keep the others.
pub(crate) async fn gather(args: &ClusterArgs, include: Include) -> Result<ClusterInventory, CliError> {
    let endpoints = cluster_access::locate(args)?;
    let names: Vec<(String, String)> = endpoints
        .iter()
        .zip(1_usize..)
        .map(|(endpoint, number)| {
            let called = match include.names {
                true => endpoint.name().to_owned(),
                false => format!("cluster-{number}"),
            };
            (called, endpoint.name().to_owned())
        })
        .collect();
    let mut reading = JoinSet::new();
    for (place, endpoint) in endpoints.into_iter().enumerate() {
        let called = names[place].0.clone();
        reading.spawn(async move { (place, read(&endpoint, &called, include).await) });
    }
    let mut outcomes: Vec<Option<Result<InspectedCluster, ClusterError>>> =
        names.iter().map(|_| None).collect();
    while let Some(done) = reading.join_next().await {
        let (place, outcome) =
            done.map_err(|error| CliError::caused("a cluster could not be read", &error))?;
        outcomes[place] = Some(outcome);
    }
    let (mut clusters, mut unread) = (Vec::new(), Vec::new());
    for ((called, context), outcome) in names.into_iter().zip(outcomes.into_iter().flatten()) {
        match outcome {
            Ok(cluster) => {
                if called != context {
                    output::status(&format!("{called} is the cluster of context `{context}`"));
                }
                clusters.push(cluster);
            }
            Err(error) => {
                let reason = inspect::unread_reason(&error);
                output::error(&CliError::from(error));
                if called != context {
                    output::status(&format!("{called} would have been the cluster of context `{context}`"));
                }
                unread.push(UnreadCluster { name: called, reason });
            }
        }
    }
    Ok(ClusterInventory::new(clusters, unread))
}

async fn read(endpoint: &Endpoint, called: &str, include: Include) -> Result<InspectedCluster, ClusterError> {
    let cluster = endpoint.connect().await?;
    inspect::inspect(&cluster, called, include).await
}

fn written((read, unread): (usize, usize)) -> String {
    let clusters = if read == 1 { "1 cluster".to_owned() } else { format!("{read} clusters") };
    match unread {
        0 => clusters,
        unread => format!("{clusters}; {unread} could not be read, and the file says which"),
    }
}

/// Says what leaves the site with the file.
fn content(include: Include) -> String {
    let more = [
        (include.names, "names of clusters, namespaces and objects"),
        (include.addresses, "addresses of registries and update services"),
        (include.ids, "the identities of clusters"),
    ];
    let list = |wanted: bool| {
        let of = more.iter().filter(|(is_in, _)| *is_in == wanted).map(|(_, what)| *what);
        of.collect::<Vec<_>>().join(", ")
    };
    let mut text =
        "it holds versions, channels, architectures, operators and the paths of catalogs".to_owned();
    let (there, not_there) = (list(true), list(false));
    if !there.is_empty() {
        text.push_str(&format!("; and {there}"));
    }
    if !not_there.is_empty() {
        text.push_str(&format!("; not {not_there}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_is_carried_out() {
        let base = "it holds versions, channels, architectures, operators and the paths of catalogs";
        assert_eq!(
            content(Include::default()),
            format!(
                "{base}; not names of clusters, namespaces and objects, addresses of registries and update services, \
                 the identities of clusters"
            )
        );
        let some = Include { names: true, addresses: true, ids: false };
        assert_eq!(
            content(some),
            format!(
                "{base}; and names of clusters, namespaces and objects, addresses of registries and update services; \
                 not the identities of clusters"
            )
        );
    }
}
