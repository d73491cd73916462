//! [`Server`]: `oc-mirror serve` as a child process, gone with its value.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use oc_mirror_testkit::http;

use crate::run::Tool;

/// How long the program may take to listen; it takes milliseconds.
const START: Duration = Duration::from_secs(20);

/// A directory served as a registry.
pub(crate) struct Server {
    child: Child,
    /// The host and port.
    pub(crate) host: String,
}

impl Server {
    /// Makes the directory, serves it and waits for the first answer.
    pub(crate) fn start(program: &Path, dir: &Path) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(|e| format!("cannot make `{}`: {e}", dir.display()))?;
        let host = free_address()?;
        let mut command =
            Tool::new(program).args(["serve"]).path(dir).args(["--listen", host.as_str()]).into_command();
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let child = child.map_err(|e| format!("cannot run `{}`: {e}", program.display()))?;
        let mut server = Self { child, host };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START;
        while !http::get(&self.host, "/v2/", &[]).is_ok_and(|answer| answer.status == 200) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("`oc-mirror serve` ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("`oc-mirror serve` does not answer on {}", self.host));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns an address on the loopback interface that nobody listens on at this moment.
pub(crate) fn free_address() -> Result<String, String> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(address.map_err(|e| format!("no free port on the loopback interface: {e}"))?.to_string())
}
