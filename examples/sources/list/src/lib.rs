//! A custom content source: mirrors the images of a plain list on a web server.
//!
//! [`List`] has the host fetch the list, [`parse`] reads it: an image in each line, and comments after `#`. The plugin
//! opens no connection and sees no password.

use oc_mirror_plugin_sdk::host::http;
use oc_mirror_plugin_sdk::reference::Reference;
use oc_mirror_plugin_sdk::{
    ContentSource, Error, ImageRequest, Plugin, Problem, Sink, Summary, about, export_plugin, read_all,
};
use serde::Deserialize;

/// The most bytes that a list may have.
const MAX_LIST: usize = 4 << 20;

/// What the user writes under `config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the list is.
    url: String,
    /// The name of a credential that the host sends along.
    credential: Option<String>,
}

/// The content source.
struct List(Settings);

impl Plugin for List {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self(settings))
    }
}

impl ContentSource for List {
    fn collect(&self, out: &Sink) -> Result<Summary, Error> {
        let url = &self.0.url;
        let (response, body) = http::fetch(&http::Request {
            method: "GET".to_owned(),
            url: url.clone(),
            headers: vec![("accept".to_owned(), "text/plain".to_owned())],
            body: None,
            credential: self.0.credential.clone(),
            max_bytes: Some(MAX_LIST as u64),
        })?;
        match response.status {
            200 => {}
            404 => return Err(Error::NotFound(format!("there is no list at {url}"))),
            status => return Err(Error::Unavailable(format!("{url} answered with status {status}"))),
        }
        let text = read_all(&body, MAX_LIST, "the list")?;
        let wanted = parse(&String::from_utf8_lossy(&text)).map_err(|error| about(error, url))?;
        let images = out.images(&wanted)?;
        Ok(Summary { images: images.into(), generated: 0, skipped: 0 })
    }
}

/// Reads a list. One line that is no image is enough to refuse it: half a mirror would be worse.
fn parse(text: &str) -> Result<Vec<ImageRequest>, Error> {
    let mut images = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let name = line.split('#').next().unwrap_or_default().trim();
        if name.is_empty() {
            continue;
        }
        let image: Reference =
            name.parse().map_err(|e| Error::Invalid(format!("line {number}: `{name}`: {e}")))?;
        if image.tag.is_none() && image.digest.is_none() {
            return Err(Error::Invalid(format!("line {number}: `{name}` has neither tag nor digest")));
        }
        images.push(ImageRequest {
            source: name.to_owned(),
            origin: name.to_owned(),
            kind: "additional".to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: vec![],
            with_referrers: false,
            provenance: vec![("plugin".to_owned(), "list".to_owned())],
        });
    }
    Ok(images)
}

export_plugin!(List: source);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let images = parse("# ours\nquay.io/a/b:1\n\n  quay.io/c/d:2   # theirs\r\n").expect("a list");
        let names: Vec<_> = images.iter().map(|image| image.source.as_str()).collect();
        assert_eq!(names, ["quay.io/a/b:1", "quay.io/c/d:2"]);
    }

    #[test]
    fn a_line_that_is_no_image_is_named() {
        for (text, line) in [("quay.io/a/b:1\n<html>", "line 2: `<html>`"), ("quay.io/a/b", "neither tag")] {
            let Err(Error::Invalid(message)) = parse(text) else { panic!("it is no list") };
            assert!(message.contains(line), "{message}");
        }
    }
}
