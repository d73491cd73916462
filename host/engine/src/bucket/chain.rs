//! Who is asking: [`find`] looks where tools of AWS look. The environment and files come in as values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use super::error::Fault;
use crate::net::Secret;

/// Credentials, or where to get some. At most one of them is used: the first, in this order.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// A key.
    pub key: Option<Key>,
    /// A token of a file, exchanged for a role (IRSA, OpenShift with STS).
    pub web_identity: Option<WebIdentity>,
    /// A service beside the container that hands out keys.
    pub container: Option<Container>,
    /// Whether the metadata service of the machine may be asked.
    pub machine: bool,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    id: String,
    secret: Secret,
    token: Option<Secret>,
}

/// A token of a file, and the role it is exchanged for.
#[derive(Clone, Debug)]
pub struct WebIdentity {
    token_file: String,
    role: String,
    session: Option<String>,
    sts: Option<String>,
}

/// A service beside the container.
#[derive(Clone, Debug)]
pub enum Container {
    /// That of ECS, by path.
    Relative(String),
    /// That of EKS, by URL and a file with a token.
    Full(String, String),
}

/// What is found besides credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The URL of the store.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
}

/// A profile cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// There is none of that name.
    #[error("there is no profile `{0}` in the files of AWS")]
    Missing(String),
    /// It says how to get credentials in a way that is not known here.
    #[error("the profile `{profile}` gets its credentials by `{way}`, which is not supported")]
    Unsupported {
        /// Its name.
        profile: String,
        /// The key.
        way: &'static str,
    },
}

impl ProfileError {
    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing(_) => "check AWS_PROFILE, ~/.aws/credentials and ~/.aws/config".to_owned(),
            Self::Unsupported { profile, .. } => format!(
                "run `eval \"$(aws configure export-credentials --profile {profile} --format env)\"` first"
            ),
        }
    }
}

/// Ways of a profile that need a program or a browser.
const UNSUPPORTED: [&str; 5] =
    ["credential_process", "sso_session", "sso_start_url", "source_profile", "credential_source"];

/// Looks for credentials, endpoint and region: in variables, then in the profile, then beside the container, and last at the
/// machine's metadata service. `read` returns the text of a file, if there is one.
pub fn find(
    variable: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn(&Path) -> Option<Secret>,
) -> Result<(Credentials, Surroundings), ProfileError> {
    let profile = profile(variable, read)?;
    let secret_variable = |name: &str| variable(name).map(Secret::new);
    let secret_of_profile = |name: &str| profile.as_ref().and_then(|(_, keys)| keys.get(name).cloned());
    let from_profile = |name: &str| secret_of_profile(name).map(|text| text.expose().to_owned());
    let key = |id: Option<String>, secret: Option<Secret>, token: Option<Secret>| {
        id.zip(secret).map(|(id, secret)| Key { id, secret, token })
    };
    let web_identity = |file: Option<String>, role: Option<String>, session: Option<String>| {
        file.zip(role).map(|(token_file, role)| WebIdentity {
            token_file,
            role,
            session,
            sts: variable("AWS_ENDPOINT_URL_STS"),
        })
    };
    let mut found = Credentials {
        key: key(
            variable("AWS_ACCESS_KEY_ID"),
            secret_variable("AWS_SECRET_ACCESS_KEY"),
            secret_variable("AWS_SESSION_TOKEN"),
        ),
        web_identity: web_identity(
            variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
            variable("AWS_ROLE_ARN"),
            variable("AWS_ROLE_SESSION_NAME"),
        ),
        container: None,
        machine: variable("AWS_EC2_METADATA_DISABLED").is_none_or(|v| !v.eq_ignore_ascii_case("true")),
    };
    if found.key.is_none() && found.web_identity.is_none() {
        found.key = key(
            from_profile("aws_access_key_id"),
            secret_of_profile("aws_secret_access_key"),
            secret_of_profile("aws_session_token"),
        );
        found.web_identity = web_identity(
            from_profile("web_identity_token_file"),
            from_profile("role_arn"),
            from_profile("role_session_name"),
        );
        if let (None, None, Some((name, keys))) = (&found.key, &found.web_identity, &profile)
            && let Some(way) = UNSUPPORTED.into_iter().find(|way| keys.contains_key(*way))
        {
            return Err(ProfileError::Unsupported { profile: name.clone(), way });
        }
    }
    found.container =
        variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(Container::Relative).or_else(|| {
            let uri = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
            uri.zip(variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
                .map(|(uri, file)| Container::Full(uri, file))
        });
    let surroundings = Surroundings {
        endpoint: variable("AWS_ENDPOINT_URL_S3")
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| from_profile("endpoint_url")),
        region: variable("AWS_REGION")
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| from_profile("region")),
    };
    Ok((found, surroundings))
}

/// Some of the values are secret, so all are taken for that.
type Keys = BTreeMap<String, Secret>;

/// Reads the profile that is asked for, of both files; nothing if none is asked for and there is no `default`.
fn profile(
    variable: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn(&Path) -> Option<Secret>,
) -> Result<Option<(String, Keys)>, ProfileError> {
    let home = variable("HOME").map(PathBuf::from);
    let file = |name: &str, usual: &str| {
        let path = variable(name).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(usual)))?;
        read(&path)
    };
    let asked = variable("AWS_PROFILE");
    let name = asked.clone().unwrap_or_else(|| "default".to_owned());
    let config = file("AWS_CONFIG_FILE", ".aws/config").unwrap_or_default();
    let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials").unwrap_or_default();
    let mut keys = section(config.expose(), &format!("profile {name}"));
    if name == "default" {
        keys = section(config.expose(), "default").or(keys);
    }
    match (keys, section(credentials.expose(), &name), asked) {
        (None, None, Some(asked)) => Err(ProfileError::Missing(asked)),
        (None, None, None) => Ok(None),
        (config, credentials, _) => {
            let mut keys = config.unwrap_or_default();
            keys.extend(credentials.unwrap_or_default());
            Ok(Some((name, keys)))
        }
    }
}

/// Reads one section of such a file: `[name]`, then lines `key = value`. Lines that are indented belong to a key of their own.
fn section(text: &str, name: &str) -> Option<Keys> {
    let mut keys: Option<Keys> = None;
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(title) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            inside = title.0.split_whitespace().eq(name.split_whitespace());
            if inside {
                keys.get_or_insert_default();
            }
        } else if inside
            && !trimmed.starts_with(['#', ';'])
            && !line.starts_with([' ', '\t'])
            && let Some((key, value)) = trimmed.split_once('=')
        {
            let value = value.split(" #").next().unwrap_or_default().trim();
            let value = Secret::new(value);
            keys.get_or_insert_default().insert(key.trim().to_ascii_lowercase(), value);
        }
    }
    keys
}

impl Credentials {
    /// Hands the first of them on.
    pub(super) fn give(&self, builder: AmazonS3Builder) -> Result<AmazonS3Builder, Fault> {
        use AmazonS3ConfigKey as K;
        if let Some(Key { id, secret, token }) = &self.key {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
            return Ok(match token {
                Some(token) => builder.with_token(token.expose()),
                None => builder,
            });
        }
        if let Some(WebIdentity { token_file, role, session, sts }) = &self.web_identity {
            let given = [
                (K::WebIdentityTokenFile, Some(token_file)),
                (K::RoleArn, Some(role)),
                (K::RoleSessionName, session.as_ref()),
                (K::StsEndpoint, sts.as_ref()),
            ];
            let given = given.into_iter().filter_map(|(key, value)| Some((key, value?)));
            return Ok(given.fold(builder, |builder, (key, value)| builder.with_config(key, value)));
        }
        match &self.container {
            Some(Container::Relative(uri)) => {
                Ok(builder.with_config(K::ContainerCredentialsRelativeUri, uri))
            }
            Some(Container::Full(uri, file)) => Ok(builder
                .with_config(K::ContainerCredentialsFullUri, uri)
                .with_config(K::ContainerAuthorizationTokenFile, file)),
            None if self.machine => Ok(builder),
            None => Err(Fault::NoCredentials),
        }
    }

    /// Leaves the machine's metadata service alone: its keys are of no use elsewhere than at AWS.
    pub fn without_machine(self) -> Self {
        Self { machine: false, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "\
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = s3cr3t

# of the other account
[mirror]
aws_access_key_id=AKMIRROR
aws_secret_access_key=hunter2
aws_session_token = t0k3n
";
    const CONFIG: &str = "\
[default]
region = eu-central-1
[profile mirror]
region = us-gov-west-1
endpoint_url = https://s3.example.com
s3 =
  addressing_style = path
[profile process]
credential_process = /bin/false
";

    fn look(variables: &[(&str, &str)]) -> Result<(Credentials, Surroundings), ProfileError> {
        let variable = |name: &str| {
            let mut all = [("HOME", "/home/u")].into_iter().chain(variables.iter().copied());
            all.rfind(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
        };
        let read = |path: &Path| match path.to_str() {
            Some("/home/u/.aws/credentials") => Some(Secret::new(CREDENTIALS)),
            Some("/home/u/.aws/config") => Some(Secret::new(CONFIG)),
            _ => None,
        };
        find(&variable, &read)
    }

    #[test]
    fn variables_come_before_profiles() {
        let (found, _) =
            look(&[("AWS_ACCESS_KEY_ID", "AKENV"), ("AWS_SECRET_ACCESS_KEY", "x")]).expect("found");
        assert_eq!(found.key.expect("a key").id, "AKENV");
        let role = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn")];
        let (found, _) = look(&role).expect("found");
        assert!(found.key.is_none() && found.web_identity.is_some());
    }

    #[test]
    fn profiles_are_read_of_both_files() {
        let (found, around) = look(&[]).expect("found");
        assert_eq!(found.key.expect("a key").id, "AKDEFAULT");
        assert_eq!(around.region.as_deref(), Some("eu-central-1"));
        let (found, around) = look(&[("AWS_PROFILE", "mirror")]).expect("found");
        let key = found.key.expect("a key");
        assert_eq!((key.id.as_str(), key.secret.expose()), ("AKMIRROR", "hunter2"));
        assert!(key.token.is_some() && !format!("{key:?}").contains("hunter2"));
        assert_eq!(around.endpoint.as_deref(), Some("https://s3.example.com"));
        let (_, around) =
            look(&[("AWS_PROFILE", "mirror"), ("AWS_REGION", "x"), ("AWS_ENDPOINT_URL_S3", "y")])
                .expect("found");
        assert_eq!((around.region.as_deref(), around.endpoint.as_deref()), (Some("x"), Some("y")));
    }

    #[test]
    fn profiles_that_cannot_be_used_are_refused() {
        assert_eq!(
            look(&[("AWS_PROFILE", "nobody")]).expect_err("missing"),
            ProfileError::Missing("nobody".to_owned())
        );
        let error = look(&[("AWS_PROFILE", "process")]).expect_err("unsupported");
        assert!(
            error.to_string().contains("credential_process") && error.hint().contains("--profile process")
        );
    }

    #[test]
    fn nothing_at_all_is_an_error_where_the_machine_is_not_asked() {
        let none = |_: &str| None;
        let (found, _) = find(&none, &|_: &Path| None).expect("nothing is not wrong");
        assert!(found.machine);
        let refused = found.without_machine().give(AmazonS3Builder::new());
        assert!(matches!(refused, Err(Fault::NoCredentials)));
    }
}
