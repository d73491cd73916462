//! One client connection of a fault registry: read a request, ask the registry behind, spoil the answer as told, record.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;

use super::{Action, Recorded, Shared, lock};
use crate::http::{self, BodyKind, Headers, Response};

/// Fields that belong to one connection and are never passed on.
const HOP: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "content-length"];

/// How much of a flood is sent at a time.
const PIECE: usize = 64 * 1024;

#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

/// Whether the connection can carry another request.
#[derive(PartialEq, Eq)]
enum After {
    KeepAlive,
    Close,
}

/// Serves requests until either side closes the connection.
pub(super) fn serve(stream: TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read_request(&mut reader)? {
        let busy = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.peak.fetch_max(busy, Ordering::SeqCst);
        let outcome = answer(&stream, &request, number, shared);
        shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        let wants_close =
            http::header(&request.headers, "connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        if outcome? == After::Close || wants_close || shared.stopped.load(Ordering::SeqCst) {
            break;
        }
    }
    // Clones of the socket are kept elsewhere, so dropping this one would not close it.
    stream.shutdown(Shutdown::Both)
}

fn read_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    // Clients that are told not to verify TLS try it first, and would wait for an answer to their greeting.
    if reader.fill_buf()?.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
        return Ok(None);
    }
    let Some((first, headers)) = http::read_head(reader)? else { return Ok(None) };
    let mut words = first.split(' ').map(String::from);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let body = http::read_body(reader, BodyKind::of_request(&headers)?)?;
    Ok(Some(Request { method, path, headers, body }))
}

fn answer(stream: &TcpStream, request: &Request, connection: usize, shared: &Shared) -> io::Result<After> {
    let actions = lock(&shared.table).actions(&request.method, &request.path, &request.headers);
    let response = respond(request, &actions, shared)?;
    let mut record = Recorded {
        method: request.method.clone(),
        path: request.path.clone(),
        headers: request.headers.clone(),
        received: request.body.len(),
        status: response.as_ref().map_or(0, |r| r.status),
        sent: 0,
        connection,
    };
    let Some(mut response) = response else {
        lock(&shared.recorded).push(record);
        return Ok(After::Close);
    };
    spoil(&mut response, &actions);
    let delivery = Delivery::new(&request.method, &response, &actions);
    record.sent = delivery.planned();
    // Recorded before it is sent, so that a client which has its answer finds it in the record.
    lock(&shared.recorded).push(record);
    delivery.send(stream)
}

/// Returns the untouched answer, or nothing when the connection is to be closed instead.
fn respond(request: &Request, actions: &[Action], shared: &Shared) -> io::Result<Option<Response>> {
    for action in actions {
        match action {
            Action::Delay(time) => thread::sleep(*time),
            Action::Hangup => return Ok(None),
            Action::Answer(status, headers, body) => {
                return Ok(Some(Response { status: *status, headers: headers.clone(), body: body.clone() }));
            }
            Action::EndlessTags(count) => return Ok(Some(page_of_tags(&request.path, *count))),
            Action::Redirect(base) => {
                let location = ("Location".to_string(), format!("{base}{}", request.path));
                return Ok(Some(Response { status: 307, headers: vec![location], body: Vec::new() }));
            }
            _ => {}
        }
    }
    if let Some(tokens) = &shared.tokens
        && let Some(answer) = tokens.answer(&request.method, &request.path, &request.headers, &request.body)
    {
        return Ok(Some(answer));
    }
    let response = match (&shared.origin, &shared.upstream) {
        (Some(origin), _) => {
            origin.answer_body(&request.method, &request.path, &request.headers, &request.body)
        }
        (None, Some(upstream)) => pass(upstream, request, actions, shared)?,
        (None, None) => Response { status: 404, headers: Vec::new(), body: Vec::new() },
    };
    Ok((!actions.contains(&Action::LoseAnswer)).then_some(response))
}

/// Makes up a page of a list of tags. The number of the page is in the link that leads to it.
fn page_of_tags(path: &str, count: usize) -> Response {
    let (list, query) = path.split_once('?').unwrap_or((path, ""));
    let number =
        query.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse().ok()).unwrap_or(0_usize);
    let tags: Vec<String> = (0..count).map(|tag| format!("t{}", number * count + tag)).collect();
    let body = serde_json::json!({ "name": "endless", "tags": tags }).to_string().into_bytes();
    let link = ("Link".to_string(), format!("<{list}?page={}>; rel=\"next\"", number + 1));
    Response { status: 200, headers: vec![link], body }
}

/// Asks the registry behind, as far as the quirks of the one before it let that happen.
fn pass(upstream: &str, request: &Request, actions: &[Action], shared: &Shared) -> io::Result<Response> {
    // One at a time where there are quirks: they remember what came before.
    let mut quirks = lock(&shared.quirks);
    if quirks.is_empty() {
        drop(quirks);
        return forward(upstream, request, actions, shared);
    }
    let mut request = request.clone();
    let behind = |request: &Request| forward(upstream, request, actions, shared);
    let mut response = match quirks.before(&mut request, &behind)? {
        Some(response) => response,
        None => behind(&request)?,
    };
    quirks.after(&request, &mut response);
    Ok(response)
}

fn forward(upstream: &str, request: &Request, actions: &[Action], shared: &Shared) -> io::Result<Response> {
    let stripped = |name: &str| {
        actions.iter().any(|a| matches!(a, Action::StripRequestHeader(n) if n.eq_ignore_ascii_case(name)))
    };
    // A bearer token of ours means nothing to the registry behind.
    let ours = |name: &str| shared.tokens.is_some() && name.eq_ignore_ascii_case("authorization");
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !is_hop(name) && !stripped(name) && !ours(name))
        .collect();
    let path = match actions.contains(&Action::RefuseMount) {
        true => without_mount(&request.path),
        false => request.path.clone(),
    };
    http::request(upstream, &request.method, &path, &headers, &request.body)
}

fn is_hop(name: &str) -> bool {
    HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

fn without_mount(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_string() };
    let kept: Vec<&str> =
        query.split('&').filter(|p| !p.starts_with("mount=") && !p.starts_with("from=")).collect();
    if kept.is_empty() { path.to_string() } else { format!("{path}?{}", kept.join("&")) }
}

fn spoil(response: &mut Response, actions: &[Action]) {
    for action in actions {
        match action {
            Action::Corrupt(at) => {
                if let Some(byte) = response.body.get_mut(*at) {
                    *byte = !*byte;
                }
            }
            Action::ReplaceBody(body) => response.body.clone_from(body),
            Action::StripHeader(name) => response.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name)),
            Action::SetHeader(name, value) => {
                response.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
                response.headers.push((name.clone(), value.clone()));
            }
            _ => {}
        }
    }
}

/// How an answer goes over the wire.
struct Delivery<'a> {
    head: String,
    body: &'a [u8],
    chunked: bool,
    stop: Option<usize>,
    stall: Option<(usize, std::time::Duration)>,
    flood: Option<u64>,
    after: After,
}

impl<'a> Delivery<'a> {
    fn new(method: &str, response: &'a Response, actions: &[Action]) -> Self {
        let two_lengths = actions.iter().find_map(|action| match action {
            Action::TwoLengths(claimed) => Some(*claimed),
            _ => None,
        });
        let chunked = actions.contains(&Action::Chunked) || two_lengths.is_some();
        let bodiless = method == "HEAD" || !http::has_body(response.status);
        let mut delivery = Self {
            head: format!("HTTP/1.1 {} Answer\r\n", response.status),
            body: if bodiless { &[] } else { &response.body },
            chunked: chunked && !bodiless,
            stop: None,
            stall: None,
            flood: None,
            after: After::KeepAlive,
        };
        let mut length = (!chunked && http::has_body(response.status)).then_some(response.body.len());
        if method == "HEAD" {
            // The answer to HEAD tells the length of a body that is not there.
            length = http::header(&response.headers, "content-length").and_then(|v| v.parse().ok());
        }
        let claims = actions.iter().any(|a| matches!(a, Action::ClaimLength(_)));
        for action in actions {
            match action {
                Action::Flood(bytes) if !bodiless => {
                    delivery.flood = Some(*bytes);
                    delivery.chunked = !claims;
                    length = length.filter(|_| claims);
                    delivery.after = After::Close;
                }
                Action::DropAfter(bytes) => {
                    delivery.stop = Some(*bytes);
                    delivery.after = After::Close;
                }
                Action::Stall(bytes, time) => delivery.stall = Some((*bytes, *time)),
                Action::ClaimLength(claimed) => {
                    length = Some(*claimed);
                    delivery.after = After::Close;
                }
                Action::CloseAfterAnswer => delivery.after = After::Close,
                _ => {}
            }
        }
        for (name, value) in response.headers.iter().filter(|(name, _)| !is_hop(name)) {
            delivery.head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(claimed) = two_lengths.filter(|_| delivery.chunked) {
            delivery.head.push_str(&format!("Content-Length: {claimed}\r\n"));
        }
        match length {
            Some(length) => delivery.head.push_str(&format!("Content-Length: {length}\r\n\r\n")),
            None if delivery.chunked => delivery.head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
            None => delivery.head.push_str("\r\n"),
        }
        delivery
    }

    /// Returns how many bytes of body will be sent to a client that takes them all.
    fn planned(&self) -> usize {
        let whole = match self.flood {
            Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
            None => self.body.len(),
        };
        whole.min(self.stop.unwrap_or(usize::MAX))
    }

    fn send(self, mut stream: &TcpStream) -> io::Result<After> {
        stream.write_all(self.head.as_bytes())?;
        if self.flood.is_some() {
            return self.pour(stream);
        }
        let end = self.body.len().min(self.stop.unwrap_or(usize::MAX));
        let pause = self.stall.map_or(end, |(at, _)| at.min(end));
        self.write(stream, &self.body[..pause])?;
        if let Some((_, time)) = self.stall {
            thread::sleep(time);
        }
        self.write(stream, &self.body[pause..end])?;
        if self.chunked && self.stop.is_none() {
            stream.write_all(b"0\r\n\r\n")?;
        }
        Ok(self.after)
    }

    fn pour(self, mut stream: &TcpStream) -> io::Result<After> {
        let piece = match self.body.len() {
            0 => vec![b' '; PIECE],
            length => self.body.repeat(PIECE.div_ceil(length)),
        };
        let mut left = self.planned();
        while left > 0 {
            let now = left.min(piece.len());
            self.write(stream, &piece[..now])?;
            left -= now;
        }
        if self.chunked && self.stop.is_none() {
            stream.write_all(b"0\r\n\r\n")?;
        }
        Ok(self.after)
    }

    fn write(&self, mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.chunked {
            return stream.write_all(bytes);
        }
        write!(stream, "{:x}\r\n", bytes.len())?;
        stream.write_all(bytes)?;
        stream.write_all(b"\r\n")
    }
}
