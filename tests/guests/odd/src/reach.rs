//! Calls every function of the host and tells what each answered: `ok …`, or the error in words.

use oc_mirror_plugin_sdk::host::{cache, config, http, log, plan, progress, registry, streams};
use oc_mirror_plugin_sdk::{Error, Image, Platform, Sink, explain};

use crate::Settings;

/// Calls and what they answered.
type Answers = Vec<(&'static str, String)>;

fn told<T>(result: Result<T, Error>, ok: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => format!("ok {}", ok(value)),
        Err(error) => explain(&error),
    }
}

/// What any plugin can try.
pub(crate) fn from_anywhere(settings: &Settings) -> Answers {
    let run = config::run();
    let task = progress::Task::new("reaching", Some(1));
    task.advance(1);
    task.message("reached");
    let mut answers = vec![
        ("config.run", format!("ok {} {}", run.workflow, run.host_version)),
        ("config.settings", format!("ok {} bytes", config::settings().len())),
        ("config.has-credential", format!("ok {}", config::has_credential(&settings.credential))),
        ("progress.cancelled", format!("ok {}", progress::cancelled())),
        ("log.enabled", format!("ok {}", log::enabled(log::Level::Info))),
    ];
    answers.extend(registries(settings));
    answers.extend(web(settings));
    answers
}

fn registries(settings: &Settings) -> Answers {
    let repository = settings.reference.rsplit_once(':').map_or(settings.reference.as_str(), |(r, _)| r);
    let resolved = registry::resolve(std::slice::from_ref(&settings.reference));
    let resolved = match resolved.into_iter().next() {
        Some(answer) => told(answer, |r| r.descriptor.digest),
        None => "no answer".to_owned(),
    };
    let tags = told(registry::tags(repository, None, 10), |tags| tags.join(" "));
    let mut answers = vec![("registry.resolve", resolved), ("registry.tags", tags)];
    let opened = registry::open(&settings.reference);
    answers.push(("registry.open", told(opened.as_ref().map_err(Clone::clone), |image| image.reference())));
    answers
}

fn web(settings: &Settings) -> Answers {
    let request = |credential| http::Request {
        method: "GET".to_owned(),
        url: settings.url.clone(),
        headers: vec![("x-reach".to_owned(), "1".to_owned())],
        body: None,
        credential,
        max_bytes: Some(1 << 20),
    };
    let status = |(response, _): (http::Response, _)| response.status.to_string();
    let documents = http::fetch(&request(None)).and_then(|(_, body)| {
        let documents = streams::Documents::new(body, &[]);
        let mut count = 0;
        while documents.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    });
    vec![
        ("http.fetch", told(http::fetch(&request(None)), status)),
        (
            "http.fetch-with-credential",
            told(http::fetch(&request(Some(settings.credential.clone()))), status),
        ),
        ("streams.documents", told(documents, |count| count.to_string())),
    ]
}

/// What can be tried while settings are checked, when there is no run.
pub(crate) fn from_configure(settings: &Settings) -> Answers {
    // What the run is has no answer then, and ends who asks.
    if settings.count == 0 {
        config::run();
    }
    let mut answers = registries(settings);
    answers.extend(web(settings));
    answers.push(("config.has-credential", format!("ok {}", config::has_credential(&settings.credential))));
    answers.push(("cache.open", told(cache::open("mine"), |found| found.is_some().to_string())));
    answers.push(("cache.commit", told(keep("mine"), |()| String::new())));
    answers.push(("plan.save-state", told(plan::save_state("{}"), |()| String::new())));
    answers
        .push(("plan.load-state", format!("ok {}", plan::load_state().unwrap_or_else(|| "none".to_owned()))));
    answers.push(("plan.withheld", format!("ok {}", plan::withheld().len())));
    answers
}

/// What a content source can try.
pub(crate) fn from_source(settings: &Settings, out: &Sink) -> Answers {
    let mut answers = from_anywhere(settings);
    let artifact = out.artifact(&settings.artifact).and_then(|writer| writer.write(b"reached\n"));
    answers.push(("sink.artifact", told(artifact, |()| settings.artifact.clone())));
    let document = out.resource_document("reach", &settings.document);
    answers.push(("sink.resource-document", told(document, |()| String::new())));
    answers.push(("sink.build", told(build(out), |digest| digest)));
    answers
        .push(("plan.load-state", format!("ok {}", plan::load_state().unwrap_or_else(|| "none".to_owned()))));
    answers.push(("plan.withheld", format!("ok {}", plan::withheld().len())));
    answers.push(("cache.commit", told(keep("mine"), |()| String::new())));
    answers.push(("cache.open", told(cache::open("mine"), |found| found.is_some().to_string())));
    answers.push(("plan.save-state", told(plan::save_state(r#"{"reached":true}"#), |()| String::new())));
    answers
}

/// Puts something into the cache; something that is not committed must not get there.
fn keep(key: &str) -> Result<(), Error> {
    cache::Draft::new("given up").write(b"half")?;
    let draft = cache::Draft::new(key);
    draft.write(b"reach")?;
    draft.write(b"ed\n")?;
    draft.commit()?;
    match (cache::open("given up")?, draft.write(b"late")) {
        (None, Err(_)) => Ok(()),
        _ => Err(Error::Invalid(
            "what was given up is there, or what is committed can be written to".to_owned(),
        )),
    }
}

fn build(out: &Sink) -> Result<String, Error> {
    let builder = out.build(&plan::BuildSpec {
        kind: "catalog".to_owned(),
        origin: "registry.example/reach/built:1".to_owned(),
        target_repository: "reach/built".to_owned(),
        target_tag: "1".to_owned(),
        base: None,
        platforms: vec![Platform { os: "linux".to_owned(), arch: "amd64".to_owned(), variant: None }],
        provenance: Vec::new(),
    })?;
    builder.label("reach", "1");
    builder.annotation("reach", "1");
    builder.entrypoint(&["/reach".to_owned()]);
    builder.file("etc/reach", 0o644)?.write(b"reached\n")?;
    builder.clear("configs", 0o755)?;
    builder.append("configs/a/reach", 0o644, b"rea")?;
    builder.append("configs/a/reach", 0o644, b"ched\n")?;
    builder.finish()
}

/// What a policy can try.
pub(crate) fn from_policy(settings: &Settings, image: &Image) -> Answers {
    let mut answers = from_anywhere(settings);
    let count = |length: usize| length.to_string();
    answers.extend([
        ("image.reference", format!("ok {}", image.reference())),
        ("image.descriptor", format!("ok {}", image.descriptor().digest)),
        ("image.is-index", format!("ok {}", image.is_index())),
        ("image.children", told(image.children(), |c| count(c.len()))),
        ("image.manifest", told(image.manifest(), |m| count(m.len()))),
        ("image.config", told(image.config(), |c| count(c.len()))),
        ("image.labels", told(image.labels(), |l| count(l.len()))),
        ("image.annotations", told(image.annotations(), |a| count(a.len()))),
        ("image.layers", told(image.layers(), |l| count(l.len()))),
        ("image.base-chain", told(image.base_chain(), |b| count(b.len()))),
        ("image.referrers", told(image.referrers(None), |r| count(r.len()))),
        ("image.signers", told(image.signers(), |s| count(s.len()))),
        ("image.open-blob", told(blob(image), count)),
        ("image.files", told(image.files("etc").and_then(|f| walk(&f)), count)),
        ("image.filesystem", told(image.filesystem().and_then(|f| files(&f)), count)),
    ]);
    answers
}

/// Reads the first layer to its end.
fn blob(image: &Image) -> Result<usize, Error> {
    let layers = image.layers()?;
    let first = layers.first().ok_or_else(|| Error::NotFound("no layer".to_owned()))?;
    let reader = image.open_blob(&first.digest)?;
    let mut read = 0;
    loop {
        let chunk = reader.read(64 << 10)?;
        if chunk.is_empty() {
            return Ok(read);
        }
        read += chunk.len();
    }
}

/// Reads every second file.
fn walk(files: &registry::Files) -> Result<usize, Error> {
    let mut count = 0;
    while let Some((entry, content)) = files.next()? {
        count += 1;
        if let Some(content) = content.filter(|_| count % 2 == 1) {
            content.read(1)?;
        }
        drop(entry);
    }
    Ok(count)
}

fn files(filesystem: &registry::Filesystem) -> Result<usize, Error> {
    filesystem.stat("../../etc/passwd")?;
    let entries = filesystem.list("")?;
    let mut count = 0;
    loop {
        let batch = entries.next(100)?;
        if batch.is_empty() {
            return Ok(count);
        }
        count += batch.len();
    }
}
