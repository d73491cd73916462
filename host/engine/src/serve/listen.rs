//! Connections: [`listen`] takes them, with or without TLS, and lets nobody hold one for nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::ServeError;
use super::crowd::{Busy, Crowd, Seat};
use super::pace::{Pace, TooSlow};

/// The most bytes of the head of a request, and of what is read at once.
const BUFFER: usize = 128 << 10;
/// The most headers of a request.
const HEADERS: usize = 64;
/// How long to wait where the process has no more file descriptors.
const EXHAUSTED: Duration = Duration::from_secs(1);
/// How often to look for somebody to send away where there is no room.
const CROWDED: Duration = Duration::from_millis(100);

/// How connections are gone about.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long one may take to agree on TLS, or to say what it wants.
    pub head_timeout: Duration,
    /// How long one that sends a body may send next to nothing, and one that is sent one take next to nothing; twice as long
    /// after it was fast.
    pub stall: Duration,
    /// Fewer bytes per second than this are next to nothing.
    pub least_rate: u64,
    /// How many connections there may be. Where there are more, one that waits for a request is closed, or others wait.
    pub max_connections: usize,
    /// Answers over TLS, instead of in the clear.
    pub tls: Option<Arc<ServerConfig>>,
    /// How long requests that are being answered may take to end after the shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(60),
            stall: Duration::from_secs(300),
            least_rate: 1 << 10,
            max_connections: 1024,
            tls: None,
            grace: Duration::from_secs(10),
        }
    }
}

impl Limits {
    pub(super) fn pace(&self) -> Pace {
        Pace::new(self.stall, self.least_rate)
    }
}

/// Takes connections until `shutdown` ends, and then lets requests that are under way end.
///
/// # Errors
///
/// Fails if the socket does.
pub async fn listen(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let crowd = Arc::new(Crowd::default());
    let graceful = GracefulShutdown::new();
    let acceptor = limits.tls.clone().map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
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
        let permit = tokio::select! {
            permit = room(&permits, &crowd) => permit,
            () = &mut shutdown => break,
        };
        // Small answers must not wait for an acknowledgement; where it cannot be set, they do.
        let _ = stream.set_nodelay(true);
        let talk = Talk {
            router: router.clone(),
            acceptor: acceptor.clone(),
            seat: crowd.seat(),
            head: limits.head_timeout,
            pace: limits.pace(),
        };
        let watcher = graceful.watcher();
        connections.spawn(async move {
            talk.with(stream, watcher).await;
            drop(permit);
        });
    }
    drop(listener);
    // Whoever does not come to an end in time has had its chance.
    let _ = timeout(limits.grace, graceful.shutdown()).await;
    // When this returns, nobody uses what was served any more.
    connections.shutdown().await;
    Ok(())
}

/// Waits until there is room for another connection, and makes some where it can.
async fn room(permits: &Arc<Semaphore>, crowd: &Crowd) -> OwnedSemaphorePermit {
    let mut permit = std::pin::pin!(permits.clone().acquire_owned());
    loop {
        match timeout(CROWDED, &mut permit).await {
            Ok(permit) => return permit.expect("nobody closes it"),
            Err(_) if crowd.make_room() => tracing::debug!("a connection that waited was closed for another"),
            Err(_) => {}
        }
    }
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
pub(super) async fn answer_one<S>(stream: S, router: Router, limits: &Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (seat, pace) = (Arc::new(Crowd::default()).seat(), limits.pace());
    let talk = Talk { router, acceptor: None, seat, head: limits.head_timeout, pace: pace.clone() };
    let graceful = GracefulShutdown::new();
    talk.answer(Patient::new(stream, pace), graceful.watcher()).await;
}

/// How to go about one connection.
struct Talk {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    seat: Arc<Seat>,
    head: Duration,
    pace: Pace,
}

impl Talk {
    async fn with(self, stream: TcpStream, watcher: Watcher) {
        let seat = self.seat.clone();
        tokio::select! {
            () = self.talk(stream, watcher) => {}
            () = seat.sent_away() => {}
        }
    }

    async fn talk(self, stream: TcpStream, watcher: Watcher) {
        let pace = self.pace.clone();
        let Some(acceptor) = self.acceptor.clone() else {
            return self.answer(Patient::new(stream, pace), watcher).await;
        };
        match timeout(self.head, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.answer(Patient::new(stream, pace), watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection did not become one of TLS"),
            Err(_) => tracing::debug!("a connection took too long to become one of TLS"),
        }
    }

    async fn answer<S>(self, stream: S, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (seat, router) = (self.seat, self.router);
        let service = service_fn(move |request: Request<Incoming>| {
            let busy = seat.busy();
            let answer = TowerToHyperService::new(router.clone()).call(request);
            // Until all of the answer is sent, or given up, the request is being answered.
            async move { answer.await.map(|response| response.map(|body| Answering { body, _busy: busy })) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head);
        builder.max_buf_size(BUFFER).max_headers(HEADERS);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
        }
    }
}

/// The body of an answer.
struct Answering {
    body: axum::body::Body,
    _busy: Busy,
}

impl Body for Answering {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that breaks where the other side takes next to nothing for too long. What it sends is watched where it is
/// read.
struct Patient<S> {
    stream: S,
    pace: Pace,
    /// Since when nothing could be sent, and when there is something to decide.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Patient<S> {
    fn new(stream: S, pace: Pace) -> Self {
        Self { stream, pace, waiting: None }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
        moved: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(outcome) = outcome {
            let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            let bytes = outcome.as_ref().map_or(0, moved) as u64;
            return Poll::Ready(outcome.and_then(|value| self.note(waited, bytes).map(|()| value)));
        }
        loop {
            let patience = self.pace.patience();
            let begin = || (Instant::now(), Box::pin(sleep(patience)));
            let (since, timer) = self.waiting.get_or_insert_with(begin);
            ready!(timer.as_mut().poll(cx));
            let waited = since.elapsed();
            self.waiting = None;
            self.note(waited, 0)?;
        }
    }

    fn note(&mut self, waited: Duration, bytes: u64) -> io::Result<()> {
        let slow = |TooSlow| io::Error::new(io::ErrorKind::TimedOut, "the other side takes next to nothing");
        self.pace.note(waited, bytes).map_err(slow)
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
        self.watch(cx, outcome, |count| *count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, outcome, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, outcome, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, outcome, |()| 0)
    }
}
