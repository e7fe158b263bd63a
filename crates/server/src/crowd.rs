//! The connections of a listener, and which of them has to go when there are too many.
//!
//! The one that has had nothing to do for longest: it is told to end as on a stop, so that nothing under way is cut. If all are busy
//! the next one waits in the system's queue.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::patience::Progress;

/// Connections of one listener; fewer where the system allows few open files.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Below this a listener would turn honest senders away.
const CONNECTIONS_MIN: usize = 16;
/// What is left for the store's files: a listener takes at most one in so many of the open files that the system allows.
const OPEN_FILES_SHARE: u64 = 10;

/// How many connections a listener may have where so many files may be open.
pub fn connections_max(open_files: u64) -> usize {
    ((open_files / OPEN_FILES_SHARE) as usize).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}

/// One connection, as its listener sees it.
#[derive(Debug, Clone)]
pub struct Member {
    /// What it is doing.
    pub progress: Progress,
    /// Told when it has to end.
    pub leave: Arc<Notify>,
}

/// The connections that are open, by number.
#[derive(Debug, Default)]
pub struct Crowd {
    members: HashMap<u64, Member>,
    next: u64,
}

impl Crowd {
    /// A new connection and its number.
    pub fn enter(&mut self) -> (u64, Member) {
        let member = Member { progress: Progress::default(), leave: Arc::new(Notify::new()) };
        self.next += 1;
        self.members.insert(self.next, member.clone());
        (self.next, member)
    }

    /// Connections that were not told to end.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A connection has ended.
    pub fn left(&mut self, number: u64) {
        self.members.remove(&number);
    }

    /// Tells the connection that has been idle for longest to end; whether there is one. It is not asked again.
    pub fn crowd_out(&mut self) -> bool {
        let idle = self.members.iter().filter_map(|(&number, member)| Some((member.progress.idle_since()?, number)));
        let Some((_, number)) = idle.min_by_key(|&(since, _): &(Instant, u64)| since) else { return false };
        if let Some(member) = self.members.remove(&number) {
            member.leave.notify_one();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So that instants differ.
    fn tick() {
        let before = Instant::now();
        while Instant::now() == before {}
    }

    #[tokio::test]
    async fn the_longest_idle_goes_and_the_busy_stay() {
        // Guarantees that connections at work are never crowded out, the others in the order in which they fell idle, each once.
        let mut crowd = Crowd::default();
        let (_, worker) = crowd.enter();
        let busy = worker.progress.request_begins(http::Version::HTTP_2);
        let (_, first) = crowd.enter();
        tick();
        let (_, second) = crowd.enter();
        tick();
        drop(first.progress.request_begins(http::Version::HTTP_11));
        for member in [&second, &first] {
            assert!(crowd.crowd_out());
            member.leave.notified().await;
        }
        assert!(!crowd.crowd_out());
        drop(busy);
        assert!(crowd.crowd_out());
    }

    #[test]
    fn few_open_files_are_few_connections() {
        // Guarantees that five listeners together leave half of the open files to the store, as long as there are enough.
        assert_eq!((connections_max(1_024), connections_max(20), connections_max(1 << 20)), (102, 16, 1_024));
    }
}
