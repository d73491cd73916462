//! A look at all places that a run needs, before it begins: [`examine`]. Nothing is written but an upload that is given up at once,
//! as [`Client::may_push`] has it.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::checkup::{Checkup, Outcome};
use oc_mirror_model::reference::{Reference, Registry, Repository, Target};
use url::Url;

use super::error::content_hint;
use super::network::Network;
use crate::content::{ContentError, ContentErrorKind};
use crate::net::{Greeting, NetErrorKind};
use crate::registry::Client;
use crate::registry::profile::{Profile, Upload};

/// How many days before its end a certificate is worth a warning.
const EXPIRES_SOON: i64 = 30;
const DAY: i64 = 24 * 60 * 60;
/// How many seconds clocks may differ before tokens and signatures may be taken for too old or too new.
const CLOCK: i64 = 60;
/// How many seconds clocks may differ before that is sure.
const CLOCK_WRONG: i64 = 300;

/// The places that a run needs.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Images that are read. One of each namespace is asked for.
    pub images: Vec<Reference>,
    /// Servers of anything else, by what they are for.
    pub servers: Vec<(&'static str, Url)>,
    /// Where to publish.
    pub target: Option<Target>,
}

/// Looks at all places. `now` is the time in seconds since 1970.
pub async fn examine(network: &Network, places: &Places, now: i64) -> Checkup {
    let mut doctor = Doctor { network, now, checkup: Checkup::default(), greeted: BTreeMap::new() };
    let mut asked: BTreeSet<(Registry, String)> = BTreeSet::new();
    for image in &places.images {
        let namespace = image.repository.as_str().split('/').next().unwrap_or_default().to_owned();
        if asked.insert((image.registry.clone(), namespace)) {
            doctor.image(image).await;
        }
    }
    for (what, url) in &places.servers {
        doctor.server(what, url).await;
    }
    if let Some(target) = &places.target {
        doctor.target(target).await;
    }
    doctor.checkup
}

struct Doctor<'a> {
    network: &'a Network,
    now: i64,
    checkup: Checkup,
    /// The registries that were looked at, and whether they answer.
    greeted: BTreeMap<String, bool>,
}

impl Doctor<'_> {
    fn ok(&mut self, subject: &str, what: &str, message: impl Into<String>) {
        self.checkup.note(subject, what, Outcome::Ok, message, None);
    }

    fn warn(&mut self, subject: &str, what: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.checkup.note(subject, what, Outcome::Warning, message, Some(hint.into()));
    }

    fn failed(&mut self, subject: &str, what: &str, error: &ContentError) {
        self.checkup.note(subject, what, Outcome::Failed, told(error), content_hint(error));
    }

    /// Looks at all places of an image. Where one of several has it, what is wrong with the others stops no run.
    async fn image(&mut self, image: &Reference) {
        let readers = match self.network.readers(image) {
            Ok(readers) => readers,
            Err(error) => return self.failed(image.registry.as_str(), "address", &error),
        };
        let (start, several) = (self.checkup.checks.len(), readers.len() > 1);
        let mut is_readable = false;
        for (place, client) in readers {
            match client {
                Ok(client) => is_readable |= self.reader(&client, &place).await,
                Err(error) => self.failed(place.registry.as_str(), "address", &error),
            }
        }
        if several && is_readable {
            let others = self.checkup.checks[start..].iter_mut();
            others.filter(|checked| checked.outcome == Outcome::Failed).for_each(|checked| {
                checked.outcome = Outcome::Warning;
            });
        }
    }

    /// Looks at one place of an image; answers whether it can be read there.
    async fn reader(&mut self, client: &Client, image: &Reference) -> bool {
        if !self.greets(client).await {
            return false;
        }
        let subject = format!("{}/{}", image.registry, image.repository);
        let has_name = image.tag.is_some() || image.digest.is_some();
        let access = match client.check_access(Some(&image.repository)).await {
            Ok(()) if has_name => {
                let found = client.head_manifest(&image.repository, &image.selector()).await;
                found.map(|found| found.is_some())
            }
            other => other.map(|()| true),
        };
        match access {
            Ok(is_there) => {
                self.credential(&image.registry, &image.repository, &subject).await;
                if !is_there {
                    let message = format!("`{image}` is not there");
                    let hint = "see whether the name is right, and whether the credential may read it: some registries hide what it may not";
                    self.warn(&subject, "image", message, hint);
                }
                is_there
            }
            Err(error) => {
                self.refused(&image.registry, &image.repository, &subject, &error).await;
                false
            }
        }
    }

    /// Tells of a credential that is taken.
    async fn credential(&mut self, registry: &Registry, repository: &Repository, subject: &str) {
        match self.network.has_credential(registry, Some(repository)).await {
            Ok(true) => self.ok(subject, "credential", "there is one, and it is taken"),
            Ok(false) => self.ok(subject, "credential", "none is needed"),
            Err(error) => {
                let hint = "see whether the credential helper is installed and answers".to_owned();
                self.checkup.note(subject, "credential", Outcome::Failed, error.to_string(), Some(hint));
            }
        }
    }

    /// Tells why something may not be read or written.
    async fn refused(
        &mut self,
        registry: &Registry,
        repository: &Repository,
        subject: &str,
        error: &ContentError,
    ) {
        if !matches!(error.kind(), ContentErrorKind::Unauthorized | ContentErrorKind::Denied) {
            return self.failed(subject, "credential", error);
        }
        let (message, hint) = match self.network.has_credential(registry, Some(repository)).await {
            Ok(true) => (
                "the credential is not taken: it is wrong or has expired, or may not do this",
                format!("log in again with `podman login {registry}`, or give a file with --authfile"),
            ),
            _ => (
                "a credential is needed, and there is none",
                format!("log in with `podman login {registry}`, or give a file with --authfile"),
            ),
        };
        self.checkup.note(subject, "credential", Outcome::Failed, message, Some(hint));
    }

    /// Looks at the address, certificate and clock of a registry, once; answers whether it can be asked more.
    async fn greets(&mut self, client: &Client) -> bool {
        let registry = client.registry().to_string();
        if let Some(answers) = self.greeted.get(&registry) {
            return *answers;
        }
        let answers = match client.greeting().await {
            Ok(greeting) => {
                self.greeting(&registry, &greeting);
                true
            }
            Err(error) => {
                self.failed(&registry, "address", &error);
                false
            }
        };
        self.greeted.insert(registry, answers);
        answers
    }

    fn greeting(&mut self, subject: &str, greeting: &Greeting) {
        self.ok(subject, "address", format!("it answers at {}", greeting.url));
        if let Some(until) = greeting.certificate_until {
            self.certificate(subject, until);
        } else if greeting.url.starts_with("http:") {
            let hint = "use TLS where what is mirrored passes through networks of others";
            self.warn(subject, "certificate", "there is none: it speaks plain HTTP", hint);
        }
        if let Some(clock) = greeting.clock {
            self.clock(subject, clock);
        }
    }

    fn certificate(&mut self, subject: &str, until: i64) {
        let (outcome, message) = of_certificate((until - self.now).div_euclid(DAY));
        let hint = (outcome != Outcome::Ok).then(|| "have whoever runs the server renew it".to_owned());
        self.checkup.note(subject, "certificate", outcome, message, hint);
    }

    fn clock(&mut self, subject: &str, clock: i64) {
        let (outcome, message) = of_clock(self.now - clock);
        let hint = "set the clock of the one that is wrong, with chrony or `timedatectl set-ntp true`: tokens, certificates and \
                    signatures depend on it";
        let hint = (outcome != Outcome::Ok).then(|| hint.to_owned());
        self.checkup.note(subject, "clock", outcome, message, hint);
    }

    async fn server(&mut self, what: &str, url: &Url) {
        let subject = crate::net::shown(url);
        let error = match self.network.greeting(url.clone()).await {
            Ok(greeting) => {
                self.greeting(&subject, &greeting);
                let status = greeting.status;
                if status.is_client_error() || status.is_server_error() {
                    let hint = "see whether the address is right, and whether a proxy answers in its place";
                    let message = format!("{what}: it answers {status}");
                    self.checkup.note(&subject, "answer", Outcome::Failed, message, Some(hint.to_owned()));
                }
                return;
            }
            Err(error) => error,
        };
        let hint = match error.kind() {
            NetErrorKind::Tls(_) => "trust its authority with --ca-file, if it is the right server",
            NetErrorKind::PlainHttp => "write `http://`, if that is meant",
            _ => "see whether name and port are right, and whether a firewall or proxy is in the way",
        };
        let message = format!("{what}: {}", error.kind());
        self.checkup.note(&subject, "address", Outcome::Failed, message, Some(hint.to_owned()));
    }

    async fn target(&mut self, target: &Target) {
        let subject = match &target.prefix {
            Some(prefix) => format!("{}/{prefix}", target.registry),
            None => target.registry.to_string(),
        };
        let client = match self.network.writer(target) {
            Ok(client) => client,
            Err(error) => return self.failed(&subject, "address", &error),
        };
        if !self.greets(&client).await {
            return;
        }
        match client.profile().await {
            Ok(found) => {
                self.ok(&subject, "registry", format!("{}, {}", found.profile.title, found.because));
                self.uploads(&subject, found.profile);
            }
            Err(error) => self.failed(&subject, "registry", &error),
        }
        let repository = scratch(target);
        match client.may_push(&repository).await {
            Ok(None) => {
                self.credential(&target.registry, &repository, &subject).await;
                self.ok(&subject, "push", "an upload may begin");
            }
            Ok(Some(reason)) => {
                let hint =
                    format!("log in with `podman login {}` as somebody who may push there", target.registry);
                self.checkup.note(&subject, "push", Outcome::Failed, reason, Some(hint));
            }
            Err(error) => self.refused(&target.registry, &repository, &subject, &error).await,
        }
        match client.has_referrers_api(&repository).await {
            Ok(true) => self.ok(&subject, "referrers", "it has the referrers API"),
            Ok(false) => self.ok(&subject, "referrers", "it has no referrers API: signatures go under tags"),
            // What has been denied was told.
            Err(error)
                if matches!(error.kind(), ContentErrorKind::Unauthorized | ContentErrorKind::Denied) => {}
            Err(error) => self.failed(&subject, "referrers", &error),
        }
    }

    fn uploads(&mut self, subject: &str, profile: &Profile) {
        let message = match profile.upload {
            Upload::Whole => "blobs go in one request each".to_owned(),
            Upload::Stream => "blobs go in one stream each".to_owned(),
            Upload::Chunks(bytes) => format!("blobs go in pieces of {} MiB", bytes >> 20),
            Upload::Single => "blobs go in a single request each".to_owned(),
        };
        self.ok(subject, "uploads", message);
    }
}

/// Judges a certificate by the days for which it counts.
fn of_certificate(days: i64) -> (Outcome, String) {
    match days {
        // It was let pass, so certificates are not verified.
        ..0 => (Outcome::Warning, format!("it expired {} days ago", -days)),
        0..EXPIRES_SOON => (Outcome::Warning, format!("it expires in {days} days")),
        _ => (Outcome::Ok, format!("it is valid for {days} days more")),
    }
}

/// Judges a clock by the seconds that this machine is ahead of it.
fn of_clock(ahead: i64) -> (Outcome, String) {
    let word = if ahead > 0 { "ahead of" } else { "behind" };
    let message = format!("this machine is {} s {word} it", ahead.abs());
    match ahead.abs() {
        apart if apart <= CLOCK => (Outcome::Ok, format!("it is within {CLOCK} s of this machine's")),
        apart if apart <= CLOCK_WRONG => (Outcome::Warning, message),
        _ => (Outcome::Failed, message),
    }
}

/// Where a push is tried: what is there already is not touched by that.
fn scratch(target: &Target) -> Repository {
    let repository: Repository =
        crate::metadata::in_registry::REPOSITORY.parse().expect("a constant that is a repository");
    repository.under(target.prefix.as_ref())
}

/// Returns an error with its causes, but without its subject.
fn told(error: &ContentError) -> String {
    let mut text = error.kind().to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(-1, Outcome::Warning, "it expired 1 days ago")]
    #[case(0, Outcome::Warning, "it expires in 0 days")]
    #[case(29, Outcome::Warning, "it expires in 29 days")]
    #[case(30, Outcome::Ok, "it is valid for 30 days more")]
    fn certificates(#[case] days: i64, #[case] outcome: Outcome, #[case] message: &str) {
        assert_eq!(of_certificate(days), (outcome, message.to_owned()));
    }

    #[rstest]
    #[case(60, Outcome::Ok, "it is within 60 s of this machine's")]
    #[case(-61, Outcome::Warning, "this machine is 61 s behind it")]
    #[case(301, Outcome::Failed, "this machine is 301 s ahead of it")]
    fn clocks(#[case] ahead: i64, #[case] outcome: Outcome, #[case] message: &str) {
        assert_eq!(of_clock(ahead), (outcome, message.to_owned()));
    }
}
