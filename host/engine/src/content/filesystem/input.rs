//! The bytes of one layer, uncompressed and within limits: [`LayerReader`], fed from a stream by [`with_layer`].

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{FilesystemError, Limits};
use crate::content::BlobStream;

/// How many pieces of a stream may wait for the decompressor.
const PIECES: usize = 2;

/// The largest window of zstd, as a power of two: 128 MiB, what its own command line tool takes.
const ZSTD_WINDOW: u32 = 27;

/// What the layers of an image may still become.
#[derive(Debug)]
pub(super) struct Budget {
    output: u64,
    ratio: u64,
    ratio_from: u64,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { output: limits.output_bytes, ratio: limits.ratio, ratio_from: limits.ratio_from }
    }
}

/// Reads one layer, uncompressed.
pub(super) struct LayerReader {
    inner: Box<dyn Read + Send>,
    layer: String,
    input: Arc<AtomicU64>,
    output: u64,
    budget: Budget,
}

impl LayerReader {
    fn new(pieces: mpsc::Receiver<Bytes>, budget: Budget, layer: String) -> Result<Self, FilesystemError> {
        let input = Arc::new(AtomicU64::new(0));
        let fed = Fed { pieces, current: Bytes::new(), count: input.clone() };
        let invalid = |e: io::Error| FilesystemError::Invalid { layer: layer.clone(), reason: e.to_string() };
        let inner = decompressed(BufReader::new(fed)).map_err(invalid)?;
        Ok(Self { inner, layer, input, output: 0, budget })
    }

    /// Returns how many bytes have been read.
    pub(super) fn position(&self) -> u64 {
        self.output
    }

    /// Reads until the buffer is full.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), FilesystemError> {
        match self.fill_or_end(buffer)? {
            true => Ok(()),
            false => Err(self.invalid("it ends in the middle")),
        }
    }

    /// Reads until the buffer is full. `false`: there is nothing more at all.
    pub(super) fn fill_or_end(&mut self, buffer: &mut [u8]) -> Result<bool, FilesystemError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let count = match self.inner.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(self.invalid("it ends in the middle")),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.invalid(&error.to_string())),
            };
            filled += count;
            self.output += count as u64;
            self.check()?;
        }
        Ok(true)
    }

    /// Passes over bytes.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), FilesystemError> {
        let mut buffer = vec![0; usize::try_from(count).unwrap_or(usize::MAX).min(64 << 10)];
        let mut left = count;
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            self.fill(&mut buffer[..now])?;
            left -= now as u64;
        }
        Ok(())
    }

    /// Makes an error about this layer.
    pub(super) fn invalid(&self, reason: &str) -> FilesystemError {
        FilesystemError::Invalid { layer: self.layer.clone(), reason: reason.to_owned() }
    }

    /// Makes an error about a limit.
    pub(super) fn limit(&self, what: impl Into<String>) -> FilesystemError {
        FilesystemError::Limit { layer: self.layer.clone(), what: what.into() }
    }

    /// Returns what is left for the next layer.
    pub(super) fn into_budget(self) -> Budget {
        Budget { output: self.budget.output.saturating_sub(self.output), ..self.budget }
    }

    fn check(&self) -> Result<(), FilesystemError> {
        let Budget { output, ratio, ratio_from } = self.budget;
        if self.output > output {
            return Err(self.limit(format!("uncompressed, it has more than {output} bytes that are left")));
        }
        if self.output > ratio_from {
            let input = self.input.load(Ordering::Relaxed);
            if self.output > input.saturating_mul(ratio) {
                return Err(self.limit(format!("it is compressed to less than 1/{ratio} of its size")));
            }
        }
        Ok(())
    }
}

/// Gives a layer to `work`, on a thread where it may wait, while this feeds it.
///
/// Succeeds only if the whole stream ends well, whether `work` wanted all of it or not: then its digest is right.
pub(super) async fn with_layer<T: Send + 'static>(
    mut stream: BlobStream,
    budget: Budget,
    layer: String,
    work: impl FnOnce(LayerReader) -> Result<T, FilesystemError> + Send + 'static,
) -> Result<T, FilesystemError> {
    let (feed, pieces) = mpsc::channel(PIECES);
    let mut worker = tokio::task::spawn_blocking(move || work(LayerReader::new(pieces, budget, layer)?));
    let mut result = None;
    while let Some(piece) = stream.next().await {
        // A broken stream looks to the worker like the end of the layer; this is what really happened.
        let piece = piece?;
        if result.is_some() || feed.send(piece).await.is_ok() {
            continue;
        }
        // It is done early. If it failed, the rest does not matter.
        result = Some(joined(&mut worker).await?);
    }
    drop(feed);
    match result {
        Some(result) => Ok(result),
        None => joined(&mut worker).await,
    }
}

async fn joined<T>(
    worker: &mut tokio::task::JoinHandle<Result<T, FilesystemError>>,
) -> Result<T, FilesystemError> {
    match worker.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(FilesystemError::Cancelled),
        },
    }
}

/// Looks at the first bytes, since media types of layers are often wrong.
fn decompressed(mut fed: BufReader<Fed>) -> io::Result<Box<dyn Read + Send>> {
    // The first piece may be of any length, so a few bytes are taken out and put back in front.
    let mut head = Vec::new();
    while head.len() < 4 {
        let available = fed.fill_buf()?;
        if available.is_empty() {
            break;
        }
        let count = available.len().min(4 - head.len());
        head.extend_from_slice(&available[..count]);
        fed.consume(count);
    }
    let kind = head.clone();
    let whole = BufReader::new(Read::chain(io::Cursor::new(head), fed));
    Ok(match kind.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        // A frame, or one of the skippable frames that some tools put first.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        _ => Box::new(whole),
    })
}

/// Reads what comes through a channel.
struct Fed {
    pieces: mpsc::Receiver<Bytes>,
    current: Bytes,
    count: Arc<AtomicU64>,
}

impl Read for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let count = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
