//! Streams of bytes: [`recorded`] writes one down as far as it is read, [`replayed`] yields it again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::Value;

use super::entry::{Body, Call, End, Fault, Outcome, Streamed};
use super::recorder::Recorder;
use super::replay::Replay;
use crate::content::{BlobStream, CHUNK, ContentError, ContentErrorKind};

/// Writes a stream down. What the answer has besides is in `head`, an object; `size` is the number of bytes, if it is known.
pub(super) fn recorded(
    stream: BlobStream,
    recorder: Arc<Recorder>,
    call: Call,
    head: Value,
    size: Option<u64>,
) -> BlobStream {
    Box::pin(Recorded { stream, recorder, call, head: Some(head), size, bytes: Vec::new() })
}

struct Recorded {
    stream: BlobStream,
    recorder: Arc<Recorder>,
    call: Call,
    /// Nothing once it is written down.
    head: Option<Value>,
    size: Option<u64>,
    bytes: Vec<u8>,
}

impl Recorded {
    fn end(&mut self, end: End) {
        let Some(mut answer) = self.head.take() else { return };
        if end == End::Complete && matches!(self.call, Call::Blob { .. }) {
            self.recorder.settle(&self.call);
        }
        let streamed = Streamed { body: Body::of(&std::mem::take(&mut self.bytes)), end };
        let streamed = serde_json::to_value(streamed).expect("the forms of recordings have texts as keys");
        if let (Value::Object(answer), Value::Object(streamed)) = (&mut answer, streamed) {
            answer.extend(streamed);
        }
        self.recorder.note(self.call.clone(), Outcome::Answer(answer));
    }
}

impl Stream for Recorded {
    type Item = Result<Bytes, ContentError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let next = this.stream.as_mut().poll_next(context);
        match &next {
            Poll::Pending => {}
            Poll::Ready(None) => this.end(End::Complete),
            Poll::Ready(Some(Err(error))) => this.end(End::Failed(Fault::of(error))),
            Poll::Ready(Some(Ok(piece))) if this.head.is_some() => {
                if (this.bytes.len() + piece.len()) as u64 > this.recorder.most_of_one {
                    this.recorder.too_large(&this.call);
                    (this.head, this.bytes) = (None, Vec::new());
                    let reason = "it is too large for a recording".to_owned();
                    let kind = ContentErrorKind::Refused(reason);
                    return Poll::Ready(Some(Err(ContentError::new(this.call.to_string(), kind))));
                }
                this.bytes.extend_from_slice(piece);
            }
            Poll::Ready(Some(Ok(_))) => {}
        }
        next
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let is_complete = self.size == Some(self.bytes.len() as u64);
        self.end(if is_complete { End::Complete } else { End::Dropped });
    }
}

/// Yields a stream again. Who reads on where nobody did is told that it is not in the recording.
pub(super) fn replayed(streamed: Streamed, replay: Arc<Replay>, call: Call) -> BlobStream {
    let damaged = |e: base64::DecodeError| {
        ContentError::with_source(
            call.to_string(),
            ContentErrorKind::Invalid("the recording is damaged".into()),
            e,
        )
    };
    let bytes = match streamed.body.bytes().map_err(damaged) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => return Box::pin(stream::iter([Err(error)])),
    };
    let mut end = Some(streamed.end);
    let mut at = 0;
    Box::pin(stream::iter(std::iter::from_fn(move || {
        if at < bytes.len() {
            let from = at;
            at = (at + CHUNK).min(bytes.len());
            return Some(Ok(bytes.slice(from..at)));
        }
        match end.take()? {
            End::Complete => None,
            End::Failed(fault) => Some(Err(fault.error())),
            End::Dropped => Some(Err(lacking(&replay, &format!("{call} beyond {} bytes", bytes.len())))),
        }
    })))
}

/// Says that something is not in the recording.
pub(super) fn lacking(replay: &Replay, what: &str) -> ContentError {
    let _ = replay.lacks(what);
    ContentError::new(what, ContentErrorKind::Refused("it is not in the recording".to_owned()))
}
