//! Starting and stopping a server: listeners first, then the store; on the way out the other way round.
//!
//! The program and the demo start a server the same way, with [`start`]; signals and the terminal are theirs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use flow::engine::EngineOptions;
use store::{Store, StoreError, StoreOptions};
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use wire::Format;

use crate::admit::AdmitAgain;
use crate::app::{App, Listening};
use crate::config::{Listen, OptionsError, ServerOptions};
use crate::crowd::connections_max;
use crate::give_way::{YieldingRuntime, give_way};
use crate::listen::{Allowance, BindError, Bound, bind, serve};
use crate::lookout::Lookout;
use crate::memory::{self, MemorySplit};
use crate::metrics::Protocol;
use crate::open_files;
use crate::phase::{Opened, Phase, StageSetter, stage};
use crate::receive::datagrams::{self, BoundDatagrams, Drops};
use crate::routes;

/// How long requests under way may take to finish when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Says in the data directory where the server listens.
const LISTENING_FILE: &str = "listening.json";

/// Why a server did not start. Every message is one sentence for whoever started it.
#[derive(Debug, Error)]
pub enum StartError {
    /// Settings that cannot be run with.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A listener that cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A data directory that cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file that says where the server listens cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Listening {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No thread can be started.
    #[error("no thread can be started: {0}")]
    Thread(io::Error),
    /// The store's thread ended without an answer.
    #[error("the store ended while it was being opened; the log above says why")]
    Lost,
}

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    app: Arc<App>,
    setter: StageSetter,
    receivers: Group,
    readers: Group,
    opened: oneshot::Receiver<Result<(Store, Arc<Lookout>), StartError>>,
}

/// Listeners that stop together.
#[derive(Debug)]
struct Group {
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    /// Where they run, if not where everything else does.
    runtime: Option<YieldingRuntime>,
}

/// Opens the listeners and begins to open the store; see [`Running::ready`].
pub async fn start(options: ServerOptions) -> Result<Running, StartError> {
    options.validate()?;
    let (mut sockets, mut datagrams) = (Vec::new(), Vec::new());
    for (name, listen) in options.listeners() {
        let stream = if is_stream(name) { bind(name, listen).await? } else { None };
        let beside = datagrams_beside(listen, stream.as_ref());
        let Some((protocol, format)) = datagram_protocol(name) else {
            sockets.extend(stream);
            continue;
        };
        if let Some(bound) = datagrams::bind(name, beside, protocol, format).await? {
            datagrams.push(bound);
            sockets.extend(stream);
        }
    }
    let streams = sockets.iter().map(|bound| (bound.name, bound.address));
    let listening: Listening = streams.chain(datagrams.iter().map(|bound| (bound.name, bound.address))).collect();
    let memory = memory::split(options.memory_limit_bytes, options.max_body_bytes);
    if memory.max_body_bytes < options.max_body_bytes {
        let (mib, limit_mib) = (memory.max_body_bytes >> 20, memory.limit_bytes >> 20);
        tracing::warn!("requests up to {mib} MiB are taken, because the memory limit is {limit_mib} MiB");
    }
    let (setter, stage) = stage();
    let store_options = store_options(&options, memory);
    let (correlate, expect) = (options.correlate.clone(), options.rules().map_err(StartError::Options)?);
    let engine_options = EngineOptions { correlate, expect, ..memory::engine_options(&memory) };
    let drops = datagrams.iter().filter_map(Drops::of).collect();
    let app = Arc::new(App::new(options, listening, stage, memory, drops));
    let connections = connections_max(open_files::raise());
    let allowance = Allowance { connections, connection_bytes: memory.connection_bytes };
    let yielding = YieldingRuntime::start().map_err(StartError::Thread)?;
    let (mut receivers, mut readers) = (Group::on(Some(yielding)), Group::on(None));
    for bound in sockets {
        let (group, router) = match bound.name {
            "otlp_grpc" | "otlp_http" => (&mut receivers, routes::otlp(&app)),
            "zipkin" => (&mut receivers, routes::zipkin(&app)),
            "jaeger" => (&mut readers, routes::jaeger(&app)),
            "jaeger_http" => (&mut receivers, routes::jaeger_http(&app)),
            "jaeger_grpc" => (&mut receivers, routes::jaeger_grpc(&app)),
            "jaeger_sampling" => (&mut readers, routes::jaeger_sampling()),
            "opencensus" => (&mut receivers, routes::opencensus(&app)),
            "elasticsearch" => (&mut receivers, routes::elasticsearch(&app)),
            "xray" => (&mut receivers, routes::xray(&app)),
            _ => (&mut readers, routes::api(&app)),
        };
        group.add(bound, router, &app, allowance);
    }
    for bound in datagrams {
        receivers.add_datagrams(bound, &app);
    }
    Ok(Running { app, setter, receivers, readers, opened: open_store(store_options, engine_options) })
}

/// How the datagrams of a listener are counted and what they are written in; nothing for a listener of connections.
fn datagram_protocol(listener: &str) -> Option<(Protocol, Format)> {
    match listener {
        "jaeger_compact" => Some((Protocol::JaegerCompact, Format::JaegerCompactCall)),
        "jaeger_binary" => Some((Protocol::JaegerBinary, Format::JaegerBinaryCall)),
        "xray" => Some((Protocol::Xray, Format::XrayDatagram)),
        _ => None,
    }
}

/// Whether a listener takes connections; X-Ray's takes datagrams besides.
fn is_stream(listener: &str) -> bool {
    listener == "xray" || datagram_protocol(listener).is_none()
}

/// Where datagrams are listened for: at the number that the listener of connections got.
fn datagrams_beside(listen: Listen, stream: Option<&Bound>) -> Listen {
    match (listen, stream) {
        (Listen::IfFree(_), Some(bound)) => Listen::IfFree(bound.address),
        (Listen::At(_), Some(bound)) => Listen::At(bound.address),
        (listen, _) => listen,
    }
}

fn store_options(options: &ServerOptions, memory: MemorySplit) -> StoreOptions {
    let mut store = StoreOptions::new(options.data.clone());
    store.durability = options.durability;
    store.retention_age_ns = options.retention_age.map(|age| age.as_nanos() as u64);
    store.retention_bytes = options.retention_bytes;
    store.begin_background = give_way;
    memory::bound_store(&mut store, &memory);
    store
}

/// Opening replays the log, which may take a while and blocks.
fn open_store(
    options: StoreOptions,
    engine: EngineOptions,
) -> oneshot::Receiver<Result<(Store, Arc<Lookout>), StartError>> {
    let (tell, told) = oneshot::channel();
    tokio::task::spawn_blocking(move || drop(tell.send(open_observed(options, &engine))));
    told
}

fn open_observed(mut options: StoreOptions, engine: &EngineOptions) -> Result<(Store, Arc<Lookout>), StartError> {
    let lookout = Lookout::start(&options.directory, Arc::clone(&options.disk), engine).map_err(StartError::Thread)?;
    options.observer = lookout.clone();
    let store = Store::open(options, &AdmitAgain::default())?;
    lookout.set_ready();
    Ok((store, lookout))
}

impl Group {
    fn on(runtime: Option<YieldingRuntime>) -> Group {
        Group { stop: watch::channel(false).0, listeners: JoinSet::new(), runtime }
    }

    fn add(&mut self, bound: Bound, router: Router, app: &App, allowance: Allowance) {
        let serving = serve(bound, router, self.stop.subscribe(), app.metrics.clone(), allowance);
        self.spawn(serving);
    }

    fn add_datagrams(&mut self, bound: BoundDatagrams, app: &App) {
        self.spawn(datagrams::serve(bound, app.intake.clone(), self.stop.subscribe()));
    }

    fn spawn(&mut self, serving: impl Future<Output = ()> + Send + 'static) {
        match &self.runtime {
            Some(runtime) => self.listeners.spawn_on(serving, runtime.handle()),
            None => self.listeners.spawn(serving),
        };
    }

    /// Stops accepting, lets requests under way finish until the deadline, and then lets go of the rest.
    async fn finish(&mut self, deadline: Instant) {
        self.stop.send_replace(true);
        let all = async { while self.listeners.join_next().await.is_some() {} };
        if timeout_at(deadline, all).await.is_err() {
            tracing::warn!(seconds = DRAIN_MAX.as_secs(), "requests under way did not finish in time");
            self.listeners.shutdown().await;
        }
    }
}

impl Running {
    /// Where the server listens.
    pub fn listening(&self) -> &Listening {
        &self.app.listening
    }

    /// What the listeners share.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Waits until the store is open; from then on requests are stored and answered.
    pub async fn ready(&mut self) -> Result<(), StartError> {
        let (store, lookout) = (&mut self.opened).await.map_err(|_| StartError::Lost)??;
        self.app.set_lookout(lookout);
        self.setter.set(Phase::Ready(Opened::new(store, memory::bounds_of_answers(&self.app.memory))));
        write_listening(&self.app.options.data, self.listening())
    }

    /// Has everything that is in memory sealed; whether that was done within `limit`.
    pub async fn seal(&self, limit: Duration) -> bool {
        let Some(opened) = self.app.stage.opened_now() else { return false };
        tokio::task::spawn_blocking(move || opened.store.seal(limit)).await.unwrap_or(false)
    }

    /// Stops in order: not ready, no new requests, requests under way, the store.
    pub async fn stop(mut self) {
        self.setter.drain();
        let deadline = Instant::now() + DRAIN_MAX;
        self.receivers.finish(deadline).await;
        self.readers.finish(deadline).await;
        let last = self.setter.stop();
        drop(std::fs::remove_file(self.app.options.data.join(LISTENING_FILE)));
        let lookout = self.app.lookout();
        let closing = tokio::task::spawn_blocking(move || {
            drop(last);
            lookout.inspect(|lookout| lookout.stop());
        });
        drop(closing.await);
    }
}

fn write_listening(directory: &Path, listening: &Listening) -> Result<(), StartError> {
    let path = directory.join(LISTENING_FILE);
    let mut entries: serde_json::Map<String, serde_json::Value> = serde_json::Map::new();
    entries.extend(listening.iter().map(|(name, address)| ((*name).to_owned(), address.to_string().into())));
    entries.insert("pid".to_owned(), std::process::id().into());
    let text = format!("{:#}\n", serde_json::Value::Object(entries));
    let aside = path.with_extension("json.tmp");
    let written = std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, &path));
    written.map_err(|source| StartError::Listening { path, source })
}
