//! The image with the data of the update graph, for OpenShift's own update service: made here of an archive, or an
//! existing one.

use oc_mirror_plugin_sdk::host::plan::{BuildSpec, ImageBuilder};
use oc_mirror_plugin_sdk::{Error, ImageRequest, Sink, about, other, with_hint};

use crate::settings::Settings;
use crate::web;

/// Where it is mirrored to: never together with releases, which the update service reads one by one.
const REPOSITORY: &str = "openshift/graph-image";
const TAG: &str = "latest";
/// What kind of image it is.
const KIND: &str = "graph";
/// Where in the image the data is.
const DIRECTORY: &str = "var/lib/cincinnati-graph-data";
/// How the update service has it copied to where it reads it.
const COMMAND: [&str; 3] =
    ["/bin/bash", "-c", "exec cp -rp /var/lib/cincinnati-graph-data/* /var/lib/cincinnati/graph-data"];
/// What to do where the archive cannot be used.
const OTHER_DATA: &str = "name another archive under `platform.graphDataURL`, or an image with the data under \
                          `platform.graphImage`";
/// The most bytes of the archive; the real one has less than one megabyte.
const MOST: u64 = 256 << 20;

/// Hands over the image. Returns whether it was made here.
pub(crate) fn hand_over(settings: &Settings, out: &Sink) -> Result<bool, Error> {
    if let Some(image) = &settings.platform.graph_image {
        out.images(&[existing(image, settings)])?;
        return Ok(false);
    }
    let Some(url) = &settings.servers.graph_data else {
        let error = other("release.graph", "it is not said where the data of the update graph is");
        let hint = "UPDATE_URL_OVERRIDE names another server for the graph: name an image with its data under \
                    `platform.graphImage`, or an archive under `platform.graphDataURL`";
        return Err(with_hint(error, hint));
    };
    build(settings, url, out)?;
    Ok(true)
}

fn existing(image: &str, settings: &Settings) -> ImageRequest {
    ImageRequest {
        source: image.to_owned(),
        origin: image.to_owned(),
        kind: KIND.to_owned(),
        target_repository: Some(REPOSITORY.to_owned()),
        target_tag: Some(TAG.to_owned()),
        platforms: settings.platform.platforms(),
        with_referrers: true,
        provenance: Vec::new(),
    }
}

fn build(settings: &Settings, url: &str, out: &Sink) -> Result<(), Error> {
    let base = settings.platform.graph_base();
    let builder = out.build(&BuildSpec {
        kind: KIND.to_owned(),
        origin: origin(url),
        target_repository: REPOSITORY.to_owned(),
        target_tag: TAG.to_owned(),
        base: Some(base.to_owned()),
        platforms: settings.platform.platforms(),
        provenance: vec![("base".to_owned(), base.to_owned()), ("data".to_owned(), url.to_owned())],
    });
    let builder = builder.map_err(|error| {
        with_hint(
            about(error, "the image to build on"),
            "the graph's data is built on this image: name another one under `platform.graphBase`",
        )
    })?;
    let what = format!("the data of the update graph at {url}");
    fill(&builder, url).map_err(|error| with_hint(about(error, &what), OTHER_DATA))?;
    builder.cmd(&COMMAND.map(str::to_owned));
    // That of a base which has one would run instead.
    builder.entrypoint(&[]);
    builder.finish().map(drop)
}

fn fill(builder: &ImageBuilder, url: &str) -> Result<(), Error> {
    let body = web::get(url, None, MOST)?;
    match builder.unpack(&body, DIRECTORY)? {
        0 => Err(other("release.graph", "the archive is empty")),
        _ => Ok(()),
    }
}

/// Names the image after the server that its data comes from.
fn origin(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or(host);
    format!("{host}/{REPOSITORY}:{TAG}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_named_after_the_server() {
        assert_eq!(
            origin("https://api.openshift.com/api/upgrades_info/graph-data"),
            "api.openshift.com/openshift/graph-image:latest"
        );
        assert_eq!(origin("http://127.0.0.1:8080?x"), "127.0.0.1:8080/openshift/graph-image:latest");
    }
}
