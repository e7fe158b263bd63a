//! [`App`]: what every listener shares. Made once at the start; only the [`Stage`] in it changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use model::Limits;
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::config::ServerOptions;
use crate::intake::{ADMISSION_WAIT, Intake};
use crate::lookout::Lookout;
use crate::memory::MemorySplit;
use crate::metrics::Metrics;
use crate::phase::Stage;
use crate::receive::datagrams::Drops;

/// Where each listener that is not off listens, by its name in settings.
pub type Listening = BTreeMap<&'static str, SocketAddr>;

/// Questions at once that look something up: a trace, what there is to ask for.
const LOOK_UPS_AT_ONCE: usize = 4;
/// Questions at once that read their way through what is stored: each holds a page of traces in memory and keeps a core busy, which
/// receiving needs too.
const SEARCHES_AT_ONCE: usize = 2;
/// How long a question may take once it has its turn.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What every listener shares.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub options: ServerOptions,
    /// Where we listen.
    pub listening: Listening,
    /// Since when.
    pub started: Instant,
    /// The store, as soon as it is there.
    pub stage: Stage,
    /// The receivers' shared part.
    pub intake: Arc<Intake>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Turns for questions that look something up.
    pub look_ups: Arc<Semaphore>,
    /// Turns for questions that read through what is stored.
    pub searches: Arc<Semaphore>,
    /// How long a question may take, usually [`ANSWER_MAX`].
    pub answer_max: Duration,
    /// Who may use how much memory.
    pub memory: MemorySplit,
    /// What watches flows, as soon as it is there.
    pub lookout: OnceLock<Arc<Lookout>>,
    /// Where the system counts the datagrams that it drops.
    pub drops: Vec<Drops>,
}

impl App {
    /// Puts the shared parts together.
    pub fn new(
        options: ServerOptions,
        listening: Listening,
        stage: Stage,
        memory: MemorySplit,
        drops: Vec<Drops>,
    ) -> App {
        let metrics = Arc::new(Metrics::default());
        let intake = Intake {
            limits: Limits::DEFAULT,
            max_body_bytes: memory.max_body_bytes as usize,
            budget: Budget::new(memory.bodies_bytes),
            decoded: Budget::new(memory.decoded_bytes),
            turns: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get))),
            admission_wait: ADMISSION_WAIT,
            stage: stage.clone(),
            metrics: metrics.clone(),
        };
        App {
            options,
            listening,
            started: Instant::now(),
            stage,
            intake: Arc::new(intake),
            metrics,
            look_ups: Arc::new(Semaphore::new(LOOK_UPS_AT_ONCE)),
            searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
            answer_max: ANSWER_MAX,
            memory,
            lookout: OnceLock::new(),
            drops,
        }
    }

    /// What watches flows; nothing before the store is open.
    pub fn lookout(&self) -> Option<Arc<Lookout>> {
        self.lookout.get().cloned()
    }

    /// From now on the answers are whole.
    pub fn set_lookout(&self, lookout: Arc<Lookout>) {
        // It is set once, when the store is open.
        drop(self.lookout.set(lookout));
    }
}
