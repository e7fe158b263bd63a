//! Sockets: binding them, accepting, HTTP/1 and HTTP/2 on each connection, and the orderly end of both.
//!
//! Knows nothing of what is served. Limits of connections stand here: slow heads, silent peers, streams, header sizes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::config::Listen;
use crate::crowd::{Crowd, Member};
use crate::metrics::Metrics;
use crate::patience::{Patience, TimedSocket};
use crate::rest::Rest;

/// Longer than the minute at which metrics are usually exported, so that their connections stay.
const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_mins(2) };
/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const MAX_CONCURRENT_STREAMS: u32 = 250;
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What is read ahead of an HTTP/1 body, and the most that a head may have.
const HTTP1_BUFFER_BYTES_MAX: usize = 400 << 10;
/// How long accepting pauses when the system is out of file descriptors or memory, or all connections are busy: there is no event to
/// wait for.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that cannot accept says so this often.
pub(crate) const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Why a listener could not listen.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error("port {} is in use: {listener} cannot listen on {address}; stop the program that has it, or choose another with --{}", address.port(), flag(listener))]
    InUse {
        /// Which listener.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// The system refused.
    #[error("{listener} cannot listen on {address}: {source}")]
    Refused {
        /// Which listener.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

fn flag(listener: &str) -> String {
    listener.replace('_', "-")
}

/// A socket that listens, not yet served.
#[derive(Debug)]
pub struct Bound {
    /// Its name in settings.
    pub name: &'static str,
    /// Where it listens, with the port the system chose.
    pub address: SocketAddr,
    socket: TcpListener,
}

/// Opens a listener; `None` when it is off.
pub async fn bind(name: &'static str, listen: Listen) -> Result<Option<Bound>, BindError> {
    let Some(address) = listen.address() else { return Ok(None) };
    let opened = TcpListener::bind(address).await.and_then(|socket| Ok((socket.local_addr()?, socket)));
    let opened = opened_or(name, listen, address, opened)?;
    Ok(opened.map(|(address, socket)| Bound { name, address, socket }))
}

/// What an attempt to open a listener led to: nothing is an answer where it was only to be tried.
pub(crate) fn opened_or<T>(
    listener: &'static str,
    listen: Listen,
    address: SocketAddr,
    opened: io::Result<T>,
) -> Result<Option<T>, BindError> {
    let error = match opened {
        Ok(socket) => return Ok(Some(socket)),
        Err(error) => error,
    };
    match (error.kind(), listen) {
        (io::ErrorKind::AddrInUse, Listen::IfFree(_)) => {
            tracing::info!(%address, "{listener} does not listen: another program has the port");
            Ok(None)
        }
        (io::ErrorKind::AddrInUse, _) => Err(BindError::InUse { listener, address }),
        _ => Err(BindError::Refused { listener, address, source: error }),
    }
}

/// What a listener allows.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Connections at once.
    pub connections: usize,
    /// What a connection may send ahead of being read.
    pub connection_bytes: u32,
}

/// Serves `router` on every connection until `stop` turns true, then lets requests under way finish.
pub async fn serve(
    bound: Bound,
    router: Router,
    mut stop: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
    allowance: Allowance,
) {
    let mut connections = JoinSet::new();
    let mut crowd = Crowd::default();
    let mut complained = None;
    loop {
        let most = allowance.connections;
        if crowd.len() >= most && crowd.crowd_out() {
            metrics.crowded_out();
        }
        // Those that were told to end may take a while, and only so many of them.
        let crowded = crowd.len() >= most || connections.len() >= most + most / 4;
        let accepted = tokio::select! {
            accepted = bound.socket.accept(), if !crowded => accepted,
            // One that is busy now may be idle soon.
            () = tokio::time::sleep(ACCEPT_PAUSE), if crowded => continue,
            () = stopped(&mut stop) => break,
            Some(ended) = connections.join_next() => {
                crowd.left(ended.unwrap_or_default());
                metrics.disconnected();
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => {
                metrics.connected();
                let (number, member) = crowd.enter();
                let connection = connection(stream, router.clone(), stop.clone(), member, allowance);
                connections.spawn(async move {
                    connection.await;
                    number
                });
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                if complained.is_none_or(|complained: Instant| complained.elapsed() > COMPLAIN_EVERY) {
                    tracing::warn!(listener = bound.name, %error, "cannot accept connections");
                    complained = Some(Instant::now());
                }
                // Out of open files, most likely: one that does nothing can go.
                if crowd.crowd_out() {
                    metrics.crowded_out();
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(bound);
    while connections.join_next().await.is_some() {
        metrics.disconnected();
    }
}

/// A dropped sender is a stop too.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|&stop| stop).await);
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut stop: watch::Receiver<bool>,
    member: Member,
    allowance: Allowance,
) {
    // A reply is one small write: waiting to fill a packet would only delay it. Not being able to say so is no reason to fail.
    drop(stream.set_nodelay(true));
    let Member { progress, leave } = member;
    let stream = TimedSocket::new(stream, PATIENCE, progress.clone());
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let busy = progress.request_begins(request.version());
        let http2 = request.version() == http::Version::HTTP_2;
        let body = |body| if http2 { axum::body::Body::new(body) } else { axum::body::Body::new(Rest::of(body)) };
        let answer = router.clone().oneshot(request.map(body));
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    });
    let builder = builder(allowance);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { tokio::select! { () = stopped(&mut stop) => {}, () = leave.notified() => {} } } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

fn builder(allowance: Allowance) -> auto::Builder<TokioExecutor> {
    let ahead = allowance.connection_bytes;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder.http1().max_buf_size((ahead as usize).min(HTTP1_BUFFER_BYTES_MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES.min(ahead))
        .initial_connection_window_size(ahead)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}
