//! [`KubeServer`]: the API server of a cluster of OpenShift. With `OC_MIRROR_TEST_KUBE=1` it is a real one, else one that checks
//! objects against their definitions and keeps managed fields as a real one does; tests are the same for both.
//!
//! There are two accounts: `admin` may do everything, `limited` what [`KubeServer::allow`] says.

mod apply;
mod definitions;
mod fake;
mod real;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::faults::{FaultRegistry, Recorded, Rule};
use crate::http::{self, Response};
use definitions::Definition;
use fake::Fake;
use real::Real;

/// Says that tests are to use a real server.
const VARIABLE: &str = "OC_MIRROR_TEST_KUBE";

/// The tokens of the two accounts.
const ADMIN: &str = "token-of-admin";
const LIMITED: &str = "token-of-limited";

/// What an account may do with resources of one kind.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// The group of the API.
    pub group: &'static str,
    /// The resource: `catalogsources`.
    pub resource: &'static str,
    /// What may be done: `get`, `list`, `create`, `patch`, `delete`.
    pub verbs: &'static [&'static str],
}

impl Allowed {
    fn permits(&self, resource: &str, verb: &str) -> bool {
        self.resource == resource && self.verbs.contains(&verb)
    }
}

/// An API server.
#[derive(Debug)]
pub struct KubeServer {
    backend: Backend,
    definitions: Vec<Definition>,
}

#[derive(Debug)]
enum Backend {
    Fake { served: FaultRegistry, fake: Arc<Fake> },
    Real(Box<Real>),
}

impl KubeServer {
    /// Starts a server without any kind of OpenShift: a real one if that is asked for.
    pub fn start() -> Self {
        match std::env::var(VARIABLE) {
            Ok(value) if !value.is_empty() && value != "0" => {
                let tokens = format!("{ADMIN},admin,1,\"system:masters\"\n{LIMITED},limited,2\n");
                Self::with(Backend::Real(Box::new(Real::start(&tokens, ADMIN))))
            }
            _ => Self::start_fake(),
        }
    }

    /// Starts a fake, for tests with faults and for tests that need several servers.
    pub fn start_fake() -> Self {
        let fake = Arc::new(Fake::new((ADMIN, LIMITED)));
        let served = FaultRegistry::serving(Arc::clone(&fake) as Arc<dyn crate::faults::Origin>);
        Self::with(Backend::Fake { served, fake })
    }

    fn with(backend: Backend) -> Self {
        Self { backend, definitions: definitions::core() }
    }

    /// Adds kinds of OpenShift, and the namespaces that clusters have for them.
    pub fn install(&mut self, kinds: &[&str]) -> &mut Self {
        for kind in kinds {
            let definition = definitions::known(kind);
            match &self.backend {
                Backend::Fake { fake, .. } => fake.install(definition.clone()),
                Backend::Real(_) => self.define(&definition),
            }
            self.definitions.push(definition);
        }
        for namespace in ["openshift-config-managed", "openshift-marketplace"] {
            if self.get("Namespace", None, namespace).is_none() {
                self.create_namespace(namespace);
            }
        }
        self
    }

    /// Installs a definition in a real server, and waits until it serves the kind.
    fn define(&self, definition: &Definition) {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let answer = self.send("POST", path, &[], &definition.document);
        assert_eq!(answer.status, 201, "{}: {}", definition.kind, answer.text());
        let start = Instant::now();
        let listed = format!("/apis/{}", definition.api_version());
        loop {
            let is_listed = self.send("GET", &listed, &[], &Value::Null).text().contains(&definition.plural);
            let list = definition.path(None, None);
            if is_listed && self.send("GET", &list, &[], &Value::Null).status == 200 {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{} is not served", definition.kind);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Answers whether this is a real server.
    pub fn is_real(&self) -> bool {
        matches!(self.backend, Backend::Real(_))
    }

    /// Returns the address, with its scheme.
    pub fn url(&self) -> String {
        match &self.backend {
            Backend::Fake { served, .. } => served.url(),
            Backend::Real(real) => format!("https://{}", real.address),
        }
    }

    /// Adds a fault, which only a fake has; see [`Rule`].
    pub fn rule(&self, rule: Rule) -> &Self {
        self.faults().rule(rule);
        self
    }

    /// Forgets all faults.
    pub fn clear_rules(&self) {
        self.faults().clear_rules();
    }

    /// Returns all requests so far, which only a fake records.
    pub fn requests(&self) -> Vec<Recorded> {
        self.faults().requests()
    }

    fn faults(&self) -> &FaultRegistry {
        match &self.backend {
            Backend::Fake { served, .. } => served,
            Backend::Real(_) => panic!("a real server has no faults, and keeps no record"),
        }
    }

    /// Returns a kubeconfig with the contexts `admin` and `limited`, of which the first is the current one. A real server
    /// has a third, `certificate`, for an administrator without a token.
    pub fn kubeconfig(&self) -> String {
        let mut cluster = json!({ "server": self.url() });
        let mut users = vec![
            json!({ "name": "admin", "user": { "token": ADMIN } }),
            json!({ "name": "limited", "user": { "token": LIMITED } }),
        ];
        if let Backend::Real(real) = &self.backend {
            cluster["certificate-authority"] = json!(real.certificates.authority);
            let user = json!({
                "client-certificate": real.certificates.client.join("client.cert"),
                "client-key": real.certificates.client.join("client.key"),
            });
            users.push(json!({ "name": "certificate", "user": user }));
        }
        let contexts: Vec<Value> = users
            .iter()
            .map(|user| json!({ "name": user["name"], "context": { "cluster": "it", "user": user["name"] } }))
            .collect();
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "it", "cluster": cluster }],
            "users": users,
            "contexts": contexts,
            "current-context": "admin",
        });
        format!("{kubeconfig:#}")
    }

    /// Lets the account `limited` do this and nothing else.
    pub fn allow(&self, rules: Vec<Allowed>) {
        if let Backend::Fake { fake, .. } = &self.backend {
            return fake.allow(LIMITED, rules);
        }
        let listed: Vec<String> = self
            .definitions
            .iter()
            .filter(|d| rules.iter().any(|rule| rule.permits(&d.plural, "list")))
            .map(|d| d.path(None, None))
            .collect();
        let rules: Vec<Value> = rules
            .iter()
            .map(|r| json!({ "apiGroups": [r.group], "resources": [r.resource], "verbs": r.verbs }))
            .collect();
        let api = "rbac.authorization.k8s.io";
        let role = json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": { "name": "limited" }, "rules": rules,
        });
        let binding = json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": { "name": "limited" },
            "roleRef": { "apiGroup": api, "kind": "ClusterRole", "name": "limited" },
            "subjects": [{ "apiGroup": api, "kind": "User", "name": "limited" }],
        });
        for (plural, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
            let answer = self.send("POST", &format!("/apis/{api}/v1/{plural}"), &[], &object);
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
        // The server takes a moment to go by new rules.
        let start = Instant::now();
        for path in listed {
            while self.send_as(LIMITED, "GET", &path, &[], &Value::Null).status != 200 {
                assert!(start.elapsed() < Duration::from_secs(30), "{path} may not be listed");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Makes a namespace.
    pub fn create_namespace(&self, name: &str) {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let answer = self.send("POST", "/api/v1/namespaces", &[], &object);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// Returns an object, if there is one.
    pub fn get(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let answer = self.send("GET", &self.path(kind, namespace, Some(name)), &[], &Value::Null);
        match answer.status {
            200 => Some(serde_json::from_slice(&answer.body).expect("an API server answers in JSON")),
            404 => None,
            status => panic!("{status}: {}", answer.text()),
        }
    }

    /// Applies an object as somebody else, whatever others have set.
    pub fn apply_as(&self, manager: &str, object: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kind = text(&object["kind"]).expect("an object has a kind");
        let name = text(&object["metadata"]["name"]).expect("an object has a name");
        let path = self.path(&kind, text(&object["metadata"]["namespace"]).as_deref(), Some(&name));
        let path = format!("{path}?fieldManager={manager}&force=true");
        let answer = self.send("PATCH", &path, &[("Content-Type", "application/apply-patch+yaml")], object);
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    }

    /// Sets what an operator says of an object.
    pub fn set_status(&self, kind: &str, namespace: Option<&str>, name: &str, status: &Value) {
        let path = format!("{}/status", self.path(kind, namespace, Some(name)));
        let patch = json!({ "status": status });
        let answer = self.send("PATCH", &path, &[("Content-Type", "application/merge-patch+json")], &patch);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn path(&self, kind: &str, namespace: Option<&str>, name: Option<&str>) -> String {
        let definition = self.definitions.iter().find(|d| d.kind == kind);
        definition.unwrap_or_else(|| panic!("`{kind}` is not installed")).path(namespace, name)
    }

    /// Sends a request as the administrator.
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        self.send_as(ADMIN, method, path, headers, body)
    }

    fn send_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Response {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let mut headers = headers.to_vec();
        if headers.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        let answer = match &self.backend {
            Backend::Real(real) => real.request(method, path, token, &headers, &body),
            Backend::Fake { served, .. } => {
                let bearer = format!("Bearer {token}");
                headers.push(("Authorization", &bearer));
                http::request(&served.host(), method, path, &headers, &body)
            }
        };
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(name: &str, source: &str) -> Value {
        json!({
            "apiVersion": "config.openshift.io/v1",
            "kind": "ImageDigestMirrorSet",
            "metadata": { "name": name },
            "spec": { "imageDigestMirrors": [{ "source": source, "mirrors": ["m.example/a"] }] },
        })
    }

    #[test]
    fn objects_are_checked_and_kept() {
        let mut server = KubeServer::start();
        server.install(&["ImageDigestMirrorSet"]);
        server.apply_as("one", &mirrors("a", "s.example/a"));
        let found = server.get("ImageDigestMirrorSet", None, "a").expect("it was applied");
        assert_eq!(found["spec"]["imageDigestMirrors"][0]["source"], "s.example/a");
        assert_eq!(found["metadata"]["managedFields"][0]["manager"], "one");
        let path = server.path("ImageDigestMirrorSet", None, Some("a"));
        let apply = |query: &str, object: &Value| {
            let headers = [("Content-Type", "application/apply-patch+yaml")];
            server.send("PATCH", &format!("{path}?{query}"), &headers, object)
        };
        let other = mirrors("a", "other.example/a");
        let refused = apply("fieldManager=two", &other);
        assert_eq!(refused.status, 409, "{}", refused.text());
        let cause: Value = serde_json::from_slice(&refused.body).expect("JSON");
        assert_eq!(cause["details"]["causes"][0]["field"], ".spec.imageDigestMirrors");
        assert!(cause["details"]["causes"][0]["message"].to_string().contains("conflict with \\\"one\\\""));
        assert_eq!(apply("fieldManager=two&force=true&dryRun=All", &other).status, 200);
        assert_eq!(server.get("ImageDigestMirrorSet", None, "a").expect("it stays"), found);
        let mut wrong = mirrors("a", "s.example/a");
        wrong["spec"]["imageDigestMirrors"][0]["mirrors"] = json!("text");
        let refused = apply("fieldManager=one", &wrong).status;
        assert!((400..=500).contains(&refused), "{refused}");
    }
}
