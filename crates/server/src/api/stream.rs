//! JSON of any size as a body, written on a thread of its own in pieces, so that a large answer is never whole in memory.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the socket before the writing thread waits too.
const PIECES_AHEAD: usize = 4;
/// Threads that write answers at once: slow readers must not take the threads that decode spans.
const WRITERS_MAX: usize = 64;
/// How long a reader may take for a piece before its answer is broken off.
const READER_IDLE: Duration = Duration::from_secs(30);

static WRITERS: Semaphore = Semaphore::const_new(WRITERS_MAX);

/// An answer of `value`, serialised while it is sent.
pub async fn json<T: Serialize + Send + 'static>(value: T) -> Response {
    // Straight into the pieces: behind a `dyn Write` every comma costs a call.
    written_by(move |pieces| serde_json::to_writer(pieces, &value).map_err(io::Error::from)).await
}

/// An answer of JSON that `write` writes while it is sent.
pub async fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Response {
    written_by(move |pieces| write(pieces)).await
}

async fn written_by(write: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static) -> Response {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let turn = WRITERS.acquire().await.expect("nobody closes the writers");
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut writer = Pieces { piece: Vec::with_capacity(PIECE_BYTES), sender, runtime };
        if let Err(error) = write(&mut writer).and_then(|()| writer.flush()) {
            tracing::debug!(%error, "the reader of an answer went away");
            drop(writer.sender.try_send(Err(error)));
        }
    });
    let mut response = Response::new(Body::new(PiecesBody { receiver }));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

struct Pieces {
    piece: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Write for Pieces {
    #[inline]
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        if self.piece.len() + data.len() < PIECE_BYTES {
            self.piece.extend_from_slice(data);
            return Ok(());
        }
        self.write_through(data)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&data[..taken]);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self.runtime.block_on(self.sender.send_timeout(Ok(piece.into()), READER_IDLE));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Pieces {
    /// Writes what ends a piece, or several.
    fn write_through(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let taken = self.write(data)?;
            data = &data[taken..];
        }
        Ok(())
    }
}

struct PiecesBody {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
}

impl http_body::Body for PiecesBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.receiver.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_large_answer_arrives_whole() {
        // Guarantees that an answer of many pieces is the same JSON as one written at once.
        let value: Vec<String> = (0..100_000).map(|number| format!("span {number}")).collect();
        let want = serde_json::to_vec(&value).unwrap();
        let got = json(value).await.into_body().collect().await.unwrap().to_bytes();
        assert!(got == want);
    }
}
