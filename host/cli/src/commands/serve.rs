//! `oc-mirror serve`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::layout::Layout;
use oc_mirror_engine::serve::access::Access;
use oc_mirror_engine::serve::tls::{self, Authority, TlsError};
use oc_mirror_engine::serve::{Backend, ServeOptions, serve};
use oc_mirror_engine::workflow::{directory_of_workspace, serving};

use zeroize::Zeroizing;

use super::interrupted;
use crate::args::ServeArgs;
use crate::error::CliError;
use crate::{environment, keys, output};

/// Serves a directory or an imageset until somebody stops the program.
pub(crate) fn run(args: &ServeArgs) -> Result<u8, CliError> {
    let access = access(args)?;
    super::runtime()?.block_on(async {
        // Nothing is made for what is refused.
        refuse_exposed(args, !is_imageset(&args.dir))?;
        let backend = backend(args).await?;
        let failed = |error: std::io::Error| {
            CliError::caused(format!("cannot listen on {}", args.listen), &error)
                .hint("name another address with --listen ADDRESS:PORT; port 0 takes a free one")
        };
        let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mut options = ServeOptions { access, ..ServeOptions::default() };
        options.limits.tls = match (&args.tls_cert, &args.tls_key) {
            (Some(certificate), Some(key)) => Some(given(certificate, key)?),
            _ if args.tls_self_signed => Some(self_signed(args, address.port())?),
            _ => None,
        };
        output::status(&format!("serving {}", args.dir.display()));
        output::status(&format!("listening on {address}"));
        let stopped = async {
            interrupted().await;
        };
        serve(listener, backend, options, stopped).await.map_err(|error| CliError::from_error(&error))?;
        Ok(0)
    })
}

/// Refuses to let others in where anybody could read along, or write.
fn refuse_exposed(args: &ServeArgs, is_writable: bool) -> Result<(), CliError> {
    if args.listen.ip().is_loopback() {
        return Ok(());
    }
    let has_tls = args.tls_cert.is_some() || args.tls_self_signed;
    let has_users = args.htpasswd.is_some() || (args.anonymous_read && !is_writable);
    let lacks = match (has_tls, has_users) {
        (true, true) => return Ok(()),
        (false, true) => "without TLS",
        (true, false) => "without a password file",
        (false, false) => "without TLS and without a password file",
    };
    if args.insecure {
        let danger = match (has_users, is_writable) {
            (true, _) => "passwords and content can be read, and changed, on their way",
            (false, true) => "whoever reaches it can read and change what is here",
            (false, false) => "whoever reaches it can read what is here",
        };
        output::warning(&format!("{} is served {lacks}: {danger}", args.listen));
        return Ok(());
    }
    let hint = if is_writable {
        "give --tls-self-signed (or --tls-cert and --tls-key) and --htpasswd FILE; --insecure does without"
    } else {
        "give --tls-self-signed (or --tls-cert and --tls-key), and --htpasswd FILE or --anonymous-read; --insecure does without"
    };
    let address = args.listen;
    Err(CliError::new(format!("{address} is reached by others, and would be served {lacks}")).hint(hint))
}

fn access(args: &ServeArgs) -> Result<Option<Arc<Access>>, CliError> {
    let access = match &args.htpasswd {
        Some(path) => {
            let shown = path.display();
            let invalid = |error: &dyn std::error::Error| {
                CliError::caused(format!("the password file `{shown}` cannot be used"), error)
                    .hint("make it with: htpasswd -B -c FILE USER")
            };
            let bytes = environment::read(path, "the password file")?;
            let text = String::from_utf8(bytes).map_err(|error| invalid(&error.utf8_error()))?;
            Access::parse(&text, &args.reader, args.anonymous_read).map_err(|error| invalid(&error))?
        }
        None if args.anonymous_read => Access::read_only().map_err(|error| CliError::from_error(&error))?,
        None => return Ok(None),
    };
    Ok(Some(Arc::new(access)))
}

type Tls = Arc<tls::ServerConfig>;

fn given(certificate: &Path, key: &Path) -> Result<Tls, CliError> {
    let certificates = environment::read(certificate, "the file of --tls-cert")?;
    let key = Zeroizing::new(environment::read(key, "the file of --tls-key")?);
    tls::from_pem(&certificates, &key).map_err(|error| {
        CliError::from_error(&error).hint(
            "--tls-cert has the server's certificate first, --tls-key the key that belongs to it, both PEM",
        )
    })
}

/// Answers with a certificate of one's own authority, and says how to trust it.
fn self_signed(args: &ServeArgs, port: u16) -> Result<Tls, CliError> {
    let failed = |error: TlsError| match error {
        TlsError::Name(_) => CliError::from_error(&error)
            .hint("--tls-name takes a host name such as registry.example, or an address"),
        _ => CliError::from_error(&error).hint(
            "name a directory that can be written, and keeps the authority, with --workspace file://DIR",
        ),
    };
    let authority = Authority::open_or_make(&authority_dir(args)?).map_err(failed)?;
    let names = names(args);
    let tls = authority.server(&names).map_err(failed)?;
    let path = authority.certificate_path().display();
    let host = args.tls_name.first().or(names.first()).map_or("HOST", String::as_str);
    output::status(&format!("the certificate is for {}", names.join(", ")));
    output::status(&format!("its authority is {path}"));
    output::status(&format!("SHA-256 fingerprint {}", authority.fingerprint()));
    output::status(&format!("to trust it, copy that file to /etc/containers/certs.d/{host}:{port}/ca.crt,"));
    output::status(
        "and on OpenShift into the ConfigMap that image.config.openshift.io/cluster names as additionalTrustedCA;",
    );
    output::status(&format!("for oc-mirror, name it with --ca-file {path}"));
    Ok(tls)
}

fn authority_dir(args: &ServeArgs) -> Result<PathBuf, CliError> {
    Ok(directory_of_workspace(&workspace(args)?).join("serve"))
}

/// Returns the directory that the workspace is in.
fn workspace(args: &ServeArgs) -> Result<PathBuf, CliError> {
    Ok(match &args.workspace {
        Some(workspace) => {
            let dir = workspace.strip_prefix("file://").filter(|dir| !dir.is_empty());
            PathBuf::from(dir.ok_or_else(|| {
                CliError::new(format!("--workspace is `{workspace}`"))
                    .hint("a workspace is a directory: file://DIR")
            })?)
        }
        None if args.dir.is_file() => args.dir.parent().map(Path::to_owned).unwrap_or_default(),
        None => args.dir.clone(),
    })
}

/// Returns what clients may call the server: what the user says, the address that is listened on, this machine's name, and
/// the names of the loopback interface.
fn names(args: &ServeArgs) -> Vec<String> {
    let mut names = args.tls_name.clone();
    let ip = args.listen.ip();
    names.extend((!ip.is_unspecified()).then(|| ip.to_string()));
    names.extend((!ip.is_loopback()).then(environment::host_name).flatten());
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// A chunk file, or a directory that holds one, is an imageset; anything else is a directory of images.
async fn backend(args: &ServeArgs) -> Result<Arc<dyn Backend>, CliError> {
    let dir = args.dir.as_path();
    if is_imageset(dir) {
        let trusted = keys::trusted(&args.verify, Some(&workspace(args)?))?;
        return Ok(Arc::new(serving::imagesets(dir, &trusted).await?));
    }
    if !args.verify.verify_key.is_empty() || args.verify.verify_threshold.is_some() {
        return Err(CliError::new("--verify-key is for imagesets, and there is none").hint("leave it out"));
    }
    let layout = Layout::create(dir).map_err(|error| {
        CliError::caused(format!("`{}` cannot be served", dir.display()), &error)
            .hint("serve an OCI image layout, an empty directory, or the directory of an imageset")
    })?;
    Ok(Arc::new(layout))
}

fn is_imageset(dir: &Path) -> bool {
    let holds_chunks = || oc_mirror_engine::archive::find_imagesets(dir).is_ok_and(|sets| !sets.is_empty());
    dir.is_file() || holds_chunks()
}
