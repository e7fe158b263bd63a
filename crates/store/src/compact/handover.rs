//! What the sealing thread hands to the merging thread, and what comes back: one merge at a time.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::compact::merge::MergeError;
use crate::compact::plan::Plan;
use crate::segment::Segment;

/// A merge to be done.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The number of the merged segment.
    pub(crate) id: u64,
    pub(crate) plan: Plan,
}

/// The merged segment, in place but not live; `None` if no span is left.
pub(crate) type Outcome = Result<Option<Arc<Segment>>, MergeError>;

/// Where both threads meet.
#[derive(Debug, Default)]
pub(crate) struct Handover(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    job: Option<Job>,
    outcome: Option<Outcome>,
}

impl Handover {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().expect("no thread panics while it holds a merge")
    }

    pub(crate) fn give_job(&self, job: Job) {
        self.lock().job = Some(job);
    }

    pub(crate) fn take_job(&self) -> Option<Job> {
        self.lock().job.take()
    }

    pub(crate) fn give_back(&self, outcome: Outcome) {
        self.lock().outcome = Some(outcome);
    }

    pub(crate) fn take_outcome(&self) -> Option<Outcome> {
        self.lock().outcome.take()
    }
}
