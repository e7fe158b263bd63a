//! Where the server is in its life: replaying, ready, draining.
//!
//! Listeners open before the store does, so that a taken port is found first and health checks have somebody to ask. Whoever
//! needs the store waits here for it.

use std::sync::Arc;

use query::{Bounds, LocalStore};
use store::Store;
use tokio::sync::watch;

/// An open store, and what answers questions about it.
#[derive(Debug)]
pub struct Opened {
    /// For appending.
    pub store: Arc<Store>,
    /// For asking.
    pub query: LocalStore,
}

impl Opened {
    /// Takes a store into service; answers keep within `bounds`.
    pub fn new(store: Store, bounds: Bounds) -> Arc<Opened> {
        let store = Arc::new(store);
        Arc::new(Opened { query: LocalStore::within(store.clone(), bounds), store })
    }
}

/// A step of the server's life.
#[derive(Debug, Clone)]
pub enum Phase {
    /// The store reads its log.
    Replaying,
    /// Everything works.
    Ready(Arc<Opened>),
    /// Nothing new is accepted, what is under way is finished.
    Draining(Arc<Opened>),
    /// The store is closed, or never opened.
    Stopped,
}

/// The current phase, for many readers.
#[derive(Debug, Clone)]
pub struct Stage {
    phase: watch::Receiver<Phase>,
}

/// Who moves the phase on.
#[derive(Debug)]
pub struct StageSetter {
    phase: watch::Sender<Phase>,
}

/// A stage at its first phase.
pub fn stage() -> (StageSetter, Stage) {
    let (sender, receiver) = watch::channel(Phase::Replaying);
    (StageSetter { phase: sender }, Stage { phase: receiver })
}

impl Stage {
    /// The store as soon as it is there; `None` when it is gone for good.
    pub async fn opened(&self) -> Option<Arc<Opened>> {
        let mut phase = self.phase.clone();
        let settled = phase.wait_for(|phase| !matches!(phase, Phase::Replaying)).await.ok()?;
        settled.opened()
    }

    /// The store if it is there now.
    pub fn opened_now(&self) -> Option<Arc<Opened>> {
        self.phase.borrow().opened()
    }

    /// Completes when the server is about to stop.
    pub async fn ending(&self) {
        let mut phase = self.phase.clone();
        drop(phase.wait_for(|phase| matches!(phase, Phase::Draining(_) | Phase::Stopped)).await);
    }

    /// The name of the phase: `replaying`, `ready`, `draining` or `stopped`.
    pub fn name(&self) -> &'static str {
        match *self.phase.borrow() {
            Phase::Replaying => "replaying",
            Phase::Ready(_) => "ready",
            Phase::Draining(_) => "draining",
            Phase::Stopped => "stopped",
        }
    }
}

impl Phase {
    fn opened(&self) -> Option<Arc<Opened>> {
        match self {
            Phase::Ready(opened) | Phase::Draining(opened) => Some(opened.clone()),
            Phase::Replaying | Phase::Stopped => None,
        }
    }
}

impl StageSetter {
    /// Moves on.
    pub fn set(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// To the end; gives back the store, which closes with its last owner.
    pub fn stop(&self) -> Option<Arc<Opened>> {
        self.phase.send_replace(Phase::Stopped).opened()
    }

    /// From ready to draining; anything else stays.
    pub fn drain(&self) {
        self.phase.send_if_modified(|phase| {
            let Phase::Ready(opened) = phase else { return false };
            *phase = Phase::Draining(opened.clone());
            true
        });
    }
}
