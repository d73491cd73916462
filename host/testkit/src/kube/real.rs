//! [`Real`]: `kube-apiserver` with `etcd` behind it, as child processes on free loopback ports, with RBAC on.
//!
//! The server is built with Go from the module proxy, which takes some ten minutes once; the program stays in `target/`.

use std::fs;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;

use crate::http::{self, Response};
use crate::tls::Certificates;
use crate::workspace_root;

/// The version that is built.
const VERSION: &str = "1.33.5";
/// Names a program that is built already.
const PROGRAM: &str = "OC_MIRROR_KUBE_APISERVER";
/// How long the processes may take to start. Ten tests may start others at the same time.
const PATIENCE: Duration = Duration::from_secs(180);

/// It takes a few hundred megabytes, so there is one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// A real API server.
#[derive(Debug)]
pub(super) struct Real {
    pub address: String,
    pub certificates: Certificates,
    processes: Vec<Child>,
    _dir: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Real {
    /// Starts the processes and waits until they are ready. `tokens` are lines of a token file.
    pub(super) fn start(tokens: &str, admin: &str) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let program = program();
        let dir = tempfile::tempdir().expect("the machine has a temporary directory");
        let certificates = Certificates::make(dir.path());
        let token_file = dir.path().join("tokens.csv");
        fs::write(&token_file, tokens).expect("the test's own directory is writable");
        let (store, peers, secure) = (free_port(), free_port(), free_port());
        let store_url = format!("http://127.0.0.1:{store}");
        let peer_url = format!("http://127.0.0.1:{peers}");
        let log = |name: &str| {
            let file = fs::File::create(dir.path().join(name)).expect("the test's own directory is writable");
            Stdio::from(file)
        };
        let etcd = Command::new("etcd")
            .arg("--data-dir")
            .arg(dir.path().join("etcd"))
            .args(["--listen-client-urls", &store_url, "--advertise-client-urls", &store_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("default={peer_url}"), "--unsafe-no-fsync"])
            .stdout(log("etcd.log"))
            .stderr(log("etcd.err"))
            .spawn()
            .expect("`etcd` is installed (Debian: etcd-server)");
        let path = |path: &Path| path.display().to_string();
        let server = Command::new(&program)
            .args([
                format!("--etcd-servers={store_url}"),
                format!("--secure-port={secure}"),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--cert-dir={}", path(dir.path())),
                format!("--tls-cert-file={}", path(&certificates.certificate)),
                format!("--tls-private-key-file={}", path(&certificates.key)),
                format!("--client-ca-file={}", path(&certificates.authority)),
                format!("--token-auth-file={}", path(&token_file)),
                "--authorization-mode=RBAC".to_owned(),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", path(&certificates.certificate)),
                format!("--service-account-signing-key-file={}", path(&certificates.key)),
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
            ])
            .stdout(log("apiserver.log"))
            .stderr(log("apiserver.err"))
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run `{}`: {e}", program.display()));
        let mut real = Self {
            address: format!("127.0.0.1:{secure}"),
            certificates,
            // In the order in which they are ended.
            processes: vec![server, etcd],
            _dir: dir,
            _one: one,
        };
        real.wait(admin);
        real
    }

    fn wait(&mut self, token: &str) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.request("GET", "/readyz", token, &[], &[]).is_ok_and(|answer| answer.status == 200) {
                return;
            }
            let is_over =
                self.processes.iter_mut().any(|p| p.try_wait().is_ok_and(|status| status.is_some()));
            assert!(!is_over, "a process ended early:\n{}", self.log());
            thread::sleep(Duration::from_millis(200));
        }
        panic!("the API server is not ready:\n{}", self.log());
    }

    /// The end of what the processes said.
    fn log(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read_to_string(self._dir.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(15)..].join("\n")
        };
        format!("{}\n{}", tail("apiserver.err"), tail("etcd.err"))
    }

    /// Sends a request over TLS.
    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut roots = rustls::RootCertStore::empty();
        let authority =
            CertificateDer::from_pem_file(&self.certificates.authority).map_err(io::Error::other)?;
        roots.add(authority).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        let session = rustls::ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut stream = rustls::StreamOwned::new(session, stream);
        let bearer = format!("Bearer {token}");
        let headers: Vec<(&str, &str)> =
            [("Authorization", bearer.as_str())].into_iter().chain(headers.iter().copied()).collect();
        stream.flush()?;
        http::exchange(stream, &self.address, method, path, &headers, body)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Nobody tells which port it took, so one is looked for; between that and its use somebody else may take it.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Returns the program, which is built where there is none yet.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os(PROGRAM) {
        return PathBuf::from(path);
    }
    let dir = workspace_root().join("target/kube");
    let program = dir.join(format!("kube-apiserver-{VERSION}"));
    if !program.exists() {
        build(&dir, &program);
    }
    program
}

/// Builds it from the module proxy. The module of Kubernetes refers to parts of itself by path, which modules of others
/// cannot; those are published as modules, too.
fn build(dir: &Path, program: &Path) {
    let source = dir.join("src");
    // What a build that broke off has left.
    let _ = fs::remove_dir_all(&source);
    fs::create_dir_all(dir).expect("the target directory is writable");
    let module = format!("k8s.io/kubernetes@v{VERSION}");
    let listed = run(Command::new("go").args(["mod", "download", "-json", &module]));
    let listed: serde_json::Value = serde_json::from_slice(&listed).expect("go prints JSON");
    let from = listed["Dir"].as_str().expect("go tells where the module is");
    run(Command::new("cp").args(["-r", from]).arg(&source));
    run(Command::new("chmod").args(["-R", "u+w"]).arg(&source));
    for name in ["go.work", "go.work.sum"] {
        // There need not be one.
        let _ = fs::remove_file(source.join(name));
    }
    let staged = format!("v0.{}", VERSION.split_once('.').map_or("", |(_, rest)| rest));
    let written = fs::read_to_string(source.join("go.mod")).expect("a module has a go.mod");
    let mut text = String::new();
    for line in written.lines().filter(|line| !line.contains("=> ./staging/")) {
        let is_staged = line.trim_start().starts_with("k8s.io/") && line.contains(" v0.0.0");
        text.push_str(&if is_staged {
            line.replace(" v0.0.0", &format!(" {staged}"))
        } else {
            line.to_owned()
        });
        text.push('\n');
    }
    fs::write(source.join("go.mod"), text).expect("the target directory is writable");
    let version = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let minor = VERSION.split('.').nth(1).unwrap_or_default();
    let versions =
        [version("gitVersion", &format!("v{VERSION}")), version("gitMajor", "1"), version("gitMinor", minor)];
    let partial = program.with_extension("partial");
    run(Command::new("go")
        .args(["build", "-ldflags", &versions.join(" "), "-o"])
        .arg(&partial)
        .arg("./cmd/kube-apiserver")
        .env("GOFLAGS", "-mod=mod")
        .env("GOTOOLCHAIN", "local")
        .current_dir(&source));
    fs::rename(&partial, program).expect("the target directory is writable");
    let _ = fs::remove_dir_all(&source);
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", output.status);
    output.stdout
}
