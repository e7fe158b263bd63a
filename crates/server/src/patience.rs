//! How long a connection may take for the head of a request, and how long it may idle between two: not the same.
//!
//! The HTTP library has one limit for both. Ten seconds are plenty for a head, and far too little between requests: exporters
//! send every few seconds to every minute, and reopen a connection each time if it is closed under them. So this wraps the
//! socket: the first byte after idling starts the clock of the head, the request's arrival at the service stops it. Bodies and
//! answers are not timed here; HTTP/2 pings its peers and is left alone.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
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

/// Tells the socket, and the listener, what the service sees.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<State>);

#[derive(Debug)]
struct State {
    phase: AtomicU8,
    /// How many requests are being answered, and since when there is none.
    work: Mutex<(usize, Instant)>,
}

impl Default for State {
    fn default() -> Self {
        State { phase: AtomicU8::new(IDLE), work: Mutex::new((0, Instant::now())) }
    }
}

/// A request being answered; dropped when its answer is ready to be sent, or its peer gave up.
#[derive(Debug)]
pub struct Busy(Progress);

impl Drop for Busy {
    fn drop(&mut self) {
        // An HTTP/2 connection stays untimed.
        self.0.move_on(SERVING, IDLE);
        let mut work = self.0.work();
        *work = (work.0 - 1, Instant::now());
    }
}

impl Progress {
    /// A request has arrived whole up to its body.
    pub fn request_begins(&self, version: http::Version) -> Busy {
        let phase = if version == http::Version::HTTP_2 { UNTIMED } else { SERVING };
        self.0.phase.store(phase, Ordering::Relaxed);
        self.work().0 += 1;
        Busy(self.clone())
    }

    /// Since when no request is being answered; nothing if one is.
    pub fn idle_since(&self) -> Option<Instant> {
        let work = self.work();
        (work.0 == 0).then_some(work.1)
    }

    fn work(&self) -> MutexGuard<'_, (usize, Instant)> {
        self.0.work.lock().expect("nothing can panic while it is held")
    }

    fn phase(&self) -> u8 {
        self.0.phase.load(Ordering::Relaxed)
    }

    /// Whether the phase was `from`; then it is `to`.
    fn move_on(&self, from: u8, to: u8) -> bool {
        self.0.phase.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
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
        let state = self.progress.phase();
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
        if self.progress.phase() == IDLE {
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
        drop(progress.request_begins(http::Version::HTTP_11));
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
            let _busy = progress.request_begins(version);
            let mut buffer = [0; 8];
            let read = tokio::time::timeout(Duration::from_millis(20), socket.read(&mut buffer)).await;
            assert!(read.is_err(), "{version:?} was cut");
        }
    }
}
