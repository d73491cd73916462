//! HTTP for plugins where content comes from a [`Stock`]: [`StockHttp`] answers for the servers of update graphs with what
//! they said when the stock was made.

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::{Stock, body};
use crate::source::{HttpError, HttpFetch, HttpRequest, HttpResponse};

/// Where plugins look for update graphs.
#[derive(Clone, Debug)]
pub struct GraphServers {
    /// That of OpenShift, without a question.
    pub ocp: String,
    /// That of OKD.
    pub okd: String,
}

/// Answers with update graphs of a stock, and passes on what is allowed.
pub struct StockHttp {
    stock: Arc<Stock>,
    servers: GraphServers,
    elsewhere: Arc<dyn HttpFetch>,
    is_online: bool,
    /// Origins that the user named, which may be asked all the same.
    named: Vec<url::Origin>,
}

impl StockHttp {
    /// Answers in place of `servers`. Others are asked where `is_online` is set; addresses in `named` always.
    pub fn new(
        stock: Arc<Stock>,
        servers: GraphServers,
        elsewhere: Arc<dyn HttpFetch>,
        is_online: bool,
        named: &[String],
    ) -> Self {
        let named = named.iter().filter_map(|url| Url::parse(url).ok()).map(|url| url.origin()).collect();
        Self { stock, servers, elsewhere, is_online, named }
    }

    /// Returns the graph that a request asks for, as it was received.
    async fn graph(&self, url: &Url) -> Option<Vec<u8>> {
        let query = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        let (architecture, channel) = (query("arch")?, query("channel")?);
        let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !is_name(&architecture) || !is_name(&channel) {
            return None;
        }
        let asks = |server: &str| {
            let server = Url::parse(server).ok();
            server.is_some_and(|server| server.origin() == url.origin() && server.path() == url.path())
        };
        let servers = [("ocp", &self.servers.ocp), ("okd", &self.servers.okd)];
        for (product, _) in servers.into_iter().filter(|(_, server)| asks(server)) {
            let path = format!("update-graphs/{product}/{architecture}-{channel}.json");
            if let Some(graph) = self.stock.file(&path).await {
                return Some(graph);
            }
        }
        None
    }
}

#[async_trait]
impl HttpFetch for StockHttp {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = Url::parse(&request.url)
            .map_err(|_| HttpError::Invalid("the address is not an HTTP URL".to_owned()))?;
        let mut shown = url.clone();
        shown.set_query(None);
        let is_allowed = (request.allow)(&request.url);
        if is_allowed
            && request.method == "GET"
            && let Some(graph) = self.graph(&url).await
        {
            if graph.len() as u64 > request.max_bytes {
                return Err(HttpError::Invalid("the answer is longer than it may be".to_owned()));
            }
            return Ok(HttpResponse {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                final_url: shown.to_string(),
                body: body(graph),
            });
        }
        if self.is_online || self.named.contains(&url.origin()) {
            return self.elsewhere.fetch(request).await;
        }
        let place = self.stock.place();
        let reason = format!("the answer is not in {place}, and nothing else is asked without --online");
        Err(HttpError::Denied { url: shown.to_string(), reason })
    }

    fn has_credential(&self, name: &str) -> bool {
        self.elsewhere.has_credential(name)
    }
}
