//! A clock that stands still until a test moves it, forward or back.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use store::clock::Clock;

/// The time a test has set.
#[derive(Debug)]
pub struct SimClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl SimClock {
    /// A clock that shows this time.
    pub fn new(unix_nano: u64) -> Self {
        SimClock { wall: AtomicU64::new(unix_nano), monotonic: AtomicU64::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, by_ns: u64) {
        self.wall.fetch_add(by_ns, SeqCst);
        self.monotonic.fetch_add(by_ns, SeqCst);
    }

    /// Sets the clock back, as a wrong time server does.
    pub fn step_back(&self, by_ns: u64) {
        self.wall.fetch_sub(by_ns, SeqCst);
    }

    /// Sets the clock ahead, as a wrong time server does; no time passes.
    pub fn step_forward(&self, by_ns: u64) {
        self.wall.fetch_add(by_ns, SeqCst);
    }
}

impl Clock for SimClock {
    fn now_unix_nano(&self) -> u64 {
        self.wall.load(SeqCst)
    }

    fn monotonic_ns(&self) -> u64 {
        self.monotonic.load(SeqCst)
    }
}
