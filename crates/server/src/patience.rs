//! How long a connection may take for the head of a request, and how long it may idle between two: not the same.
//!
//! The HTTP library has one limit for both. Ten seconds are plenty for a head, and far too little between requests: exporters
//! send every few seconds to every minute, and reopen a connection each time if it is closed under them. So this wraps the
//! socket: the first byte after idling starts the clock of the head, the request's arrival at the service stops it. Bodies and
//! answers are not timed here; HTTP/2 pings its peers and is left alone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// The limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
}

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const SERVING: u8 = 2;
const UNTIMED: u8 = 3;

/// How an HTTP/2 connection begins.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Tells the socket what the service sees.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU8>);

impl Progress {
    /// A request has arrived whole up to its body.
    pub fn request_begins(&self, version: http::Version) {
        let state = if version == http::Version::HTTP_2 { UNTIMED } else { SERVING };
        self.0.store(state, Ordering::Relaxed);
    }

    /// Its answer is ready to be sent.
    pub fn answer_begins(&self) {
        // An HTTP/2 connection stays untimed.
        self.move_on(SERVING, IDLE);
    }

    /// Whether the state was `from`; then it is `to`.
    fn move_on(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// A socket whose peer must not be too slow.
#[derive(Debug)]
pub struct TimedSocket<S> {
    socket: S,
    patience: Patience,
    progress: Progress,
    timer: Pin<Box<Sleep>>,
    /// The state that the timer was set for.
    timed: u8,
}

impl<S> TimedSocket<S> {
    /// Wraps a socket that idles.
    pub fn new(socket: S, patience: Patience, progress: Progress) -> Self {
        TimedSocket { socket, patience, progress, timer: Box::pin(sleep(patience.idle)), timed: IDLE }
    }

    fn bytes_came(&mut self, bytes: &[u8]) {
        // An HTTP/2 peer may connect long before its first request.
        if bytes.starts_with(HTTP2_PREFACE) && self.progress.move_on(IDLE, UNTIMED) {
            return;
        }
        if self.progress.move_on(IDLE, HEAD) {
            // Whatever the state is when it is looked at next, the timer is not set for it yet.
            self.timed = SERVING;
        }
    }

    /// Sets the timer when the state has changed; whether the state is a timed one.
    fn is_timed(&mut self) -> bool {
        let state = self.progress.0.load(Ordering::Relaxed);
        let limit = match state {
            IDLE => Some(self.patience.idle),
            HEAD => Some(self.patience.head),
            _ => None,
        };
        if state != self.timed
            && let Some(limit) = limit
        {
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        self.timed = state;
        limit.is_some()
    }

    /// What was sent shows that the peer takes it: idling begins after it.
    fn bytes_went(&mut self) {
        if self.progress.0.load(Ordering::Relaxed) == IDLE {
            self.timer.as_mut().reset(Instant::now() + self.patience.idle);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if read.is_ready() {
            if buffer.filled().len() > before {
                self.bytes_came(&buffer.filled()[before..]);
            }
            return read;
        }
        if self.is_timed() {
            ready!(self.timer.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(context, data))?;
        self.bytes_went();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(context, pieces))?;
        self.bytes_went();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_millis(40), idle: Duration::from_millis(400) };

    /// Reads until the socket gives up; how long that took.
    async fn given_up(socket: &mut TimedSocket<tokio::io::DuplexStream>) -> Duration {
        let started = Instant::now();
        let mut buffer = [0; 64];
        loop {
            match socket.read(&mut buffer).await {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    return started.elapsed();
                }
            }
        }
    }

    #[tokio::test]
    async fn a_slow_head_is_cut_and_an_idle_peer_is_not() {
        // Guarantees the short limit from the first byte of a head, the long one before it and after an answer.
        let (mut peer, socket) = duplex(1024);
        let progress = Progress::default();
        let mut socket = TimedSocket::new(socket, PATIENCE, progress.clone());
        assert!(given_up(&mut socket).await >= PATIENCE.idle);
        peer.write_all(b"POST / HT").await.unwrap();
        let cut = given_up(&mut socket).await;
        assert!(cut >= PATIENCE.head && cut < PATIENCE.idle, "{cut:?}");
        progress.request_begins(http::Version::HTTP_11);
        progress.answer_begins();
        socket.write_all(b"HTTP/1.1 200").await.unwrap();
        assert!(given_up(&mut socket).await >= PATIENCE.idle);
    }

    #[tokio::test]
    async fn serving_and_http2_are_not_timed() {
        // Guarantees that neither a request that is being answered nor an HTTP/2 connection is cut here.
        for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
            let (_peer, socket) = duplex(1024);
            let progress = Progress::default();
            let mut socket =
                TimedSocket::new(socket, Patience { head: Duration::ZERO, idle: Duration::ZERO }, progress.clone());
            progress.request_begins(version);
            let mut buffer = [0; 8];
            let read = tokio::time::timeout(Duration::from_millis(20), socket.read(&mut buffer)).await;
            assert!(read.is_err(), "{version:?} was cut");
        }
    }
}
