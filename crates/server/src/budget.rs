//! A bound on the bytes of requests in flight, so that overload becomes a refusal which a sender repeats, not memory growth.
//!
//! Each request opens a [`Charge`] and grows it as bytes arrive, inflate and decode; dropping the charge gives them back.
//! A plain counter, not a queue: who should wait, and how long, is [`crate::intake`]'s decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;
use tokio::sync::Notify;

/// The bytes of all requests in flight are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too much is being received right now")]
pub struct Overloaded;

/// The bound, shared by all receivers.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    max_bytes: u64,
    used_bytes: AtomicU64,
    released: Notify,
}

/// What one request holds of a [`Budget`].
#[derive(Debug)]
pub struct Charge {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(max_bytes: u64) -> Budget {
        Budget { shared: Arc::new(Shared { max_bytes, used_bytes: AtomicU64::new(0), released: Notify::new() }) }
    }

    /// A charge of nothing yet.
    pub fn open(&self) -> Charge {
        Charge { shared: self.shared.clone(), bytes: 0 }
    }

    /// A charge of `bytes`, waiting until they are free. More than the whole budget counts as the whole budget.
    pub async fn open_with(&self, bytes: u64) -> Charge {
        let bytes = bytes.min(self.shared.max_bytes);
        let mut charge = self.open();
        loop {
            // Registered before the attempt: a release in between is not missed.
            let mut released = std::pin::pin!(self.shared.released.notified());
            released.as_mut().enable();
            if charge.grow(bytes as usize).is_ok() {
                return charge;
            }
            released.await;
        }
    }

    /// The most that can be charged.
    pub fn max_bytes(&self) -> u64 {
        self.shared.max_bytes
    }

    /// Bytes in flight.
    pub fn used_bytes(&self) -> u64 {
        self.shared.used_bytes.load(Ordering::Relaxed)
    }
}

impl Charge {
    /// Adds to the charge, or says that there is no room.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Overloaded> {
        let more = bytes as u64;
        let fits = |used: u64| used.checked_add(more).filter(|&sum| sum <= self.shared.max_bytes);
        let order = Ordering::Relaxed;
        self.shared.used_bytes.fetch_update(order, order, fits).map_err(|_| Overloaded)?;
        self.bytes += more;
        Ok(())
    }

    /// Gives back what is charged beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.give_back(less);
    }

    fn give_back(&self, bytes: u64) {
        self.shared.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.shared.released.notify_waiters();
    }

    /// Bytes charged so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_a_release() {
        // Guarantees that the sum of all charges stays within the budget, and that a waiter gets what another gives back.
        let budget = Budget::new(100);
        let mut first = budget.open_with(60).await;
        assert_eq!(first.grow(50), Err(Overloaded));
        let waiter = tokio::spawn({
            let budget = budget.clone();
            async move { budget.open_with(80).await.bytes() }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        first.shrink_to(20);
        assert_eq!(waiter.await.unwrap(), 80);
        assert_eq!(budget.used_bytes(), 20);
        drop(first);
        assert_eq!(budget.used_bytes(), 0);
    }
}
