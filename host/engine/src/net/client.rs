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
use super::{NetError, NetErrorKind, NetSettings, shown};

/// How long a registry may take to store what it has received in full: it may hash it and move it to a bucket.
const STORING: Duration = Duration::from_secs(15 * 60);

/// A body on its way out, piece by piece.
pub type UploadBody = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

/// Makes requests. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
    stall: Duration,
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
        let inner = settings.builder(resolver)?.build().map_err(|e| cannot_be_built(settings, &e))?;
        Ok(Self { inner, stall: settings.stall_timeout })
    }

    /// Makes a request and waits for the head of its answer.
    pub async fn send(&self, request: Request) -> Result<Response, NetError> {
        let url = shown(request.url());
        match tokio::time::timeout(self.stall, self.inner.execute(request)).await {
            Ok(answer) => answer.map_err(|e| NetError::of(&url, e)),
            Err(_) => Err(NetError::about(&url, NetErrorKind::Stalled(self.stall))),
        }
    }

    /// Makes a request with a streamed body. As long as pieces of it go out it may take any time.
    pub async fn upload(&self, mut request: Request, body: UploadBody) -> Result<Response, NetError> {
        let url = shown(request.url());
        let progress = Progress::start(self.stall);
        let watched = Watched { body, progress: progress.clone() };
        *request.body_mut() = Some(reqwest::Body::wrap_stream(watched));
        let mut answer = std::pin::pin!(self.inner.execute(request));
        loop {
            let deadline = progress.deadline();
            tokio::select! {
                answer = &mut answer => return answer.map_err(|e| NetError::of(&url, e)),
                () = tokio::time::sleep_until(deadline) => {
                    if progress.deadline() <= Instant::now() {
                        return Err(NetError::about(&url, NetErrorKind::Stalled(self.stall)));
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
            waiting: false,
        }
    }
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

/// The body of an answer. It ends with an error when nothing comes for too long.
pub struct Body {
    url: String,
    pieces: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    stall: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Stream for Body {
    type Item = Result<Bytes, NetError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(piece) = this.pieces.poll_next_unpin(cx) {
            this.waiting = false;
            return Poll::Ready(piece.map(|p| p.map_err(|e| NetError::of(&this.url, e))));
        }
        // The timer is touched only when there is something to wait for: the hot path has no business with it.
        let deadline = Instant::now() + this.stall;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !this.waiting {
            this.waiting = true;
            timer.as_mut().reset(deadline);
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Some(Err(NetError::about(&this.url, NetErrorKind::Stalled(this.stall)))))
            }
            Poll::Pending => Poll::Pending,
        }
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
        let client = HttpClient { inner, stall: settings.stall_timeout };
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
        let settings = NetSettings { stall_timeout: Duration::from_millis(200), ..NetSettings::default() };
        let client = HttpClient::new(&settings, GuardedResolver::default()).unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        // Nobody reads at the other end, so it goes no further than the buffers of the system.
        let body = futures_util::stream::repeat_with(|| Ok(Bytes::from_static(&[0; 1 << 16])));
        let error = client.upload(Request::new(Method::PUT, url), Box::pin(body)).await.unwrap_err();
        assert!(matches!(error.kind(), NetErrorKind::Stalled(_)), "{error}");
    }
}
