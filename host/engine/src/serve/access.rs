//! Who may read and who may write: [`Access`], by the users of a password file as `htpasswd -B` writes it.
//!
//! A password is checked against its hash once; after that, what came with it is recognised by a keyed hash that lives as
//! long as the process, since bcrypt takes as long as it does on purpose and clients send their password each time. Unknown
//! users take as long as known ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::answer::{Code, Failure};

/// What clients are asked for.
pub(super) const CHALLENGE: &str = "Basic realm=\"oc-mirror\", charset=\"UTF-8\"";

/// How many passwords are checked at once: each keeps a processor busy, and whoever guesses should not have all of them.
const AT_ONCE: usize = 2;
/// bcrypt takes no notice of what is longer, so a longer password is none.
const MAX_PASSWORD: usize = 72;
/// Checking a password that is hashed with more takes minutes.
const MAX_COST: u32 = 16;

/// Who may do what.
pub struct Access {
    users: BTreeMap<String, User>,
    anonymous_read: bool,
    key: hmac::Key,
    /// What has been found right, by user.
    known: Mutex<HashMap<String, hmac::Tag>>,
    turns: Arc<Semaphore>,
}

#[derive(Clone)]
struct User {
    hash: String,
    may_write: bool,
}

/// The password file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPasswords {
    /// A line is not `USER:HASH`.
    #[error("line {0} is not `USER:HASH`")]
    Line(usize),
    /// A password is hashed in another way than by bcrypt.
    #[error("line {line}: the password of `{user}` is not hashed by bcrypt")]
    Hash {
        /// Where.
        line: usize,
        /// Whose.
        user: String,
    },
    /// A hash takes too long to check.
    #[error("line {line}: the cost of the hash of `{user}` is more than {MAX_COST}")]
    Cost {
        /// Where.
        line: usize,
        /// Whose.
        user: String,
    },
    /// A user is there twice.
    #[error("line {line}: `{user}` is there already")]
    Twice {
        /// Where.
        line: usize,
        /// Who.
        user: String,
    },
    /// Nobody is in it.
    #[error("it has no users")]
    Empty,
    /// Somebody who may only read is not in it.
    #[error("it has no user `{0}`")]
    NoReader(String),
    /// There is no randomness.
    #[error("the operating system has no randomness to offer")]
    NoRandomness,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To find out what the registry asks for.
    Greet,
    Read,
    Write,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("users", &self.users.keys())
            .field("anonymous_read", &self.anonymous_read)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Lets everybody read, and nobody write.
    pub fn read_only() -> Result<Self, InvalidPasswords> {
        Self::of(BTreeMap::new(), true)
    }

    /// Reads a password file. `readers` may not write; with `anonymous_read`, everybody may read.
    pub fn parse(text: &str, readers: &[String], anonymous_read: bool) -> Result<Self, InvalidPasswords> {
        let readers: BTreeSet<&str> = readers.iter().map(String::as_str).collect();
        let mut users: BTreeMap<String, User> = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let parts = content.split_once(':').filter(|(user, _)| !user.is_empty());
            let (user, hash) = parts.ok_or(InvalidPasswords::Line(number))?;
            let named = || user.to_owned();
            let cost = cost_of(hash).ok_or_else(|| InvalidPasswords::Hash { line: number, user: named() })?;
            if cost > MAX_COST {
                return Err(InvalidPasswords::Cost { line: number, user: named() });
            }
            let known = User { hash: hash.to_owned(), may_write: !readers.contains(user) };
            if users.insert(named(), known).is_some() {
                return Err(InvalidPasswords::Twice { line: number, user: named() });
            }
        }
        if users.is_empty() {
            return Err(InvalidPasswords::Empty);
        }
        if let Some(stranger) = readers.into_iter().find(|reader| !users.contains_key(*reader)) {
            return Err(InvalidPasswords::NoReader(stranger.to_owned()));
        }
        Self::of(users, anonymous_read)
    }

    fn of(users: BTreeMap<String, User>, anonymous_read: bool) -> Result<Self, InvalidPasswords> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| InvalidPasswords::NoRandomness)?;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { users, anonymous_read, key, known: Mutex::default(), turns })
    }

    /// Answers whether a request may go on.
    pub(super) async fn admit(&self, headers: &HeaderMap, wish: Wish) -> Result<(), Failure> {
        let Some((name, password)) = credentials(headers)? else {
            // Clients that are told nothing at first never send a password later.
            return match wish {
                Wish::Greet | Wish::Read if self.anonymous_read => Ok(()),
                _ => Err(unauthorized("who are you?")),
            };
        };
        if !self.is_right(&name, password).await {
            return Err(unauthorized("the user is not known, or the password is wrong"));
        }
        let may_write = self.users.get(&name).is_some_and(|user| user.may_write);
        if wish == Wish::Write && !may_write {
            let message = "this user may only read";
            return Err(Failure::new(StatusCode::FORBIDDEN, Code::Denied, message));
        }
        Ok(())
    }

    async fn is_right(&self, name: &str, password: Zeroizing<String>) -> bool {
        let message = message(name, &password);
        let known = self.known.lock().expect("no holder of this lock panics").get(name).copied();
        // The comparison takes the same time wherever the first difference is.
        if known.is_some_and(|tag| hmac::verify(&self.key, &message, tag.as_ref()).is_ok()) {
            return true;
        }
        let user = self.users.get(name);
        // Somebody's hash is checked in any case, so that the time does not tell who is there.
        let Some(any) = user.or_else(|| self.users.values().next()) else { return false };
        let is_user = user.is_some() && password.len() <= MAX_PASSWORD;
        let hash = any.hash.clone();
        let Ok(_turn) = self.turns.clone().acquire_owned().await else { return false };
        let checked =
            tokio::task::spawn_blocking(move || bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false));
        let is_right = checked.await.unwrap_or(false) && is_user;
        if is_right {
            let tag = hmac::sign(&self.key, &message);
            self.known.lock().expect("no holder of this lock panics").insert(name.to_owned(), tag);
        }
        is_right
    }
}

/// Puts a name and a password together in the one way in which no two pairs are the same.
fn message(name: &str, password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([&(name.len() as u64).to_be_bytes(), name.as_bytes(), password.as_bytes()].concat())
}

/// Returns the cost of a hash of bcrypt: `$2y$05$…`, 60 characters in all.
fn cost_of(hash: &str) -> Option<u32> {
    let rest = ["$2y$", "$2a$", "$2b$"].iter().find_map(|start| hash.strip_prefix(start))?;
    let (cost, rest) = rest.split_once('$')?;
    let is_text = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    (cost.len() == 2 && rest.len() == 53 && rest.bytes().all(is_text)).then_some(())?;
    cost.parse().ok().filter(|cost| *cost >= 4)
}

/// Reads who asks. Empty ones are none: clients without any send them to a registry that asked for some.
fn credentials(headers: &HeaderMap) -> Result<Option<(String, Zeroizing<String>)>, Failure> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let read = || {
        let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("basic").then_some(())?;
        let decoded = Zeroizing::new(STANDARD.decode(rest.trim()).ok()?);
        let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some((name.to_owned(), Zeroizing::new(password.to_owned())))
    };
    match read() {
        Some((name, password)) if name.is_empty() && password.is_empty() => Ok(None),
        Some(found) => Ok(Some(found)),
        None => Err(unauthorized("the credentials are not those of a user and a password")),
    }
}

fn unauthorized(message: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
        .with_header(WWW_AUTHENTICATE, CHALLENGE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn hash(password: &str) -> String {
        bcrypt::hash(password, 4).expect("hashed")
    }

    fn headers(user: &str, password: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let text = STANDARD.encode(format!("{user}:{password}"));
        headers.insert(AUTHORIZATION, format!("Basic {text}").parse().expect("a header"));
        headers
    }

    fn access(anonymous_read: bool) -> Access {
        let text = format!("# users\n\nadmin:{}\nnode:{}\n", hash("s3cret"), hash("look:ing"));
        Access::parse(&text, &["node".to_owned()], anonymous_read).expect("a password file")
    }

    async fn status(access: &Access, headers: &HeaderMap, wish: Wish) -> u16 {
        access.admit(headers, wish).await.map_or_else(|failure| failure.status.as_u16(), |()| 200)
    }

    #[tokio::test]
    async fn users_and_readers() {
        let access = access(false);
        for (user, password, read, write) in [
            ("admin", "s3cret", 200, 200),
            ("admin", "s3cret", 200, 200),
            ("node", "look:ing", 200, 403),
            ("admin", "look:ing", 401, 401),
            ("nobody", "s3cret", 401, 401),
            ("admin", "", 401, 401),
            ("", "", 401, 401),
        ] {
            let headers = headers(user, password);
            assert_eq!(status(&access, &headers, Wish::Greet).await, read, "{user}");
            assert_eq!(status(&access, &headers, Wish::Read).await, read, "{user}");
            assert_eq!(status(&access, &headers, Wish::Write).await, write, "{user}");
        }
        assert_eq!(status(&access, &HeaderMap::new(), Wish::Greet).await, 401);
        let long = headers("admin", &"x".repeat(73));
        assert_eq!(status(&access, &long, Wish::Read).await, 401);
    }

    #[tokio::test]
    async fn everybody_may_read_where_that_is_said() {
        let access = access(true);
        for nobody in [HeaderMap::new(), headers("", "")] {
            assert_eq!(status(&access, &nobody, Wish::Greet).await, 200);
            assert_eq!(status(&access, &nobody, Wish::Read).await, 200);
            assert_eq!(status(&access, &nobody, Wish::Write).await, 401);
        }
        assert_eq!(status(&access, &headers("admin", "wrong"), Wish::Read).await, 401);
        let nobody_writes = Access::read_only().expect("randomness");
        assert_eq!(status(&nobody_writes, &HeaderMap::new(), Wish::Read).await, 200);
        assert_eq!(status(&nobody_writes, &headers("admin", "s3cret"), Wish::Write).await, 401);
    }

    #[test]
    fn nothing_secret_is_shown() {
        let text = format!("{:?}", access(false));
        assert!(text.contains("admin") && !text.contains("$2"), "{text}");
    }

    #[rstest]
    #[case("", InvalidPasswords::Empty)]
    #[case("admin", InvalidPasswords::Line(1))]
    #[case(":x", InvalidPasswords::Line(1))]
    #[case("\nadmin:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", InvalidPasswords::Hash { line: 2, user: "admin".into() })]
    #[case("admin:$apr1$x$y", InvalidPasswords::Hash { line: 1, user: "admin".into() })]
    #[case(
        "a:$2y$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        InvalidPasswords::Cost { line: 1, user: "a".into() }
    )]
    fn other_files(#[case] text: &str, #[case] expected: InvalidPasswords) {
        assert_eq!(Access::parse(text, &[], false).expect_err(text), expected);
    }

    #[test]
    fn a_reader_has_to_be_there() {
        let text = format!("admin:{}", hash("x"));
        let error = Access::parse(&text, &["node".to_owned()], false).expect_err("no such user");
        assert_eq!(error, InvalidPasswords::NoReader("node".to_owned()));
        let twice = format!("{text}\n{text}");
        assert_eq!(
            Access::parse(&twice, &[], false).expect_err("twice"),
            InvalidPasswords::Twice { line: 2, user: "admin".to_owned() }
        );
    }
}
