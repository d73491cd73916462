//! WASI for guests whose toolchain insists on it: [`Wasi`] has no files, no network, no environment and no arguments.
//!
//! Clocks stand still and random numbers follow from the component, so that the same inputs give the same outputs.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use oc_mirror_model::digest::{Algorithm, Digest};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx};

/// What one instance may print during a call; what is beyond is dropped.
const MAX_OUTPUT: usize = 64 << 10;
/// The most random bytes that one call gets.
const MAX_RANDOM: u64 = 64 << 10;

/// The WASI of one instance.
pub(crate) struct Wasi {
    context: WasiCtx,
    stdout: Output,
    stderr: Output,
}

impl Wasi {
    /// Makes an empty world; the digest of the component seeds its random numbers.
    pub(crate) fn new(component: &Digest) -> Self {
        let (stdout, stderr) = (Output::default(), Output::default());
        let seed = |purpose: &str| {
            let mut hasher = Algorithm::Sha512.hasher();
            hasher.update(format!("{purpose} {component}").as_bytes());
            Deterministic::new(hasher.finish().hex().as_bytes().to_vec())
        };
        let context = WasiCtx::builder()
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .secure_random(seed("secure"))
            .insecure_random(seed("insecure"))
            .insecure_random_seed(0)
            .max_random_size(MAX_RANDOM)
            .wall_clock(StandingClock)
            .monotonic_clock(CountingClock::default())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .socket_addr_check(|_, _| Box::pin(async { false }))
            .build();
        Self { context, stdout, stderr }
    }

    pub(crate) fn context(&mut self) -> &mut WasiCtx {
        &mut self.context
    }

    /// Takes what has been printed: standard output, standard error.
    pub(crate) fn take_output(&self) -> (String, String) {
        (self.stdout.take(), self.stderr.take())
    }
}

/// The first second of 2020, for ever.
struct StandingClock;

impl HostWallClock for StandingClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(1_577_836_800)
    }
}

/// A microsecond passes whenever somebody looks, so that a guest that waits for time to pass gets on.
#[derive(Default)]
struct CountingClock(AtomicU64);

impl HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        1_000
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}

/// Keeps the first bytes that are printed and forgets the others.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_OUTPUT.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
