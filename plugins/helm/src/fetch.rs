//! Where charts come from: repositories on the web, registries, and what the host has read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oc_mirror_chart::archive::MAX_BYTES;
use oc_mirror_chart::{Chart, File};
use oc_mirror_go_template::Version;
use oc_mirror_plugin_sdk::host::http::{self, Request};
use oc_mirror_plugin_sdk::host::registry;
use oc_mirror_plugin_sdk::{Error, about, other, read_all, with_hint};
use sha2::Digest as _;

use crate::fault;
use crate::index::{Index, Release, join, newest};
use crate::pack;
use crate::settings::LocalChart;

/// The most bytes of an index.
const MAX_INDEX: u64 = 128 << 20;
/// The media type of the layer that is a chart.
const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A chart, and the archive that it is in.
pub(crate) struct Fetched {
    pub(crate) chart: Chart,
    pub(crate) archive: Vec<u8>,
}

impl Fetched {
    fn new(archive: Vec<u8>) -> Result<Self, Error> {
        let chart = Chart::from_archive(&archive).map_err(fault::of_chart)?;
        Ok(Self { chart, archive })
    }
}

/// Fetches the index of a repository.
pub(crate) fn index(url: &str, credential: Option<&str>) -> Result<Index, Error> {
    let location = format!("{url}index.yaml");
    let bytes = get(&location, credential, MAX_INDEX, "the index").map_err(|error| {
        with_hint(about(error, &format!("`{location}`")), "`url` is where the repository's `index.yaml` is")
    })?;
    Index::parse(&String::from_utf8_lossy(&bytes)).map_err(|why| {
        with_hint(
            other("helm.index", format!("`{location}` is not an index of charts: {why}")),
            "`url` is where the repository's `index.yaml` is",
        )
    })
}

/// Fetches a chart of a repository on the web.
/// The credential is that of the repository: it is for its host, and archives may be elsewhere.
pub(crate) fn of_repository(
    url: &str,
    credential: Option<&str>,
    release: &Release,
) -> Result<Fetched, Error> {
    let first = release.urls.first();
    let first = first.ok_or_else(|| other("helm.index", "the index says of no place where it is"))?;
    if let Some(reference) = first.strip_prefix("oci://") {
        return of_registry(reference);
    }
    let location = join(url, first);
    let credential = credential.filter(|_| origin(&location) == origin(url));
    let archive = get(&location, credential, MAX_BYTES, "the archive")
        .map_err(|error| about(error, &format!("`{location}`")))?;
    if let Some(digest) = &release.digest {
        let actual: String = sha2::Sha256::digest(&archive).iter().map(|b| format!("{b:02x}")).collect();
        if actual != *digest {
            return Err(with_hint(
                other(
                    "helm.digest",
                    format!("`{location}` has the SHA-256 {actual}, and {digest} by the index"),
                ),
                "the archive was changed after it was published: ask whoever keeps the repository",
            ));
        }
    }
    Fetched::new(archive)
}

/// Scheme, host and port of a URL, as they are written.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find(['/', '?', '#']).map_or(url, |end| &url[..host + end])
}

fn get(url: &str, credential: Option<&str>, most: u64, what: &str) -> Result<Vec<u8>, Error> {
    let request = Request {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        credential: credential.map(str::to_owned),
        max_bytes: Some(most),
    };
    let (response, body) = http::fetch(&request)?;
    match response.status {
        200 => read_all(&body, usize::try_from(most).unwrap_or(usize::MAX), what),
        401 | 403 => Err(with_hint(
            other("helm.credential", format!("the server answered {}", response.status)),
            "a credential is taken of the file that Helm keeps: `helm repo add NAME URL --username USER --password-stdin`, with \
             the URL of the configuration",
        )),
        404 => Err(Error::NotFound("the server has no such file".to_owned())),
        status => Err(Error::Unavailable(format!("the server answered {status}"))),
    }
}

/// Returns the versions of a chart in a registry. Tags cannot have a `+`, so there is a `_` in its place.
pub(crate) fn versions(repository: &str) -> Result<Vec<String>, Error> {
    const PAGE: u32 = 1000;
    let mut versions = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let tags = registry::tags(repository, after.as_deref(), PAGE)?;
        let Some(last) = tags.last().cloned() else { return Ok(versions) };
        versions.extend(tags.iter().map(|tag| tag.replace('_', "+")).filter(|v| Version::parse(v).is_some()));
        if after.as_deref() == Some(&last) {
            return Ok(versions);
        }
        after = Some(last);
    }
}

/// Chooses the version of a chart in a registry that is wanted.
pub(crate) fn choose(repository: &str, wanted: Option<&str>) -> Result<String, Error> {
    // A full version needs no list.
    if let Some(version) = wanted.filter(|v| v.matches('.').count() >= 2 && Version::parse(v).is_some()) {
        return Ok(version.to_owned());
    }
    let versions = versions(repository)?;
    let names: Vec<&str> = versions.iter().map(String::as_str).collect();
    match newest(&names, wanted) {
        Some(place) => Ok(versions[place].clone()),
        None => Err(fault::no_version(wanted, &names)),
    }
}

/// Returns the reference of a version of a chart.
pub(crate) fn reference(repository: &str, version: &str) -> String {
    format!("{repository}:{}", version.replace('+', "_"))
}

/// Fetches a chart of a registry.
pub(crate) fn of_registry(reference: &str) -> Result<Fetched, Error> {
    let reference = reference.strip_prefix("oci://").unwrap_or(reference);
    let image = registry::open(reference)?;
    let layers = match image.is_index() {
        true => Vec::new(),
        false => image.layers()?,
    };
    let layer = layers.into_iter().find(|layer| layer.media_type == CHART_LAYER).ok_or_else(|| {
        with_hint(
            other("helm.no-chart", format!("`{reference}` is not a chart: it has no layer `{CHART_LAYER}`")),
            "images are listed under `additionalImages`",
        )
    })?;
    let body = image.open_blob(&layer.digest)?;
    Fetched::new(read_all(&body, usize::try_from(MAX_BYTES).unwrap_or(usize::MAX), "the chart")?)
}

/// Returns a chart of this machine.
pub(crate) fn of_host(chart: &LocalChart) -> Result<Fetched, Error> {
    let decode = |text: &str| {
        BASE64_STANDARD
            .decode(text)
            .map_err(|_| Error::Invalid("what was read of it is not base64".to_owned()))
    };
    if let Some(archive) = &chart.archive {
        return Fetched::new(decode(archive)?);
    }
    let files =
        chart.files.iter().flatten().map(|file| Ok(File::new(file.path.as_str(), decode(&file.data)?)));
    let files = pack::kept(files.collect::<Result<_, Error>>()?);
    let chart = Chart::from_files(files.clone()).map_err(fault::of_chart)?;
    let archive = pack::pack(&chart, &files).map_err(fault::of_chart)?;
    Ok(Fetched { chart, archive })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://r.example/charts/a.tgz", "https://r.example")]
    #[case("http://r.example:8080?x", "http://r.example:8080")]
    #[case("https://r.example", "https://r.example")]
    #[case("https://r.example.evil.example/", "https://r.example.evil.example")]
    fn origins(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(origin(url), expected);
    }
}
