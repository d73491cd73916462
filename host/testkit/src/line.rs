//! [`BreakingLine`]: the way to a server over which no connection lasts. It passes bytes on and knows nothing of HTTP, so the
//! server behind sees what servers see when a line breaks: half a request, or a client that is gone.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread;

/// How much is passed on at a time.
const PIECE: usize = 16 << 10;

/// A line that breaks each connection after some bytes, those of both directions counted together.
#[derive(Debug)]
pub struct BreakingLine {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: String,
    broken: AtomicUsize,
    stopped: AtomicBool,
}

impl BreakingLine {
    /// Starts a line to a host and port. The seed decides after how many bytes each connection breaks.
    pub fn to(host: &str, bytes: Range<u64>, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            to: host.to_owned(),
            broken: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &bytes, seed, &serving));
        Self { address, shared }
    }

    /// Returns the host and port of this end.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns how many connections have been broken so far.
    pub fn broken(&self) -> usize {
        self.shared.broken.load(Ordering::SeqCst)
    }
}

impl Drop for BreakingLine {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, bytes: &Range<u64>, seed: u64, shared: &Arc<Shared>) {
    for (number, client) in (0..).zip(listener.incoming()) {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let left = bytes.start + scrambled(seed.wrapping_add(number)) % (bytes.end - bytes.start);
        // Whoever connects while the server is away sees the connection end at once.
        let _ = connect(client, left.cast_signed(), shared);
    }
}

fn connect(client: TcpStream, left: i64, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(&shared.to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let left = Arc::new((AtomicI64::new(left), AtomicBool::new(false)));
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)]
    {
        let (left, shared) = (Arc::clone(&left), Arc::clone(shared));
        thread::spawn(move || {
            // An end that is gone is what the other end is told below.
            let whole = pass(&from, &to, &left.0).unwrap_or(true);
            // The other direction may find out as well.
            if !whole && !left.1.swap(true, Ordering::SeqCst) {
                shared.broken.fetch_add(1, Ordering::SeqCst);
            }
            for end in [from, to] {
                let _ = end.shutdown(Shutdown::Both);
            }
        });
    }
    Ok(())
}

/// Passes bytes on until there are no more, or no more may pass; tells which.
fn pass(mut from: &TcpStream, mut to: &TcpStream, left: &AtomicI64) -> io::Result<bool> {
    let mut piece = [0; PIECE];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(true);
        }
        let before = left.fetch_sub(read as i64, Ordering::SeqCst);
        let allowed = before.clamp(0, read as i64) as usize;
        to.write_all(&piece[..allowed])?;
        if allowed < read {
            return Ok(false);
        }
    }
}

/// Returns a number that has nothing to do with its neighbours' (SplitMix64).
fn scrambled(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageBuilder, Registry, http};

    #[test]
    fn a_connection_breaks_in_the_middle_of_an_answer_or_of_a_request() {
        let registry = Registry::start();
        let image = ImageBuilder::new().random_layer(1, 300_000).build();
        registry.push(&image, "app", "v1");
        let layer = &image.layers[0].blob;
        let path = format!("/v2/app/blobs/{}", layer.digest);
        let line = BreakingLine::to(&registry.host(), 100_000..200_000, 7);
        assert!(http::get(&line.host(), &path, &[]).is_err());
        assert_eq!(line.broken(), 1);
        let half = http::get(&line.host(), &path, &[("Range", "bytes=0-49999")]).unwrap();
        assert_eq!((half.status, half.body.len()), (206, 50_000));
        // A request that the server wants to the end: to others it may answer before the line breaks.
        let opened = http::request(&registry.host(), "POST", "/v2/app/blobs/uploads/", &[], &[]).unwrap();
        let session = opened.header("location").unwrap();
        let session = &session[session.find("/v2/").unwrap()..];
        let target = format!("{session}&digest={}", layer.digest);
        assert!(http::request(&line.host(), "PUT", &target, &[], &layer.bytes).is_err());
        assert_eq!(line.broken(), 2);
    }
}
