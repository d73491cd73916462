//! [`serve`]: answers the page, on the loopback interface.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use oc_mirror_engine::serve::{Limits, listen};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::access::{Admitted, Gate};
use crate::assets::{Page, find, page};
use crate::{ConfigFile, Guide, Token, answer, api};

/// The most bytes of a request: a configuration with every package of every catalog has less.
const MOST: usize = 8 << 20;
/// The most connections: a browser has six for each of its windows.
const MOST_CONNECTIONS: usize = 64;
/// How long a request may take to say what it wants. A connection that a browser holds open is closed after that, too.
const HEAD: Duration = Duration::from_secs(60);
/// How long a request may go on sending next to nothing, or take next to nothing.
const STALL: Duration = Duration::from_secs(30);
/// How long requests that are being answered may take to end after the shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// What the page is about.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The version of the program.
    pub version: String,
    /// The configuration that can be saved.
    pub file: Option<ConfigFile>,
    /// Catalogs that were named.
    pub catalogs: Vec<String>,
    /// Whether imagesets were named.
    pub imagesets: bool,
    /// The names of the plugins that are part of the program, for the lint.
    pub builtins: Vec<String>,
    /// The day, `YYYY-MM-DD`, for the same.
    pub today: Option<String>,
}

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It would be reached by others.
    #[error("the page is for this machine only, and would be reached at {0}")]
    Exposed(std::net::SocketAddr),
    /// The system gives no random numbers.
    #[error("the system has no random numbers for a secret")]
    Randomness,
    /// The socket failed.
    #[error("connections can no longer be taken")]
    Listener(#[source] std::io::Error),
}

/// What requests are answered from.
pub(crate) struct Desk {
    pub(crate) guide: Arc<dyn Guide>,
    pub(crate) version: String,
    pub(crate) file: Option<ConfigFile>,
    pub(crate) catalogs: Vec<String>,
    pub(crate) imagesets: bool,
    pub(crate) builtins: Vec<String>,
    pub(crate) today: Option<String>,
    pub(crate) saving: Mutex<()>,
    gate: Gate,
    page: Page,
}

/// Answers requests until `shutdown` ends. Whoever opens `http://127.0.0.1:PORT/?token=…` first with this token is let in.
///
/// # Errors
///
/// Fails if the address is not one of the loopback interface, or connections can no longer be taken.
pub async fn serve(
    listener: TcpListener,
    token: Token,
    settings: Settings,
    guide: Arc<dyn Guide>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    if !address.ip().is_loopback() {
        return Err(ServeError::Exposed(address));
    }
    let session = Token::new().ok_or(ServeError::Randomness)?;
    let Settings { version, file, catalogs, imagesets, builtins, today } = settings;
    let desk = Arc::new(Desk {
        guide,
        version,
        file,
        catalogs,
        imagesets,
        builtins,
        today,
        saving: Mutex::new(()),
        gate: Gate::new(address.port(), token, session),
        page: page(),
    });
    let router = Router::new().fallback(take).with_state(desk);
    // The rules of the embedded registry hold for whoever comes here: none of them costs a browser anything.
    let limits = Limits {
        head_timeout: HEAD,
        stall: STALL,
        max_connections: MOST_CONNECTIONS,
        grace: GRACE,
        ..Limits::default()
    };
    listen(listener, router, &limits, shutdown).await.map_err(|error| match error {
        oc_mirror_engine::serve::ServeError::Listener(error) => ServeError::Listener(error),
    })
}

/// Answers a request. Nothing is looked at before it is known who asks.
async fn take(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = match desk.gate.admit(&parts.method, &parts.uri, &parts.headers) {
        Ok(admitted) => admitted,
        Err(refused) => return answer::text(StatusCode::FORBIDDEN, refused.text()),
    };
    let path = parts.uri.path();
    if path.starts_with("/api/") {
        return match tokio::time::timeout(STALL, to_bytes(body, MOST)).await {
            Ok(Ok(body)) => api::answer(&desk, &parts.method, path, &body).await,
            Ok(Err(_)) => answer::text(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large.\n"),
            Err(_) => answer::text(StatusCode::REQUEST_TIMEOUT, "The request takes too long.\n"),
        };
    }
    if parts.method != Method::GET {
        return answer::text(StatusCode::METHOD_NOT_ALLOWED, "This can only be read.\n");
    }
    match find(path) {
        Some(asset) => answer::asset(asset),
        None if path == "/" => {
            let page = answer::answer(StatusCode::OK, "text/html; charset=utf-8", desk.page.text.clone());
            let page = answer::with(page, header::CONTENT_SECURITY_POLICY, &desk.page.policy);
            match admitted {
                Admitted::Known => page,
                Admitted::New => answer::with(page, header::SET_COOKIE, &desk.gate.cookie()),
            }
        }
        None => answer::text(StatusCode::NOT_FOUND, "There is no such thing.\n"),
    }
}
