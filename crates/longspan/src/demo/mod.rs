//! A small event-driven shop inside one process, for `longspan demo`: ten services that talk through queues and topics
//! and send real OTLP, made by the real OpenTelemetry SDK, over gRPC.
//!
//! It stands outside the pipe, as any sender does: it knows nothing of Longspan but an OTLP endpoint. It shows what short
//! request traces never show: fan-out to consumer groups, retries with backoff, dead letters, a slow consumer whose queue
//! backs up, messages nobody answers, batches that link to many senders, and hops of seconds and minutes.
//!
//! # Use
//!
//! ```ignore
//! let mut shop = Shop::start(DemoOptions { otlp_endpoint: "http://127.0.0.1:4317".into(), ..Default::default() }).await?;
//! shop.run_until(stop_signal).await?; // or until all spans are made, with `spans: Some(n)`
//! let report = shop.stop().await?; // flushes every exporter
//! ```
//!
//! With `spans: None` the shop lives in real time. With `spans: Some(n)` it takes as many orders as make about `n` spans,
//! plays them to the last effect as fast as the receiver takes them, and dates them within the last hour.
//!
//! The same seed plays the same scenarios with the same latencies; ids differ from run to run, so that two runs never look
//! like one sent twice. `start` and `run_until` need a tokio runtime.

mod broker;
mod bus;
mod calls;
mod clock;
mod messaging;
mod orders;
pub(crate) mod random;
mod services;
mod telemetry;
#[cfg(test)]
mod tests;
mod world;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anyhow::ensure;

use clock::{Tasks, locked};
use random::Random;
use telemetry::{ExportTally, ProviderFactory, Telemetry};
use world::{Load, World};

pub(crate) use world::Notable;

/// Spans one order causes, all its effects and its share of page views included; measured.
const SPANS_PER_ORDER: f64 = 52.5;
/// The fast shop takes its orders within this window …
const FAST_WINDOW: Duration = Duration::from_mins(45);
/// … and leaves this long for the last effects, so that nothing is dated in the future.
const FAST_TAIL: Duration = Duration::from_mins(8);
/// The fast shop waits for its exporters after this many spans; below every exporter's queue.
const FLUSH_EVERY_SPANS: u64 = 6_000;
/// A live shop that fell further behind than this (a suspended machine) skips the gap.
const LAG_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(crate) struct DemoOptions {
    /// OTLP over gRPC, such as `http://127.0.0.1:4317`.
    pub(crate) otlp_endpoint: String,
    pub(crate) seed: u64,
    /// Raised when `spans` would not fit into the last hour otherwise.
    pub(crate) orders_per_second: f64,
    /// Stop after about this many spans, as fast as possible; `None` runs in real time until stopped.
    pub(crate) spans: Option<u64>,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self { otlp_endpoint: "http://127.0.0.1:4317".to_owned(), seed: 1, orders_per_second: 1.0, spans: None }
    }
}

/// What a run of the shop came to.
#[derive(Debug, Clone)]
pub(crate) struct DemoReport {
    pub(crate) spans_created: u64,
    /// Spans the receiver said OK to.
    pub(crate) spans_exported: u64,
    pub(crate) spans_failed: u64,
    pub(crate) orders: u64,
    pub(crate) dead_letters: u64,
    /// Messages that lie on a dead-letter queue nobody empties.
    pub(crate) parked: u64,
    /// Messages that were taken and never answered.
    pub(crate) unanswered: u64,
    /// One trace for each scenario that has happened: what to look at.
    pub(crate) notable: Vec<Notable>,
}

impl fmt::Display for DemoReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans_created, spans_exported, spans_failed, orders, dead_letters, parked, unanswered, notable } =
            self;
        writeln!(out, "{orders} orders, {spans_created} spans: {spans_exported} accepted, {spans_failed} failed")?;
        writeln!(out, "{dead_letters} dead letters ({parked} parked), {unanswered} messages never answered")?;
        notable.iter().try_for_each(|notable| writeln!(out, "{notable}"))
    }
}

/// The shop: open from `start` until `stop`.
pub(crate) struct Shop {
    world: Arc<World>,
    tasks: Tasks,
    pace: Pace,
    tally: Arc<ExportTally>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Logical time follows the wall clock.
    Live,
    /// Logical time jumps from one due time to the next.
    Fast,
}

impl Shop {
    /// Sets up the exporters and opens the shop; nothing happens before [`Shop::run_until`].
    ///
    /// # Errors
    /// When the rate is not a positive number or the endpoint is not a URL. A receiver that is not there is no error here.
    #[expect(clippy::unused_async, reason = "async so that it cannot be called without the runtime the exporters need")]
    pub(crate) async fn start(options: DemoOptions) -> anyhow::Result<Self> {
        let tally = Arc::new(ExportTally::default());
        let factory = |_: &telemetry::ServiceSpec, resource| {
            telemetry::otlp_provider(&options.otlp_endpoint, resource, Arc::clone(&tally))
        };
        let mut shop = Self::open(&options, SystemTime::now(), &factory)?;
        shop.tally = Arc::clone(&tally);
        Ok(shop)
    }

    /// Opens the shop at `now` with any exporters.
    fn open(options: &DemoOptions, now: SystemTime, factory: &ProviderFactory<'_>) -> anyhow::Result<Self> {
        let rate = options.orders_per_second;
        ensure!(rate.is_finite() && rate > 0.0, "orders per second must be a positive number, not {rate}");
        let (pace, load, opens_at) = plan(options, now);
        let telemetry = Telemetry::new(load.run_tag, factory)?;
        let tasks = Tasks::starting_at(opens_at);
        let world = Arc::new(World::new(tasks.clock(), telemetry, load));
        services::open(&world);
        Ok(Self { world, tasks, pace, tally: Arc::default() })
    }

    /// Runs until `stop` completes or, with `spans` set, until the last effect of the last order.
    ///
    /// # Errors
    /// Only when run as fast as possible: when an exporter could not hand its spans over.
    pub(crate) async fn run_until(&mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut stop = pin!(stop);
        let run = async {
            match self.pace {
                Pace::Live => self.run_live().await,
                Pace::Fast => self.run_fast().await,
            }
        };
        tokio::select! {
            () = &mut stop => Ok(()),
            result = run => result,
        }
    }

    async fn run_live(&mut self) -> anyhow::Result<()> {
        self.tasks.run_ready();
        while let Some(due) = self.tasks.next_due() {
            if let Ok(early) = due.duration_since(SystemTime::now()) {
                tokio::time::sleep(early).await;
            }
            self.tasks.advance(SystemTime::now() - LAG_LIMIT);
            self.tasks.run_ready();
        }
        Ok(())
    }

    async fn run_fast(&mut self) -> anyhow::Result<()> {
        let mut flushed_at_spans = 0;
        self.tasks.run_ready();
        while self.tasks.next_due().is_some() {
            self.tasks.advance(SystemTime::UNIX_EPOCH);
            self.tasks.run_ready();
            if self.world.telemetry.spans() >= flushed_at_spans + FLUSH_EVERY_SPANS {
                flushed_at_spans = self.world.telemetry.spans();
                self.world.telemetry.flush().await?;
            }
        }
        self.world.telemetry.flush().await
    }

    /// The traces worth opening so far, one for each scenario.
    pub(crate) fn notable(&self) -> Vec<Notable> {
        locked(&self.world.ledger.notable).clone()
    }

    /// Closes the shop: ends what is under way, exports every span, and reports. Spans the receiver did not take are no
    /// error here, the report counts them.
    ///
    /// # Errors
    /// When an exporter's thread died.
    pub(crate) async fn stop(self) -> anyhow::Result<DemoReport> {
        let Self { world, tasks, tally, .. } = self;
        // Dropping a task ends its open spans, as a service does that is told to stop.
        drop(tasks);
        world.telemetry.shut_down().await?;
        let ledger = &world.ledger;
        let parked = world.bus.with_broker(|broker| broker.depth(world.places.ship_dead_letter_queue));
        Ok(DemoReport {
            parked: parked as u64,
            spans_created: world.telemetry.spans(),
            spans_exported: tally.exported.load(Ordering::Relaxed),
            spans_failed: tally.failed.load(Ordering::Relaxed),
            orders: ledger.orders.load(Ordering::Relaxed),
            dead_letters: ledger.dead_letters.load(Ordering::Relaxed),
            unanswered: ledger.unanswered.load(Ordering::Relaxed),
            notable: locked(&ledger.notable).clone(),
        })
    }
}

/// From the options to pace, load and opening time.
fn plan(options: &DemoOptions, now: SystemTime) -> (Pace, Load, SystemTime) {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let run_tag = Random::new(options.seed ^ since_epoch.as_nanos() as u64).next_u64();
    let mut load = Load { seed: options.seed, run_tag, orders_per_second: options.orders_per_second, orders: None };
    let Some(spans) = options.spans else {
        return (Pace::Live, load, now);
    };
    let orders = (spans as f64 / SPANS_PER_ORDER).round().max(1.0);
    load.orders = Some(orders as u64);
    load.orders_per_second = options.orders_per_second.max(orders / FAST_WINDOW.as_secs_f64());
    let window = Duration::from_secs_f64(orders / load.orders_per_second);
    (Pace::Fast, load, now - window - FAST_TAIL)
}
