//! Tells makes of registries apart: by their names, and by the answer to `/v2/`, which every client asks for first.

use oc_mirror_model::reference::Registry;
use reqwest::header::HeaderMap;
use url::Url;

use super::super::challenge::{Challenge, challenges};
use super::{Because, Found, Product, Profile};

/// What the first answer of a registry shows.
pub(in super::super) struct Signs<'a> {
    /// Its header fields.
    pub(in super::super) headers: &'a HeaderMap,
}

impl Signs<'_> {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// Finds out which profile a registry has. Its name counts more than what it answers, which a proxy may have changed.
pub(in super::super) fn identify(registry: &Registry, signs: &Signs<'_>) -> Found {
    if let Some(product) = by_name(registry.host()) {
        return Found { profile: Profile::of(product), because: Because::Name };
    }
    match by_answer(signs) {
        Some((product, sign)) => Found { profile: Profile::of(product), because: Because::Answer(sign) },
        None => Found::nothing(),
    }
}

fn by_name(host: &str) -> Option<Product> {
    let host = host.to_ascii_lowercase();
    let below = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    let is_ecr = || {
        let (account, rest) = host.split_once(".dkr.ecr")?;
        let region = rest.strip_prefix("-fips").unwrap_or(rest);
        let aws = region.ends_with(".amazonaws.com") || region.ends_with(".amazonaws.com.cn");
        (account.bytes().all(|b| b.is_ascii_digit()) && region.starts_with('.') && aws).then_some(())
    };
    match host.as_str() {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => Some(Product::DockerHub),
        "quay.io" => Some(Product::Quay),
        "ghcr.io" => Some(Product::Ghcr),
        "registry.gitlab.com" => Some(Product::GitLab),
        "gcr.io" => Some(Product::Gar),
        _ if below("gcr.io") || host.ends_with("-docker.pkg.dev") => Some(Product::Gar),
        _ if ["azurecr.io", "azurecr.cn", "azurecr.us"].into_iter().any(below) => Some(Product::Acr),
        _ if below("jfrog.io") => Some(Product::Artifactory),
        "image-registry.openshift-image-registry.svc"
        | "image-registry.openshift-image-registry.svc.cluster.local" => Some(Product::OpenShift),
        _ => is_ecr().map(|()| Product::Ecr),
    }
}

fn by_answer(signs: &Signs<'_>) -> Option<(Product, &'static str)> {
    let server = signs.header("server");
    if server.starts_with("Nexus/") {
        return Some((Product::Nexus, "the header `Server`"));
    }
    if server.starts_with("Artifactory/") {
        return Some((Product::Artifactory, "the header `Server`"));
    }
    if ["x-jfrog-version", "x-artifactory-id"].into_iter().any(|name| signs.headers.contains_key(name)) {
        return Some((Product::Artifactory, "the headers of JFrog"));
    }
    if server.starts_with("AzureContainerRegistry") {
        return Some((Product::Acr, "the header `Server`"));
    }
    if signs.headers.contains_key("gitlab-container-registry-version") {
        return Some((Product::GitLab, "the header `Gitlab-Container-Registry-Version`"));
    }
    if let Some(product) = challenges(signs.headers).iter().find_map(by_challenge) {
        return Some((product, "its token server"));
    }
    if signs.headers.contains_key("x-registry-supports-signatures") {
        return Some((Product::OpenShift, "the header `X-Registry-Supports-Signatures`"));
    }
    // Others have the version too, but they have something else besides. What is taken for it wrongly is none the worse.
    let is_distribution =
        signs.header("docker-distribution-api-version") == "registry/2.0" && server.is_empty();
    is_distribution.then_some((Product::DockerRegistry, "the header `Docker-Distribution-Api-Version`"))
}

fn by_challenge(challenge: &Challenge) -> Option<Product> {
    let realm = challenge.param("realm").unwrap_or_default();
    let service = challenge.param("service").unwrap_or_default();
    if challenge.scheme == "basic" {
        return match (realm, service) {
            ("Sonatype Nexus Repository Manager", _) => Some(Product::Nexus),
            ("Artifactory Realm", _) => Some(Product::Artifactory),
            (_, "ecr.amazonaws.com") => Some(Product::Ecr),
            _ => None,
        };
    }
    let path = Url::parse(realm).map(|url| url.path().to_owned()).unwrap_or_default();
    match (path.as_str(), service) {
        ("/service/token", "harbor-registry") => Some(Product::Harbor),
        ("/jwt/auth", "container_registry") => Some(Product::GitLab),
        ("/openshift/token", _) => Some(Product::OpenShift),
        // Quay names itself as the service; nobody else has the path.
        ("/v2/auth", _) => Some(Product::Quay),
        (path, _) if path.starts_with("/api/docker/") || path.contains("/artifactory/api/docker/") => {
            Some(Product::Artifactory)
        }
        _ => None,
    }
}

/// Answers whether a list of extensions is that of zot.
pub(in super::super) fn is_zot(extensions: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct List {
        extensions: Vec<Extension>,
    }
    #[derive(serde::Deserialize)]
    struct Extension {
        name: String,
    }
    serde_json::from_slice::<List>(extensions)
        .is_ok_and(|list| list.extensions.iter().any(|extension| extension.name == "_zot"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};
    use rstest::rstest;

    fn found(host: &str, fields: &[(&str, &str)]) -> (Product, Because) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let found = identify(&host.parse().expect("a registry"), &Signs { headers: &headers });
        (found.profile.product, found.because)
    }

    #[rstest]
    #[case("123456789012.dkr.ecr.eu-central-1.amazonaws.com", Product::Ecr)]
    #[case("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", Product::Ecr)]
    #[case("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", Product::Ecr)]
    #[case("docker.io", Product::DockerHub)]
    #[case("quay.io", Product::Quay)]
    #[case("ghcr.io", Product::Ghcr)]
    #[case("mine.azurecr.io", Product::Acr)]
    #[case("europe-west3-docker.pkg.dev", Product::Gar)]
    #[case("eu.gcr.io", Product::Gar)]
    #[case("registry.gitlab.com", Product::GitLab)]
    #[case("shop.jfrog.io", Product::Artifactory)]
    #[case("image-registry.openshift-image-registry.svc:5000", Product::OpenShift)]
    // What only looks like one of them.
    #[case("x.dkr.ecr.eu-central-1.amazonaws.com.evil.example", Product::Generic)]
    #[case("azurecr.io.example", Product::Generic)]
    #[case("notgcr.io", Product::Generic)]
    fn names(#[case] host: &str, #[case] product: Product) {
        assert_eq!(found(host, &[]).0, product);
    }

    #[rstest]
    #[case(
        "Www-Authenticate",
        r#"Bearer realm="https://h.example/service/token",service="harbor-registry""#,
        Product::Harbor
    )]
    #[case(
        "Www-Authenticate",
        r#"Bearer realm="https://g.example/jwt/auth",service="container_registry""#,
        Product::GitLab
    )]
    #[case(
        "Www-Authenticate",
        r#"Bearer realm="https://q.example/v2/auth",service="q.example""#,
        Product::Quay
    )]
    #[case("Www-Authenticate", r#"Bearer realm="https://o.example/openshift/token""#, Product::OpenShift)]
    #[case("Www-Authenticate", r#"BASIC realm="Sonatype Nexus Repository Manager""#, Product::Nexus)]
    #[case(
        "Www-Authenticate",
        r#"Basic realm="https://e.example/",service="ecr.amazonaws.com""#,
        Product::Ecr
    )]
    #[case(
        "Www-Authenticate",
        r#"Bearer realm="https://a.example/artifactory/api/docker/d/v2/token",service="a.example""#,
        Product::Artifactory
    )]
    #[case("Server", "Nexus/3.70.1-02 (OSS)", Product::Nexus)]
    #[case("Server", "Artifactory/6.11.6", Product::Artifactory)]
    #[case("X-Artifactory-Id", "6e92:-2c5c:16cb:-8000", Product::Artifactory)]
    #[case("X-JFrog-Version", "Artifactory/7.98.7", Product::Artifactory)]
    #[case("Gitlab-Container-Registry-Version", "4.2.0", Product::GitLab)]
    #[case("X-Registry-Supports-Signatures", "1", Product::OpenShift)]
    #[case("Server", "nginx", Product::Generic)]
    #[case("Www-Authenticate", r#"Bearer realm="https://x.example/token",service="x""#, Product::Generic)]
    #[case("Www-Authenticate", "Basic realm=\"x\"", Product::Generic)]
    fn answers(#[case] name: &str, #[case] value: &str, #[case] product: Product) {
        assert_eq!(found("mirror.example:5000", &[(name, value)]).0, product);
    }

    #[test]
    fn a_name_counts_more_than_an_answer() {
        let (product, because) = found("quay.io", &[("Server", "Nexus/3.70.1-02 (OSS)")]);
        assert_eq!((product, because), (Product::Quay, Because::Name));
    }

    #[test]
    fn distribution_itself_is_told_apart_from_those_built_on_it() {
        let version = ("Docker-Distribution-Api-Version", "registry/2.0");
        assert_eq!(found("r.example", &[version]).0, Product::DockerRegistry);
        assert_eq!(found("r.example", &[version, ("Server", "nginx")]).0, Product::Generic);
        let harbor = r#"Bearer realm="https://h/service/token",service="harbor-registry""#;
        assert_eq!(found("r.example", &[version, ("Www-Authenticate", harbor)]).0, Product::Harbor);
        assert_eq!(
            found("r.example", &[version, ("X-Registry-Supports-Signatures", "1")]).0,
            Product::OpenShift
        );
    }

    #[test]
    fn extensions_of_zot() {
        assert!(is_zot(br#"{"extensions":[{"name":"_oci"},{"name":"_zot","endpoints":[]}]}"#));
        assert!(!is_zot(br#"{"extensions":[{"name":"_other"}]}"#));
        assert!(!is_zot(b"<html>"));
    }
}
