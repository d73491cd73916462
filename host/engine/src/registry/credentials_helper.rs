//! Credential helpers: programs named `docker-credential-*` that are asked for one host. [`Helpers`] runs them.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::credentials::{Credential, CredentialError};
use crate::net::Secret;

/// How long a helper may take: some ask a cloud, none should ask a person.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long what a helper said is good: tokens of clouds live for hours, a run may take longer.
const KEEP: Duration = Duration::from_secs(10 * 60);
/// The longest output that is read.
const MAX_OUTPUT: u64 = 64 << 10;
/// The user name by which a helper says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

type Key = (String, String);

/// Runs helpers, one at a time, and remembers for a while what they said.
#[derive(Default)]
pub(super) struct Helpers {
    said: Mutex<HashMap<Key, (Instant, Option<Credential>)>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    #[serde(default)]
    username: String,
    secret: Secret,
}

impl Helpers {
    /// Asks a helper for the credential of a host.
    pub(super) async fn get(&self, name: &str, host: &str) -> Result<Option<Credential>, CredentialError> {
        check_name(name)?;
        let mut said = self.said.lock().await;
        let key = (name.to_owned(), host.to_owned());
        if let Some((when, credential)) = said.get(&key)
            && when.elapsed() < KEEP
        {
            return Ok(credential.clone());
        }
        let credential = ask(&format!("docker-credential-{name}"), host).await?;
        said.insert(key, (Instant::now(), credential.clone()));
        Ok(credential)
    }
}

/// The name comes from a file and becomes the name of a program: it may not lead elsewhere.
fn check_name(name: &str) -> Result<(), CredentialError> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(word) {
        return Err(CredentialError::HelperName(
            name.chars().filter(|c| !c.is_control()).take(100).collect(),
        ));
    }
    Ok(())
}

async fn ask(helper: &str, host: &str) -> Result<Option<Credential>, CredentialError> {
    let fail =
        |reason: String| CredentialError::Helper { helper: helper.to_owned(), host: host.to_owned(), reason };
    let (success, output) = match tokio::time::timeout(TIMEOUT, run(helper, host)).await {
        Ok(result) => result.map_err(|e| fail(e.to_string()))?,
        Err(_) => return Err(fail(format!("it did not answer within {} s", TIMEOUT.as_secs()))),
    };
    if !success {
        let text = String::from_utf8_lossy(&output);
        let text: String = text.trim().chars().filter(|c| !c.is_control()).take(200).collect();
        // One that failed after it had begun to answer.
        if serde_json::from_slice::<Output>(&output).is_ok() || text.contains("\"Secret\"") {
            return Err(fail("it failed, and what it said may hold a credential".to_owned()));
        }
        // What every helper says when it has nothing; the wording is fixed by Docker's own library.
        if text.contains("credentials not found") || text.contains("not found in native keychain") {
            return Ok(None);
        }
        return Err(fail(text));
    }
    let output: Output =
        serde_json::from_slice(&output).map_err(|_| fail("its answer is not a credential".to_owned()))?;
    Ok(Some(if output.username == TOKEN_USER {
        Credential::Identity { user: String::new(), token: output.secret }
    } else {
        Credential::Basic { user: output.username, password: output.secret }
    }))
}

async fn run(helper: &str, host: &str) -> std::io::Result<(bool, Zeroizing<Vec<u8>>)> {
    let mut child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input may still answer.
        let _ = stdin.write_all(host.as_bytes()).await;
    }
    // There is room for all of it, so that it is never moved.
    let mut output = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT as usize + 1));
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::fs::PermissionsExt;

    #[rstest]
    #[case("ecr-login", true)]
    #[case("osxkeychain", true)]
    #[case("acr_env.v2", true)]
    #[case("", false)]
    #[case("../evil", false)]
    #[case("a/b", false)]
    #[case("..", false)]
    #[case("x;rm", false)]
    #[case("x y", false)]
    fn names(#[case] name: &str, #[case] good: bool) {
        assert_eq!(check_name(name).is_ok(), good);
    }

    /// Makes a helper; programs are named by path here, which `check_name` keeps files from doing.
    fn helper(dir: &std::path::Path, script: &str) -> String {
        let path = dir.join("docker-credential-test");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    #[tokio::test]
    async fn what_a_helper_says_has_a_longest() {
        let dir = tempfile::tempdir().unwrap();
        let script = |spaces: usize| format!(r#"printf '%{spaces}s{{"Username":"u","Secret":"s"}}' """#);
        let json = r#"{"Username":"u","Secret":"s"}"#.len();
        let most = MAX_OUTPUT as usize - json;
        assert!(ask(&helper(dir.path(), &script(most)), "r.example").await.unwrap().is_some());
        ask(&helper(dir.path(), &script(most + 1)), "r.example").await.unwrap_err();
    }

    #[tokio::test]
    async fn helpers_are_asked_by_the_protocol() {
        let dir = tempfile::tempdir().unwrap();
        let program = helper(
            dir.path(),
            r#"read -r host; [ "$1" = get ] && printf '{"ServerURL":"%s","Username":"u","Secret":"s-%s"}' "$host" "$host""#,
        );
        let found = ask(&program, "r.example").await.unwrap();
        assert_eq!(found, Some(Credential::Basic { user: "u".into(), password: Secret::new("s-r.example") }));
        let program = helper(dir.path(), r#"printf '{"Username":"<token>","Secret":"t"}'"#);
        let found = ask(&program, "r.example").await.unwrap();
        assert_eq!(found, Some(Credential::Identity { user: String::new(), token: Secret::new("t") }));
    }

    #[tokio::test]
    async fn helpers_that_have_nothing_or_fail() {
        let dir = tempfile::tempdir().unwrap();
        let program = helper(dir.path(), "echo credentials not found in native keychain; exit 1");
        assert_eq!(ask(&program, "r").await.unwrap(), None);
        let program = helper(dir.path(), "echo no such luck; exit 1");
        assert!(ask(&program, "r").await.unwrap_err().to_string().contains("no such luck"));
        let program = helper(dir.path(), "echo secret");
        assert!(!ask(&program, "r").await.unwrap_err().to_string().contains("secret"));
        for said in [r#"{"Username":"u","Secret":"hunter2"}"#, r#"panic at {"Secret":"hunter2"#] {
            let program = helper(dir.path(), &format!("echo '{said}'; exit 1"));
            let error = ask(&program, "r").await.unwrap_err().to_string();
            assert!(error.ends_with("may hold a credential") && !error.contains("hunter2"), "{error}");
        }
        assert!(ask("/nowhere/docker-credential-x", "r").await.is_err());
    }
}
