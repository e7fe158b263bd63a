//! [`App`]: what every listener shares. Made once at the start; only the [`Stage`] in it changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use model::Limits;
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::config::ServerOptions;
use crate::intake::{ADMISSION_WAIT, Intake};
use crate::memory::MemorySplit;
use crate::metrics::Metrics;
use crate::phase::Stage;

/// Where each listener that is not off listens, by its name in settings.
pub type Listening = BTreeMap<&'static str, SocketAddr>;

/// Each question may hold a page of traces in memory.
const QUESTIONS_AT_ONCE: usize = 4;

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
    /// Turns for questions to the store: so many at once.
    pub turns: Arc<Semaphore>,
}

impl App {
    /// Puts the shared parts together.
    pub fn new(options: ServerOptions, listening: Listening, stage: Stage, memory: MemorySplit) -> App {
        let metrics = Arc::new(Metrics::default());
        let intake = Intake {
            limits: Limits::DEFAULT,
            max_body_bytes: options.max_body_bytes as usize,
            budget: Budget::new(memory.intake_bytes),
            admission_wait: ADMISSION_WAIT,
            stage: stage.clone(),
            metrics: metrics.clone(),
        };
        let turns = Arc::new(Semaphore::new(QUESTIONS_AT_ONCE));
        App { options, listening, started: Instant::now(), stage, intake: Arc::new(intake), metrics, turns }
    }
}
