//! Names in image layouts; imagesets are tried end to end.

use oc_mirror_testkit::ImageBuilder;

use super::*;
use crate::archive::TrustedKeys;
use crate::source::{HttpError, HttpFetch, HttpRequest, HttpResponse};

/// Nobody is to be asked.
struct Nobody;

#[async_trait]
impl Origins for Nobody {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        Err(ContentError::new(source.to_string(), ContentErrorKind::Refused("asked elsewhere".to_owned())))
    }

    async fn tags(
        &self,
        repository: &Reference,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<String>, ContentError> {
        let reason = ContentErrorKind::Refused("asked elsewhere".to_owned());
        Err(ContentError::new(repository.to_string(), reason))
    }

    async fn referrers(
        &self,
        source: &Source,
        _: &Digest,
        _: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        Err(ContentError::new(source.to_string(), ContentErrorKind::Refused("asked elsewhere".to_owned())))
    }
}

#[async_trait]
impl HttpFetch for Nobody {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError::Unavailable(format!("asked {}", request.url)))
    }

    fn has_credential(&self, _: &str) -> bool {
        false
    }
}

fn source(text: &str) -> Source {
    text.parse().expect("a reference")
}

async fn found(origins: &FromStock, name: &str) -> Result<String, ContentError> {
    let origin = origins.origin(&source(name)).await?;
    Ok(origin.read.manifest(&origin.repository, &origin.selector).await?.digest().to_string())
}

#[tokio::test]
async fn images_of_a_layout_go_by_their_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = |content: &str| ImageBuilder::new().layer(&[("content", content)]).build();
    let (named, pushed, other) = (image("named"), image("pushed"), image("other"));
    named.write_layout(dir.path(), "quay.io/team/app:v1");
    pushed.write_layout(dir.path(), "team/pushed:v2");
    other.write_layout(dir.path(), "quay.io/team/app:latest");
    let stock = Arc::new(Stock::open(&dir.path().into(), &TrustedKeys::default()).await.expect("a layout"));
    let offline = FromStock::new(stock.clone(), Arc::new(Nobody), Box::new(|_| false));
    let cases = [
        ("quay.io/team/app:v1", Some(&named)),
        ("quay.io/team/app", Some(&other)),
        ("quay.io/team/app:v2", None),
        ("other.example/team/app:v1", None),
        // What was pushed into a layout has left its registry behind.
        ("quay.io/team/pushed:v2", Some(&pushed)),
        ("quay.io/team/pushed:v1", None),
    ];
    for (name, image) in cases {
        let outcome = found(&offline, name).await;
        assert_eq!(outcome.as_ref().ok(), image.map(|image| &image.digest), "{name}");
        if let Err(error) = outcome {
            assert!(error.is_not_found(), "{error}");
            let cause = std::error::Error::source(&error).expect("a cause");
            assert!(cause.to_string().contains(&dir.path().display().to_string()), "{cause}");
        }
    }
    let by_digest = format!("elsewhere.example/x@{}", named.digest);
    assert_eq!(found(&offline, &by_digest).await.expect("there"), named.digest);
    let unknown = format!("quay.io/team/app@sha256:{}", "0".repeat(64));
    assert!(found(&offline, &unknown).await.expect_err("not there").is_not_found());
    let Source::Registry(app) = source("quay.io/team/app") else { panic!("a registry") };
    assert_eq!(offline.tags(&app, None, 10).await.expect("listed"), ["latest", "v1"]);
    assert_eq!(offline.tags(&app, Some("latest"), 10).await.expect("listed"), ["v1"]);

    let online = FromStock::new(stock, Arc::new(Nobody), Box::new(|_| true));
    assert_eq!(found(&online, "quay.io/team/app:v1").await.expect("there"), named.digest);
    let asked = found(&online, "quay.io/team/app:v2").await.expect_err("asked");
    assert!(asked.to_string().contains("asked elsewhere"), "{asked}");
}

#[tokio::test]
async fn graphs_are_those_of_the_stock() {
    let dir = tempfile::tempdir().expect("a directory");
    ImageBuilder::new().layer(&[("a", "b")]).build().write_layout(dir.path(), "quay.io/team/app:v1");
    let graphs = dir.path().join("files/update-graphs/ocp");
    std::fs::create_dir_all(&graphs).expect("writable");
    std::fs::write(graphs.join("amd64-stable-4.20.json"), "{}").expect("writable");
    let stock = Arc::new(Stock::open(&dir.path().into(), &TrustedKeys::default()).await.expect("a layout"));
    let servers = GraphServers {
        ocp: "https://api.example/graph".to_owned(),
        okd: "https://okd.example/graph".to_owned(),
    };
    let named = ["https://named.example/x".to_owned()];
    let http = StockHttp::new(stock, servers, Arc::new(Nobody), false, &named);
    let ask = async |url: &str, allowed: bool| {
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            credential: None,
            max_bytes: 100,
            allow: Arc::new(move |_: &str| allowed),
        };
        match http.fetch(request).await {
            Ok(response) => response.status.to_string(),
            Err(HttpError::Denied { .. }) => "denied".to_owned(),
            Err(error) => error.to_string(),
        }
    };
    let cases = [
        ("https://api.example/graph?arch=amd64&channel=stable-4.20&id=x", "200"),
        ("https://api.example/graph?arch=amd64&channel=stable-4.21", "denied"),
        ("https://api.example/graph?arch=amd64&channel=../ocp/amd64-stable-4.20", "denied"),
        ("https://api.example/other?arch=amd64&channel=stable-4.20", "denied"),
        ("https://okd.example/graph?arch=amd64&channel=stable-4.20", "denied"),
        ("https://named.example/y", "asked https://named.example/y"),
    ];
    for (url, expected) in cases {
        assert_eq!(ask(url, true).await, expected, "{url}");
    }
    assert_eq!(ask(cases[0].0, false).await, "denied", "the plugin was not granted it");
}
