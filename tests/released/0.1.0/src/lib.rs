//! A guest built against the contract as it was released, without the SDK, which goes on. It uses every interface of the host
//! and tells what it was answered, so that a host on which it runs has kept what the release promised.
#![allow(unsafe_code, missing_docs)]

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit/released/0.1.0",
        inline: r"
            package test:released;
            world guest {
                include oc-mirror:plugin/content-source@0.1.0;
                include oc-mirror:plugin/policy@0.1.0;
                include oc-mirror:plugin/static-policy@0.1.0;
            }
        ",
        world: "test:released/guest",
        generate_all,
    });
}

use bindings::exports::oc_mirror::plugin::{image_policy, reference_policy, settings, source};
use bindings::oc_mirror::plugin::plan::{BuildSpec, Sink};
use bindings::oc_mirror::plugin::registry::{self, Image};
use bindings::oc_mirror::plugin::streams::{Documents, Reader};
use bindings::oc_mirror::plugin::types::{Error, Finding, ImageRequest, Platform, Problem, Verdict};
use bindings::oc_mirror::plugin::{cache, config, http, log, plan, progress, signatures};

const IMAGE: &str = "registry.example/reach:1";

struct Guest;

fn told<T>(what: &str, answer: Result<T, Error>) -> String {
    match answer {
        Ok(_) => format!("{what} ok"),
        Err(Error::Denied(_)) => format!("{what} denied"),
        Err(Error::NotFound(_)) => format!("{what} not found"),
        Err(Error::Invalid(why)) => format!("{what} invalid: {why}"),
        Err(Error::Limit(_)) => format!("{what} limit"),
        Err(Error::Unavailable(_)) => format!("{what} unavailable"),
        Err(Error::Cancelled) => format!("{what} cancelled"),
        Err(Error::Other(coded)) => format!("{what} {}", coded.code),
    }
}

fn wish(name: &str) -> ImageRequest {
    ImageRequest {
        source: name.to_owned(),
        origin: name.to_owned(),
        kind: "additional".to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: vec![],
        with_referrers: false,
        provenance: vec![("plugin".to_owned(), "released".to_owned())],
    }
}

fn fetched() -> Result<Reader, Error> {
    let request = http::Request {
        method: "GET".to_owned(),
        url: "https://www.example/released".to_owned(),
        headers: vec![],
        body: None,
        credential: None,
        max_bytes: Some(1000),
    };
    http::fetch(&request).map(|(_, body)| body)
}

fn documents() -> Result<usize, Error> {
    let documents = Documents::new(fetched()?, &[]);
    let mut count = 0;
    while documents.next()?.is_some() {
        count += 1;
    }
    if count == 2 { Ok(count) } else { Err(Error::Invalid(format!("{count} documents"))) }
}

fn read() -> Result<(), Error> {
    let body = fetched()?;
    let (hint, first, skipped) = (body.size_hint(), body.read(1)?, body.skip(1)?);
    match (hint, first.as_slice(), skipped) {
        (None | Some(14), b"{", 1) => Ok(()),
        other => Err(Error::Invalid(format!("{other:?}"))),
    }
}

fn kept() -> Result<(), Error> {
    let draft = cache::Draft::new("released");
    draft.write(b"kept")?;
    draft.commit()?;
    match cache::open("released")?.map(|reader| reader.read(10)) {
        Some(Ok(bytes)) if bytes == b"kept" => Ok(()),
        _ => Err(Error::Invalid("it was not kept".to_owned())),
    }
}

fn built(out: &Sink) -> Result<String, Error> {
    let builder = out.build(&BuildSpec {
        kind: "catalog".to_owned(),
        origin: "registry.example/released:built".to_owned(),
        target_repository: "released".to_owned(),
        target_tag: "built".to_owned(),
        base: None,
        platforms: vec![Platform { os: "linux".to_owned(), arch: "amd64".to_owned(), variant: None }],
        provenance: vec![],
    })?;
    builder.label("a", "1");
    builder.annotation("a", "1");
    builder.cmd(&["/a".to_owned()]);
    builder.entrypoint(&["/a".to_owned()]);
    builder.clear("c", 0o755)?;
    builder.file("a", 0o644)?.write(b"a")?;
    builder.append("b", 0o644, b"b")?;
    builder.finish()
}

/// Everything about an image.
fn looked_at(image: &Image) -> Vec<String> {
    let layer = image.layers().ok().and_then(|layers| layers.into_iter().next());
    let blob = layer.map(|layer| layer.digest).unwrap_or_default();
    vec![
        format!("image {}", image.reference()),
        format!("descriptor {}", image.descriptor().media_type),
        format!("index {}", image.is_index()),
        told("children", image.children()),
        told("manifest", image.manifest()),
        told("config", image.config()),
        told("labels", image.labels()),
        told("annotations", image.annotations()),
        told("layers", image.layers()),
        told("base", image.base_chain()),
        told("referrers", image.referrers(None)),
        told("signers", image.signers()),
        told("blob", image.open_blob(&blob).and_then(|reader| reader.read(10))),
        told("files", image.files("etc").and_then(|files| files.next())),
        told("filesystem", image.filesystem().and_then(|files| files.stat("etc"))),
        told("list", image.filesystem().and_then(|files| files.list("etc")).and_then(|e| e.next(1))),
    ]
}

impl settings::Guest for Guest {
    fn validate(_: String) -> Vec<Problem> {
        vec![]
    }

    fn configure(_: String) -> Result<(), Vec<Problem>> {
        Ok(())
    }
}

impl source::Guest for Guest {
    fn collect(out: Sink) -> Result<source::Summary, Error> {
        let run = config::run();
        let task = progress::Task::new("released", Some(2));
        task.advance(1);
        task.message("half");
        if log::enabled(log::Level::Info) {
            log::log(log::Level::Info, "released", &[("sequence".to_owned(), run.sequence.to_string())]);
        }
        let resolved = registry::resolve(&[IMAGE.to_owned()]).into_iter().next();
        let mut answers = vec![
            format!("run {} {} {}", run.workflow, run.offline, run.dry_run),
            format!("settings {}", config::settings()),
            format!("credential {}", config::has_credential("reach")),
            format!("cancelled {}", progress::cancelled()),
            resolved.map_or_else(String::new, |answer| told("resolve", answer)),
            told("tags", registry::tags("registry.example/reach", None, 10)),
            told("fetch", read()),
            told("documents", documents()),
            told("cache", kept()),
            format!("withheld {}", plan::withheld().len()),
            format!("state {:?}", plan::load_state()),
            told("save", plan::save_state("{\"released\":1}")),
            told("artifact", out.artifact("released.txt").and_then(|writer| writer.splice(&fetched()?, 4))),
            told("build", built(&out)),
            told(
                "document",
                out.resource_document(
                    "released",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: released\n",
                ),
            ),
            told(
                "signatures",
                signatures::verify(&signatures::Payload {
                    digest: format!("sha256:{}", "0".repeat(64)),
                    version: None,
                    keyring: "ocp".to_owned(),
                }),
            ),
        ];
        match registry::open(IMAGE) {
            Ok(image) => answers.extend(looked_at(&image)),
            Err(error) => answers.push(told::<()>("open", Err(error))),
        }
        out.note("released", "as of 0.1.0");
        for answer in &answers {
            out.warn("released", answer);
        }
        let images = out.images(&[wish(IMAGE)])?;
        Ok(source::Summary { images: images.into(), generated: 1, skipped: 0 })
    }
}

fn finding(message: String) -> Finding {
    Finding { code: "released".to_owned(), message, details: vec![] }
}

impl image_policy::Guest for Guest {
    fn evaluate(request: ImageRequest, image: Image) -> Result<Verdict, Error> {
        let about = [format!("asked about {}", request.origin)].into_iter().chain(looked_at(&image));
        Ok(Verdict::Warn(about.map(finding).collect()))
    }
}

impl reference_policy::Guest for Guest {
    fn evaluate_references(batch: Vec<ImageRequest>) -> Vec<Verdict> {
        let judge = |request: ImageRequest| match request.origin.contains("refused") {
            true => Verdict::Deny(vec![finding("by its name".to_owned())]),
            false => Verdict::Allow,
        };
        batch.into_iter().map(judge).collect()
    }
}

bindings::export!(Guest with_types_in bindings);
