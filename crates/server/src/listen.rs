//! Sockets: binding them, accepting, HTTP/1 and HTTP/2 on each connection, and the orderly end of both.
//!
//! Knows nothing of what is served. Limits of connections stand here: slow heads, silent peers, streams, header sizes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::config::Listen;
use crate::metrics::Metrics;
use crate::patience::{Patience, Progress, TimedSocket};

/// Longer than the minute at which metrics are usually exported, so that their connections stay.
const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_mins(2) };
/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const MAX_CONCURRENT_STREAMS: u32 = 250;
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// How long accepting pauses when the system is out of file descriptors or memory: there is no event to wait for.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    let Listen::At(address) = listen else { return Ok(None) };
    let refuse = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { listener: name, address },
        _ => BindError::Refused { listener: name, address, source },
    };
    let socket = TcpListener::bind(address).await.map_err(refuse)?;
    let address = socket.local_addr().map_err(refuse)?;
    Ok(Some(Bound { name, address, socket }))
}

/// Serves `router` on every connection until `stop` turns true, then lets requests under way finish.
pub async fn serve(bound: Bound, router: Router, mut stop: watch::Receiver<bool>, metrics: Arc<Metrics>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = bound.socket.accept() => accepted,
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                metrics.connected();
                connections.spawn(connection(stream, router.clone(), stop.clone()));
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(listener = bound.name, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(bound);
    while connections.join_next().await.is_some() {}
}

/// A dropped sender is a stop too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|&stop| stop).await);
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    // A reply is one small write: waiting to fill a packet would only delay it. Not being able to say so is no reason to fail.
    drop(stream.set_nodelay(true));
    let progress = Progress::default();
    let stream = TimedSocket::new(stream, PATIENCE, progress.clone());
    let answered = progress.clone();
    let service = router
        .map_request(move |request: http::Request<hyper::body::Incoming>| {
            progress.request_begins(request.version());
            request.map(axum::body::Body::new)
        })
        .map_response(move |response| {
            answered.answer_begins();
            response
        })
        .map_err(|never: Infallible| match never {});
    let builder = builder();
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}
