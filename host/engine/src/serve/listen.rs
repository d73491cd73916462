//! Connections: [`listen`] takes them, with or without TLS, and lets nobody hold one for nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{ServeError, ServeOptions};

/// The most bytes of the head of a request, and of what is read at once.
const BUFFER: usize = 128 << 10;
/// The most headers of a request.
const HEADERS: usize = 64;
/// How long to wait where the process has no more file descriptors.
const EXHAUSTED: Duration = Duration::from_secs(1);

/// Takes connections until `shutdown` ends, and then lets requests that are under way end.
pub(super) async fn listen(
    listener: TcpListener,
    router: Router,
    options: &ServeOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let permits = Arc::new(Semaphore::new(options.max_connections));
    let graceful = GracefulShutdown::new();
    let acceptor = options.tls.clone().map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let permit = permits.clone().acquire_owned().await.expect("nobody closes it");
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one(&error) => continue,
            Err(error) if is_exhausted(&error) => {
                tracing::error!(%error, "no connection can be taken for now");
                tokio::select! {
                    () = sleep(EXHAUSTED) => continue,
                    () = &mut shutdown => break,
                }
            }
            Err(error) => return Err(ServeError::Listener(error)),
        };
        // Small answers must not wait for an acknowledgement; where it cannot be set, they do.
        let _ = stream.set_nodelay(true);
        let talk = Talk {
            router: router.clone(),
            acceptor: acceptor.clone(),
            head: options.head_timeout,
            stall: options.stall,
        };
        let watcher = graceful.watcher();
        connections.spawn(async move {
            talk.with(stream, watcher).await;
            drop(permit);
        });
    }
    drop(listener);
    // Whoever does not come to an end in time has had its chance.
    let _ = timeout(options.grace, graceful.shutdown()).await;
    // When this returns, nobody uses what was served any more.
    connections.shutdown().await;
    Ok(())
}

/// Whether only the connection that was to be taken is lost.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Whether it helps to wait until others are closed.
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errors = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| errors.iter().any(|errno| errno.raw_os_error() == code))
}

/// Answers one connection, in the clear.
pub(super) async fn answer_one<S>(stream: S, router: Router, options: &ServeOptions)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let talk = Talk { router, acceptor: None, head: options.head_timeout, stall: options.stall };
    let graceful = GracefulShutdown::new();
    talk.answer(Patient::new(stream, options.stall), graceful.watcher()).await;
}

/// How to go about one connection.
struct Talk {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    head: Duration,
    stall: Duration,
}

impl Talk {
    async fn with(self, stream: TcpStream, watcher: Watcher) {
        let stall = self.stall;
        let Some(acceptor) = self.acceptor.clone() else {
            return self.answer(Patient::new(stream, stall), watcher).await;
        };
        match timeout(self.head, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.answer(Patient::new(stream, stall), watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection did not become one of TLS"),
            Err(_) => tracing::debug!("a connection took too long to become one of TLS"),
        }
    }

    async fn answer<S>(self, stream: S, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(self.router);
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head);
        builder.max_buf_size(BUFFER).max_headers(HEADERS);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
        }
    }
}

/// A connection that breaks where the other side takes nothing for too long. What it sends is watched where it is read.
struct Patient<S> {
    stream: S,
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S, stall: Duration) -> Self {
        Self { stream, stall, waiting: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, outcome)
    }
}
