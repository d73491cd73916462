//! [`Bearer`]: the token half of a registry's authentication, served by the fault registry itself under `/token`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::json;

use super::lock;
use crate::basic_authorization;
use crate::http::{self, Headers, Response};

/// How tokens are asked for and given.
#[derive(Clone, Debug, Default)]
pub struct Bearer {
    credentials: Option<(String, String)>,
    /// Of repositories whose users are others.
    of_repositories: HashMap<String, (String, String)>,
    single_scope: bool,
    access_token: bool,
    expires_in: Option<u64>,
    name: Option<String>,
}

impl Bearer {
    /// Gives every client a token for whatever it asks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives tokens only to this user.
    pub fn credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_string(), password.to_string()));
        self
    }

    /// Gives tokens for a repository only to this user, whoever may ask for others.
    pub fn repository(mut self, repository: &str, user: &str, password: &str) -> Self {
        self.of_repositories.insert(repository.to_string(), (user.to_string(), password.to_string()));
        self
    }

    /// Grants only the first scope of a request, as some services do.
    pub fn single_scope(mut self) -> Self {
        self.single_scope = true;
        self
    }

    /// Names the token `access_token`, as OAuth 2 does, instead of `token`.
    pub fn access_token(mut self) -> Self {
        self.access_token = true;
        self
    }

    /// Begins tokens with this text instead of `token`, so that they can be found where they should not be.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_string());
        self
    }

    /// Claims a lifetime in seconds; only [`super::FaultRegistry::expire_tokens`] ends it.
    pub fn expires_in(mut self, seconds: u64) -> Self {
        self.expires_in = Some(seconds);
        self
    }
}

/// The tokens in circulation.
#[derive(Debug)]
pub(super) struct Tokens {
    rules: Bearer,
    realm: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    issued: usize,
    /// The scopes each valid token grants.
    valid: HashMap<String, Vec<String>>,
}

impl Tokens {
    pub(super) fn new(rules: Bearer, address: SocketAddr) -> Self {
        Self { rules, realm: format!("http://{address}/token"), state: Mutex::default() }
    }

    pub(super) fn issued(&self) -> usize {
        lock(&self.state).issued
    }

    pub(super) fn expire(&self) {
        lock(&self.state).valid.clear();
    }

    /// Answers a token request, or one without a sufficient token; nothing when the request may pass.
    pub(super) fn answer(
        &self,
        method: &str,
        target: &str,
        headers: &Headers,
        body: &[u8],
    ) -> Option<Response> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == "/token" {
            let form = String::from_utf8_lossy(body);
            return Some(self.issue(query, if method == "POST" { &form } else { "" }, headers));
        }
        let needed = needed_scopes(method, path, query);
        let given = http::header(headers, "authorization").and_then(|v| v.strip_prefix("Bearer "));
        let state = lock(&self.state);
        let granted = given.and_then(|token| state.valid.get(token));
        if granted.is_some_and(|granted| needed.iter().all(|scope| covers(granted, scope))) {
            return None;
        }
        Some(self.challenge(&needed))
    }

    fn challenge(&self, needed: &[String]) -> Response {
        let mut value = format!(r#"Bearer realm="{}",service="test""#, self.realm);
        if !needed.is_empty() {
            value.push_str(&format!(r#",scope="{}""#, needed.join(" ")));
        }
        let mut answer =
            respond(401, json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "no token" }] }));
        answer.headers.push(("WWW-Authenticate".to_string(), value));
        answer
    }

    fn issue(&self, query: &str, form: &str, headers: &Headers) -> Response {
        let is = |(user, password): &(String, String)| {
            http::header(headers, "authorization") == Some(&basic_authorization(user, password))
        };
        let mut scopes: Vec<String> = parameters(query)
            .chain(parameters(form))
            .filter(|(name, _)| name == "scope")
            .flat_map(|(_, value)| value.split(' ').map(String::from).collect::<Vec<_>>())
            .collect();
        let wrong = || respond(401, json!({ "details": "incorrect username or password" }));
        if self.rules.of_repositories.is_empty() {
            if self.rules.credentials.as_ref().is_some_and(|credential| !is(credential)) {
                return wrong();
            }
        } else {
            // Whoever is known gets a token, with the rights that are his.
            if !self.rules.of_repositories.values().chain(&self.rules.credentials).any(is) {
                return wrong();
            }
            let owner = |scope: &String| {
                let name = scope.split(':').nth(1)?;
                self.rules.of_repositories.get(name).or(self.rules.credentials.as_ref())
            };
            scopes.retain(|scope| owner(scope).is_none_or(is));
        }
        if self.rules.single_scope {
            scopes.truncate(1);
        }
        let mut state = lock(&self.state);
        state.issued += 1;
        let name = self.rules.name.as_deref().unwrap_or("token");
        let token = format!("{name}-{}", state.issued);
        state.valid.insert(token.clone(), scopes);
        let key = if self.rules.access_token { "access_token" } else { "token" };
        let mut answer = json!({ key: token });
        if let Some(seconds) = self.rules.expires_in {
            answer["expires_in"] = json!(seconds);
        }
        respond(200, answer)
    }
}

fn respond(status: u16, body: serde_json::Value) -> Response {
    let headers = vec![("Content-Type".to_string(), "application/json".to_string())];
    Response { status, headers, body: body.to_string().into_bytes() }
}

/// Returns the scopes a registry wants for a request, each as `repository:name:actions`.
fn needed_scopes(method: &str, path: &str, query: &str) -> Vec<String> {
    let Some(rest) = path.strip_prefix("/v2/") else { return Vec::new() };
    let cut = ["/manifests/", "/blobs/", "/tags/", "/referrers/"].iter().find_map(|part| rest.rfind(part));
    let Some(cut) = cut else { return Vec::new() };
    let actions = match method {
        "GET" | "HEAD" => "pull",
        "DELETE" => "delete",
        _ => "pull,push",
    };
    let mut scopes = vec![format!("repository:{}:{actions}", &rest[..cut])];
    if let Some((_, from)) = parameters(query).find(|(name, _)| name == "from") {
        scopes.push(format!("repository:{from}:pull"));
    }
    scopes
}

/// Whether the granted scopes together allow all actions of the needed one.
fn covers(granted: &[String], needed: &str) -> bool {
    let Some((name, actions)) = needed.rsplit_once(':') else { return false };
    actions.split(',').all(|action| {
        granted.iter().any(|scope| {
            scope
                .rsplit_once(':')
                .is_some_and(|(n, a)| n == name && a.split(',').any(|x| x == action || x == "*"))
        })
    })
}

fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decode(k), decode(v)))
}

/// Undoes percent encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("GET", "/v2/", "", &[])]
    #[case("GET", "/v2/a/b/manifests/v1", "", &["repository:a/b:pull"])]
    #[case("PUT", "/v2/a/manifests/v1", "", &["repository:a:pull,push"])]
    #[case("POST", "/v2/a/blobs/uploads/", "mount=sha256%3Aab&from=x%2Fy", &["repository:a:pull,push", "repository:x/y:pull"])]
    fn wants_scopes(
        #[case] method: &str,
        #[case] path: &str,
        #[case] query: &str,
        #[case] expected: &[&str],
    ) {
        assert_eq!(needed_scopes(method, path, query), expected);
    }

    #[test]
    fn scopes_add_up() {
        let granted = ["repository:a:pull".to_string(), "repository:a:push".to_string()];
        assert!(covers(&granted, "repository:a:pull,push"));
        assert!(!covers(&granted, "repository:b:pull"));
    }

    #[test]
    fn decodes_percent() {
        assert_eq!(decode("a%2Fb+c%zz"), "a/b c%zz");
    }
}
