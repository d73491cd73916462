//! A blocking HTTP/1.1 client of one request per connection, plain text only: enough to fill a registry on the loopback
//! interface and to look at its answers. Its main type is [`Response`]. It follows no redirect and retries nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a loopback server may be silent before a test fails instead of hanging.
const SILENCE: Duration = Duration::from_secs(60);

/// Header fields in the order they came.
pub type Headers = Vec<(String, String)>;

/// An answer with its whole body.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    /// The body, with any transfer coding removed.
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the first value of a header field, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Returns the first value of a header field, whatever its case.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// Sends one request to `host` (`127.0.0.1:5000`) and reads the whole answer.
pub fn request(
    host: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    exchange(connect(host)?, host, method, target, headers, body)
}

/// Sends one request over a connection that is open, and reads the whole answer.
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || !matches!(method, "GET" | "HEAD") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| invalid(format!("status line `{first}`")))?;
    let mut body = Vec::new();
    if method != "HEAD" && has_body(status) {
        match BodyKind::of_response(&headers)? {
            BodyKind::UntilClose => drop(reader.read_to_end(&mut body)?),
            kind => body = read_body(&mut reader, kind)?,
        }
    }
    Ok(Response { status, headers, body })
}

/// Sends a `GET` request.
pub fn get(host: &str, target: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    request(host, "GET", target, headers, &[])
}

/// Opens a connection that fails rather than hang.
pub(crate) fn connect(host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether an answer of this status can have a body.
pub(crate) fn has_body(status: u16) -> bool {
    !(status < 200 || status == 204 || status == 304)
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    Length(usize),
    Chunked,
    UntilClose,
}

impl BodyKind {
    pub(crate) fn of_response(headers: &Headers) -> io::Result<Self> {
        if header(headers, "transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked")) {
            return Ok(Self::Chunked);
        }
        match header(headers, "content-length") {
            Some(text) => {
                text.parse().map(Self::Length).map_err(|_| invalid(format!("content length `{text}`")))
            }
            None => Ok(Self::UntilClose),
        }
    }

    /// A request without a length has no body.
    #[cfg(feature = "registries")]
    pub(crate) fn of_request(headers: &Headers) -> io::Result<Self> {
        Ok(match Self::of_response(headers)? {
            Self::UntilClose => Self::Length(0),
            known => known,
        })
    }
}

/// Reads the first line and the header fields; nothing when the peer closed the connection before them.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(String, Headers)>> {
    let Some(first) = read_line(reader)? else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some((first, headers)));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(format!("header `{line}`")))?;
        headers.push((name.to_string(), value.trim().to_string()));
    }
}

/// Reads a body whose end is known.
pub(crate) fn read_body(reader: &mut impl BufRead, kind: BodyKind) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    match kind {
        BodyKind::Length(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        BodyKind::UntilClose => drop(reader.read_to_end(&mut body)?),
        BodyKind::Chunked => loop {
            let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(size, 16).map_err(|_| invalid(format!("chunk size `{line}`")))?;
            if size == 0 {
                while read_line(reader)?.is_some_and(|trailer| !trailer.is_empty()) {}
                break;
            }
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            read_line(reader)?;
        },
    }
    Ok(body)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    String::from_utf8(line).map(Some).map_err(|e| invalid(e.to_string()))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_chunked_body_with_trailer() {
        let mut text: &[u8] = b"4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\nA: b\r\n\r\nnext";
        assert_eq!(read_body(&mut text, BodyKind::Chunked).unwrap(), b"wikipedia");
        assert_eq!(text, b"next");
    }

    #[test]
    fn a_short_body_is_an_error() {
        let mut text: &[u8] = b"abc";
        assert!(read_body(&mut text, BodyKind::Length(4)).is_err());
    }

    #[cfg(feature = "registries")]
    #[test]
    fn a_request_without_a_length_has_no_body() {
        assert_eq!(BodyKind::of_request(&Vec::new()).unwrap(), BodyKind::Length(0));
    }
}
