//! [`Fake`]: an API server that speaks as much of the protocol as programs need which apply resources and look at them. It
//! checks objects against their definitions, keeps managed fields, and lets accounts do what they may.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::Allowed;
use super::apply::{Conflict, Stored};
use super::definitions::{self, Definition};
use crate::faults::{Origin, lock};
use crate::http::{Headers, Response, header};

/// The version of Kubernetes that it claims to be.
const VERSION: &str = "v1.33.5";

/// What an API server knows.
#[derive(Debug)]
pub(super) struct Fake {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    definitions: Vec<Definition>,
    /// By path.
    objects: BTreeMap<String, Stored>,
    last_version: u64,
    /// Accounts by token; nothing where everything is allowed.
    accounts: BTreeMap<String, (String, Option<Vec<Allowed>>)>,
}

/// A request that was taken apart.
struct Asked<'a> {
    method: &'a str,
    definition: Definition,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    is_status: bool,
    query: BTreeMap<String, String>,
    body: &'a [u8],
}

type Answer = Result<Value, Value>;

impl Fake {
    /// Starts with two accounts, of which the second may do nothing yet.
    pub(super) fn new((admin, limited): (&str, &str)) -> Self {
        let state = State {
            definitions: definitions::core(),
            accounts: BTreeMap::from([
                (admin.to_owned(), ("admin".to_owned(), None)),
                (limited.to_owned(), ("limited".to_owned(), Some(Vec::new()))),
            ]),
            ..State::default()
        };
        Self { state: Mutex::new(state) }
    }

    pub(super) fn install(&self, definition: Definition) {
        lock(&self.state).definitions.push(definition);
    }

    pub(super) fn allow(&self, token: &str, rules: Vec<Allowed>) {
        if let Some((_, allowed)) = lock(&self.state).accounts.get_mut(token) {
            *allowed = Some(rules);
        }
    }
}

impl Origin for Fake {
    fn answer(&self, method: &str, path: &str, headers: &Headers) -> Response {
        self.answer_body(method, path, headers, &[])
    }

    fn answer_body(&self, method: &str, path: &str, headers: &Headers, body: &[u8]) -> Response {
        let (status, value) = match lock(&self.state).handle(method, path, headers, body) {
            Ok(value) => (if method == "POST" { 201 } else { 200 }, value),
            Err(failure) => {
                (failure["code"].as_u64().and_then(|c| c.try_into().ok()).unwrap_or(500), failure)
            }
        };
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Response { status, headers, body: value.to_string().into_bytes() }
    }
}

impl State {
    fn handle(&mut self, method: &str, target: &str, headers: &Headers, body: &[u8]) -> Answer {
        let token = header(headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        let account = token.and_then(|token| self.accounts.get(token.trim())).cloned();
        let (user, allowed) = account.ok_or_else(|| failure(401, "Unauthorized", "Unauthorized"))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["version"] => {
                return Ok(
                    json!({ "major": "1", "minor": "33", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "" }),
                );
            }
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(failure(404, "NotFound", "the server could not find the requested resource")),
        };
        if rest.is_empty() {
            return self.resources(group, version);
        }
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let (plural, name, is_status) = match rest {
            [plural] => (*plural, None, false),
            [plural, name] => (*plural, Some(*name), false),
            [plural, name, "status"] => (*plural, Some(*name), true),
            _ => return Err(failure(404, "NotFound", "the server could not find the requested resource")),
        };
        let known =
            self.definitions.iter().find(|d| d.group == group && d.version == version && d.plural == plural);
        let Some(definition) = known.cloned() else {
            return Err(failure(404, "NotFound", "the server could not find the requested resource"));
        };
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = query.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
        let asked = Asked { method, definition, namespace, name, is_status, query, body };
        let verb = asked.verb();
        let permitted = |verb: &str| {
            allowed
                .as_ref()
                .is_none_or(|rules| rules.iter().any(|rule| rule.permits(&asked.definition.plural, verb)))
        };
        if !permitted(verb) {
            return Err(asked.forbidden(&user, verb));
        }
        if asked.method == "PATCH" && !self.objects.contains_key(&asked.path()) && !permitted("create") {
            return Err(asked.forbidden(&user, "create"));
        }
        self.perform(&asked)
    }

    fn resources(&self, group: &str, version: &str) -> Answer {
        let found: Vec<Value> = self
            .definitions
            .iter()
            .filter(|d| d.group == group && d.version == version)
            .map(|d| {
                json!({
                    "name": d.plural, "singularName": "", "kind": d.kind, "namespaced": d.is_namespaced,
                    "verbs": ["create", "delete", "get", "list", "patch"],
                })
            })
            .collect();
        if found.is_empty() {
            return Err(failure(404, "NotFound", "the server could not find the requested resource"));
        }
        let api = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Ok(json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": found }))
    }

    fn perform(&mut self, asked: &Asked<'_>) -> Answer {
        let path = asked.path();
        match (asked.method, asked.name) {
            ("GET", None) => Ok(self.list(asked)),
            ("GET", Some(_)) => self.objects.get(&path).map(Stored::shown).ok_or_else(|| asked.missing()),
            ("PATCH", Some(_)) if asked.is_status => self.set_status(asked),
            ("PATCH", Some(name)) => self.apply(asked, name),
            ("POST", None) => {
                let object = asked.object()?;
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let named = Asked {
                    name: Some(&name),
                    query: BTreeMap::new(),
                    definition: asked.definition.clone(),
                    ..*asked
                };
                self.apply(&named, &name)
            }
            ("DELETE", Some(_)) => self.remove(asked),
            _ => Err(failure(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )),
        }
    }

    fn list(&self, asked: &Asked<'_>) -> Value {
        let selector = asked.query.get("labelSelector").into_iter().flat_map(|s| s.split(','));
        let selector: Vec<(&str, &str)> = selector.filter_map(|term| term.split_once('=')).collect();
        let definition = &asked.definition;
        let items: Vec<Value> = self
            .objects
            .values()
            .map(Stored::shown)
            .filter(|o| o["kind"] == definition.kind && o["apiVersion"] == definition.api_version())
            .filter(|o| asked.namespace.is_none_or(|namespace| o["metadata"]["namespace"] == namespace))
            .filter(|o| selector.iter().all(|(key, value)| o["metadata"]["labels"][key] == *value))
            .collect();
        json!({
            "kind": format!("{}List", definition.kind),
            "apiVersion": definition.api_version(),
            "metadata": { "resourceVersion": self.last_version.to_string() },
            "items": items,
        })
    }

    fn apply(&mut self, asked: &Asked<'_>, name: &str) -> Answer {
        if let Some(namespace) = asked.namespace
            && !self.objects.contains_key(&format!("/api/v1/namespaces/{namespace}"))
        {
            let mut missing = failure(404, "NotFound", &format!("namespaces \"{namespace}\" not found"));
            missing["details"] = json!({ "name": namespace, "kind": "namespaces" });
            return Err(missing);
        }
        let mut object = asked.object()?;
        if object["metadata"]["name"] != name {
            return Err(failure(
                400,
                "BadRequest",
                "the name of the object does not match the name on the URL",
            ));
        }
        if let Some(namespace) = asked.namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let said = |name: &str| asked.query.get(name).map(String::as_str);
        let manager = said("fieldManager").unwrap_or("unknown");
        let path = asked.path();
        let live = self.objects.get(&path);
        let applied = Stored::applied(live, &object, manager, said("force") == Some("true"));
        let mut next = applied.map_err(|conflicts| asked.conflict(&conflicts))?;
        let wrong = asked.definition.wrong(&next.object);
        if !wrong.is_empty() {
            let (kind, group) = (&asked.definition.kind, &asked.definition.group);
            let message = format!("{kind}.{group} \"{name}\" is invalid: {}", wrong.join(", "));
            return Err(failure(422, "Invalid", &message));
        }
        if live == Some(&next) {
            return Ok(next.shown());
        }
        let before = live.map(|l| l.object["spec"].clone());
        if before.as_ref() != Some(&next.object["spec"]) {
            next.generation += 1;
        }
        next.version = self.last_version + 1;
        if next.uid.is_empty() {
            next.uid = format!("00000000-0000-4000-8000-{:012}", next.version);
        }
        if said("dryRun") != Some("All") {
            self.last_version = next.version;
            self.objects.insert(path, next.clone());
        }
        Ok(next.shown())
    }

    fn set_status(&mut self, asked: &Asked<'_>) -> Answer {
        let patch = asked.object()?;
        let stored = self.objects.get_mut(&asked.path()).ok_or_else(|| asked.missing())?;
        stored.object["status"] = patch["status"].clone();
        self.last_version += 1;
        stored.version = self.last_version;
        Ok(stored.shown())
    }

    fn remove(&mut self, asked: &Asked<'_>) -> Answer {
        let path = asked.path();
        let stored = self.objects.get(&path).ok_or_else(|| asked.missing())?;
        let options: Value = serde_json::from_slice(asked.body).unwrap_or_default();
        let wanted = &options["preconditions"];
        let differs = |field: &str, actual: &str| wanted[field].as_str().is_some_and(|value| value != actual);
        if differs("uid", &stored.uid) || differs("resourceVersion", &stored.version.to_string()) {
            return Err(failure(409, "Conflict", "the precondition failed: it is another one by now"));
        }
        self.objects.remove(&path);
        Ok(json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }))
    }
}

impl Asked<'_> {
    fn path(&self) -> String {
        self.definition.path(self.namespace, self.name)
    }

    fn verb(&self) -> &'static str {
        match (self.method, self.name) {
            ("GET", None) => "list",
            ("GET", Some(_)) => "get",
            ("POST", _) => "create",
            ("DELETE", _) => "delete",
            _ => "patch",
        }
    }

    fn object(&self) -> Result<Value, Value> {
        serde_json::from_slice(self.body).map_err(|error| failure(400, "BadRequest", &error.to_string()))
    }

    /// How messages name the kind.
    fn resource(&self) -> String {
        let Definition { plural, group, .. } = &self.definition;
        if group.is_empty() { plural.clone() } else { format!("{plural}.{group}") }
    }

    fn missing(&self) -> Value {
        failure(
            404,
            "NotFound",
            &format!("{} \"{}\" not found", self.resource(), self.name.unwrap_or_default()),
        )
    }

    fn forbidden(&self, user: &str, verb: &str) -> Value {
        let name = self.name.map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let place = match self.namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let Definition { plural, group, .. } = &self.definition;
        let message = format!(
            "{}{name} is forbidden: User \"{user}\" cannot {verb} resource \"{plural}\" in API group \"{group}\" {place}",
            self.resource()
        );
        failure(403, "Forbidden", &message)
    }

    fn conflict(&self, conflicts: &[Conflict]) -> Value {
        let api = self.definition.api_version();
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|c| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with \"{}\" using {api}", c.manager),
                    "field": c.field,
                })
            })
            .collect();
        let noun = if conflicts.len() == 1 { "conflict" } else { "conflicts" };
        let message = format!("Apply failed with {} {noun}", conflicts.len());
        let mut answer = failure(409, "Conflict", &message);
        answer["details"] = json!({ "causes": causes });
        answer
    }
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}

/// Undoes percent encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (other, _) => {
                bytes.push(*other);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
