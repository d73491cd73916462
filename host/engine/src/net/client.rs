//! [`HttpClient`] makes one request at a time and gives up when nothing moves; [`Body`] streams the answer.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::{Request, Response};
use tokio::time::{Instant, Sleep};
use url::Url;

use super::address::GuardedResolver;
use super::{NetError, NetErrorKind, NetSettings, Stall, shown};

/// How long a registry may take to store what it has received in full: it may hash it and move it to a bucket.
const STORING: Duration = Duration::from_secs(15 * 60);

/// A body on its way out, piece by piece.
pub type UploadBody = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

/// Makes requests. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct HttpClient {
    /// For small requests: many share an HTTP/2 connection, where the server offers one.
    small: reqwest::Client,
    /// For bodies of any size, each on a connection of its own.
    large: reqwest::Client,
    stall: Stall,
}

/// Builds a client with the same settings for a library that makes its own requests. No request, and no piece of an
/// answer, may take longer than `patience`.
pub fn plain_client(
    settings: &NetSettings,
    resolver: GuardedResolver,
    patience: Duration,
) -> Result<reqwest::Client, NetError> {
    let builder = settings.builder(resolver)?.read_timeout(patience);
    builder.build().map_err(|e| cannot_be_built(settings, &e))
}

fn cannot_be_built(settings: &NetSettings, error: &reqwest::Error) -> NetError {
    let what = if settings.extra_ca.is_empty() { "HTTP client" } else { "certificate authority" };
    NetError::settings(what, root_cause(error))
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpClient {
    /// Builds a client.
    pub fn new(settings: &NetSettings, resolver: GuardedResolver) -> Result<Self, NetError> {
        // Reading the authorities of the system takes longer than all else in a simulated run.
        #[cfg(feature = "simulation")]
        if super::simulation::wire().is_some() {
            static IDLE: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
            if IDLE.get().is_none() {
                let made = settings
                    .small_builder(resolver.clone())?
                    .build()
                    .map_err(|e| cannot_be_built(settings, &e))?;
                let _ = IDLE.set(made);
            }
            let idle = IDLE.get().expect("it was set");
            return Ok(Self { small: idle.clone(), large: idle.clone(), stall: settings.stall });
        }
        let build =
            |builder: reqwest::ClientBuilder| builder.build().map_err(|e| cannot_be_built(settings, &e));
        let small = build(settings.small_builder(resolver.clone())?)?;
        let large = build(settings.builder(resolver)?)?;
        Ok(Self { small, large, stall: settings.stall })
    }

    /// Makes a request whose answer is small, and waits for the head of that.
    pub async fn send(&self, request: Request) -> Result<Response, NetError> {
        self.execute(&self.small, request).await
    }

    /// Makes a request whose answer may have any size, and waits for the head of that.
    pub async fn open(&self, request: Request) -> Result<Response, NetError> {
        self.execute(&self.large, request).await
    }

    async fn execute(&self, client: &reqwest::Client, request: Request) -> Result<Response, NetError> {
        let url = shown(request.url());
        match tokio::time::timeout(self.stall.after, perform(client, &url, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(NetError::about(&url, NetErrorKind::Stalled(self.stall.after))),
        }
    }

    /// Makes a request with a streamed body. As long as pieces of it go out it may take any time.
    pub async fn upload(&self, mut request: Request, body: UploadBody) -> Result<Response, NetError> {
        let url = shown(request.url());
        let progress = Progress::start(self.stall.after);
        let watched = Watched { body, progress: progress.clone() };
        *request.body_mut() = Some(reqwest::Body::wrap_stream(watched));
        let mut answer = std::pin::pin!(perform(&self.large, &url, request));
        loop {
            let deadline = progress.deadline();
            tokio::select! {
                answer = &mut answer => return answer,
                () = tokio::time::sleep_until(deadline) => {
                    if progress.deadline() <= Instant::now() {
                        return Err(NetError::about(&url, NetErrorKind::Stalled(self.stall.after)));
                    }
                }
            }
        }
    }

    /// Streams the body of an answer.
    pub fn body(&self, response: Response) -> Body {
        Body {
            url: shown(response.url()),
            pieces: Box::pin(response.bytes_stream()),
            stall: self.stall,
            timer: None,
            waiting: None,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }
}

/// Makes a request of the network, or of what stands in for it.
async fn perform(client: &reqwest::Client, url: &str, request: Request) -> Result<Response, NetError> {
    #[cfg(feature = "simulation")]
    if let Some(wire) = super::simulation::wire() {
        return wire.exchange(request).await.map_err(|kind| NetError::about(url, kind));
    }
    client.execute(request).await.map_err(|e| NetError::of(url, e))
}

/// When an upload is given up, unless another piece of it goes out before.
#[derive(Clone)]
struct Progress {
    deadline: Arc<Mutex<Instant>>,
    stall: Duration,
}

impl Progress {
    fn start(stall: Duration) -> Self {
        Self { deadline: Arc::new(Mutex::new(Instant::now() + stall)), stall }
    }

    fn deadline(&self) -> Instant {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extend(&self, by: Duration) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + by;
    }
}

struct Watched {
    body: UploadBody,
    progress: Progress,
}

impl Stream for Watched {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Being asked for more is progress of the other side, having more is progress of ours.
        let this = &mut *self;
        this.progress.extend(this.progress.stall);
        this.body.poll_next_unpin(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.progress.extend(self.progress.stall.max(STORING));
    }
}

/// The body of an answer. It ends with an error when nothing, or next to nothing, comes for too long.
///
/// Only the time counts in which there was nothing to read: whoever reads slowly does not blame the other side.
pub struct Body {
    url: String,
    pieces: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    stall: Stall,
    timer: Option<Pin<Box<Sleep>>>,
    /// Since when there has been nothing to read.
    waiting: Option<Instant>,
    /// How long that was the case before, and what came meanwhile.
    waited: Duration,
    bytes: u64,
}

impl Body {
    /// Counts what has come, and begins to count anew where that is enough.
    fn note(&mut self, bytes: u64) {
        self.bytes += bytes;
        let Some(since) = self.waiting.take() else { return };
        self.waited += since.elapsed();
        if self.waited >= self.stall.after && !self.stall.is_next_to_nothing(self.bytes) {
            self.waited = Duration::ZERO;
            self.bytes = 0;
        }
    }

    /// Ends it.
    fn stalled(&self) -> Poll<Option<Result<Bytes, NetError>>> {
        Poll::Ready(Some(Err(NetError::about(&self.url, NetErrorKind::Stalled(self.stall.after)))))
    }
}

impl Stream for Body {
    type Item = Result<Bytes, NetError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(piece) = this.pieces.poll_next_unpin(cx) {
            if let Some(Ok(piece)) = &piece {
                this.note(piece.len() as u64);
            }
            if this.waited >= this.stall.after && piece.is_some() {
                return this.stalled();
            }
            return Poll::Ready(piece.map(|p| p.map_err(|e| NetError::of(&this.url, e))));
        }
        // The timer is touched only when there is something to wait for: the hot path has no business with it.
        let now = Instant::now();
        let deadline = now + this.stall.after.saturating_sub(this.waited);
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if this.waiting.is_none() {
            this.waiting = Some(now);
            timer.as_mut().reset(deadline);
        }
        let since = this.waiting.unwrap_or(now);
        while timer.as_mut().poll(cx).is_ready() {
            let silent = since + this.stall.after;
            if now >= silent || this.stall.is_next_to_nothing(this.bytes) {
                return this.stalled();
            }
            // What came before this silence was enough; the silence itself may last as long as any.
            this.bytes = 0;
            this.waited = Duration::ZERO;
            timer.as_mut().reset(silent);
        }
        Poll::Pending
    }
}

/// Reads a small body into memory; one that is longer than `cap`, or says so, is refused without reading on.
pub async fn read_capped(client: &HttpClient, response: Response, cap: u64) -> Result<Bytes, NetError> {
    let url: Url = response.url().clone();
    let too_long = || NetError::new(&url, NetErrorKind::TooLong(cap));
    let announced = response.content_length();
    if announced.is_some_and(|n| n > cap) {
        return Err(too_long());
    }
    let mut body = client.body(response);
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if (bytes.len() + piece.len()) as u64 > cap {
            return Err(too_long());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::address::ForbiddenAddress;
    use super::*;
    use reqwest::Method;
    use reqwest::dns::{Name, Resolve, Resolving};

    /// Resolves every name to the metadata service, and finds that it may not.
    struct Hostile;

    impl Resolve for Hostile {
        fn resolve(&self, name: Name) -> Resolving {
            let address = std::net::Ipv4Addr::new(169, 254, 169, 254).into();
            let error = ForbiddenAddress { host: name.as_str().to_owned(), address };
            Box::pin(std::future::ready(Err(error.into())))
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_forbidden_address_is_told_as_such() {
        let settings = NetSettings::default();
        let builder = settings.builder(GuardedResolver::default()).unwrap();
        let inner = builder.dns_resolver(Arc::new(Hostile)).build().unwrap();
        let client = HttpClient { small: inner.clone(), large: inner, stall: settings.stall };
        for url in ["http://innocent.example/", "https://innocent.example/"] {
            let request = Request::new(Method::GET, Url::parse(url).unwrap());
            let error = client.send(request).await.unwrap_err();
            assert!(matches!(error.kind(), NetErrorKind::Forbidden(_)) && !error.is_temporary(), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_may_be_somebody_later() {
        let settings = NetSettings::default();
        let client = HttpClient::new(&settings, GuardedResolver::default()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let request = Request::new(Method::GET, Url::parse(&url).unwrap());
        let error = client.send(request).await.unwrap_err();
        assert!(error.is_temporary() && error.to_string().contains("refused"), "{error}");
    }

    #[tokio::test]
    async fn an_upload_that_does_not_move_is_given_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = NetSettings { stall: short(), ..NetSettings::default() };
        let client = HttpClient::new(&settings, GuardedResolver::default()).unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        // Nobody reads at the other end, so it goes no further than the buffers of the system.
        let body = futures_util::stream::repeat_with(|| Ok(Bytes::from_static(&[0; 1 << 16])));
        let error = client.upload(Request::new(Method::PUT, url), Box::pin(body)).await.unwrap_err();
        assert!(matches!(error.kind(), NetErrorKind::Stalled(_)), "{error}");
    }

    fn short() -> Stall {
        Stall { after: Duration::from_millis(200), below: 1 << 10 }
    }

    /// Serves one answer whose body comes in pieces of this length, with a pause before each.
    async fn trickle(pieces: usize, length: usize, pause: Duration) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", pieces * length);
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..pieces {
                tokio::time::sleep(pause).await;
                if stream.write_all(&vec![b'x'; length]).await.is_err() {
                    return;
                }
            }
        });
        url
    }

    /// Serves one answer with these lines in its head, and asks for it.
    async fn with_head(lines: String) -> Result<usize, NetError> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
        });
        let client = HttpClient::new(&NetSettings::default(), GuardedResolver::default()).unwrap();
        let request = Request::new(Method::GET, Url::parse(&url).unwrap());
        client.send(request).await.map(|answer| answer.headers().len())
    }

    /// Both bounds are hyper's own; this is where it would be noticed if they went.
    #[tokio::test]
    async fn the_head_of_an_answer_has_limits() {
        let lines = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
        assert_eq!(with_head(lines(99)).await.expect("as many as allowed"), 100);
        with_head(lines(100)).await.expect_err("too many lines");
        with_head(format!("x: {}\r\n", "y".repeat(100 << 10))).await.expect("a long line");
        with_head(format!("x: {}\r\n", "y".repeat(512 << 10))).await.expect_err("too long a line");
    }

    async fn read(url: &str, reader_pauses: Duration) -> Result<usize, NetError> {
        let settings = NetSettings { stall: short(), ..NetSettings::default() };
        let client = HttpClient::new(&settings, GuardedResolver::default()).unwrap();
        let request = Request::new(Method::GET, Url::parse(url).unwrap());
        let mut body = client.body(client.open(request).await.unwrap());
        let mut count = 0;
        while let Some(piece) = body.next().await {
            count += piece?.len();
            tokio::time::sleep(reader_pauses).await;
        }
        Ok(count)
    }

    #[tokio::test]
    async fn a_trickle_is_a_stall_and_a_slow_line_is_not() {
        let pause = Duration::from_millis(40);
        // 25 bytes a second, where 1024 are the least.
        let error = read(&trickle(100, 1, pause).await, Duration::ZERO).await.unwrap_err();
        assert!(matches!(error.kind(), NetErrorKind::Stalled(_)), "{error}");
        // 12,500 bytes a second.
        assert_eq!(read(&trickle(20, 500, pause).await, Duration::ZERO).await.unwrap(), 10_000);
    }

    #[tokio::test]
    async fn silence_is_a_stall_whatever_came_before() {
        let error = read(&trickle(2, 100_000, Duration::from_millis(450)).await, Duration::ZERO).await;
        assert!(matches!(error.unwrap_err().kind(), NetErrorKind::Stalled(_)));
    }

    #[tokio::test]
    async fn a_slow_reader_does_not_blame_the_other_side() {
        let url = trickle(3, 100, Duration::ZERO).await;
        assert_eq!(read(&url, Duration::from_millis(300)).await.unwrap(), 300);
    }
}
