//! Logical time and the tasks that live in it.
//!
//! The shop's services are ordinary async functions that sleep on a [`Clock`]. [`Tasks`] runs them one at a time, in an order
//! that depends on nothing but their due times, so that a seed plays the same scenario however fast it is driven. Who moves
//! the clock decides the pace: the live shop waits for the wall clock, the fast one jumps from one due time to the next.
//! This is not a general executor: a task may wait for this clock and for the bus, for nothing outside.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type TaskId = u64;

/// Locks without a panic: none of the shop's locks is held across code that can fail half-way.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle to logical time: tells it, sleeps in it, starts tasks in it.
#[derive(Clone)]
pub(crate) struct Clock {
    shared: Arc<Shared>,
}

struct Shared {
    now_ns: AtomicU64,
    arrivals: Mutex<Vec<Task>>,
    timers: Mutex<Timers>,
}

#[derive(Default)]
struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
    armed: u64,
}

/// Ordered by due time, then by the order of arming: ties must not depend on the heap's mood.
struct Timer {
    due_ns: u64,
    number: u64,
    waker: Waker,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        (self.due_ns, self.number) == (other.due_ns, other.number)
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due_ns, self.number).cmp(&(other.due_ns, other.number))
    }
}

impl Clock {
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.now_ns())
    }

    fn now_ns(&self) -> u64 {
        self.shared.now_ns.load(Ordering::Acquire)
    }

    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        let due_ns = self.now_ns().saturating_add(duration.as_nanos() as u64);
        Sleep { clock: self.clone(), due_ns, armed: false }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        locked(&self.shared.arrivals).push(Box::pin(task));
    }
}

/// Completes when logical time has reached its due time.
pub(crate) struct Sleep {
    clock: Clock,
    due_ns: u64,
    armed: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now_ns() >= self.due_ns {
            return Poll::Ready(());
        }
        if !self.armed {
            self.armed = true;
            let mut timers = locked(&self.clock.shared.timers);
            timers.armed += 1;
            let number = timers.armed;
            timers.heap.push(Reverse(Timer { due_ns: self.due_ns, number, waker: cx.waker().clone() }));
        }
        Poll::Pending
    }
}

/// The tasks of one shop, run by whoever owns this.
pub(crate) struct Tasks {
    clock: Clock,
    running: BTreeMap<TaskId, Task>,
    started: TaskId,
    ready: Arc<Mutex<VecDeque<TaskId>>>,
}

struct TaskWaker {
    task: TaskId,
    ready: Arc<Mutex<VecDeque<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        locked(&self.ready).push_back(self.task);
    }
}

impl Tasks {
    pub(crate) fn starting_at(start: SystemTime) -> Self {
        let shared =
            Shared { now_ns: AtomicU64::new(unix_ns(start)), arrivals: Mutex::default(), timers: Mutex::default() };
        Self { clock: Clock { shared: Arc::new(shared) }, running: BTreeMap::new(), started: 0, ready: Arc::default() }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Polls every task that can go on at the present instant, until none can.
    pub(crate) fn run_ready(&mut self) {
        loop {
            self.admit_arrivals();
            let next = locked(&self.ready).pop_front();
            let Some(task) = next else { return };
            self.poll(task);
        }
    }

    /// When the earliest sleeper is due; `None` when nothing will ever happen again.
    pub(crate) fn next_due(&self) -> Option<SystemTime> {
        let timers = locked(&self.clock.shared.timers);
        let Reverse(timer) = timers.heap.peek()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(timer.due_ns))
    }

    /// Moves time to the earliest sleeper's due time and wakes it. Time never goes back, and never lies before
    /// `not_before`: after the machine was suspended, the shop resumes near the present instead of replaying the gap.
    pub(crate) fn advance(&mut self, not_before: SystemTime) {
        let timer = locked(&self.clock.shared.timers).heap.pop();
        let Some(Reverse(timer)) = timer else { return };
        let target = timer.due_ns.max(unix_ns(not_before));
        self.clock.shared.now_ns.fetch_max(target, Ordering::AcqRel);
        timer.waker.wake();
    }

    fn admit_arrivals(&mut self) {
        let arrivals = std::mem::take(&mut *locked(&self.clock.shared.arrivals));
        for task in arrivals {
            self.started += 1;
            self.running.insert(self.started, task);
            locked(&self.ready).push_back(self.started);
        }
    }

    fn poll(&mut self, task: TaskId) {
        // A task that was woken twice may be done by the second time.
        let Some(future) = self.running.get_mut(&task) else { return };
        let waker = Waker::from(Arc::new(TaskWaker { task, ready: Arc::clone(&self.ready) }));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.running.remove(&task);
        }
    }
}

fn unix_ns(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_to_the_end(tasks: &mut Tasks) {
        tasks.run_ready();
        while tasks.next_due().is_some() {
            tasks.advance(SystemTime::UNIX_EPOCH);
            tasks.run_ready();
        }
    }

    #[test]
    fn sleepers_wake_in_the_order_of_their_due_times() {
        // Guarantee: tasks resume by due time, ties by order of arming, and see exactly their due time as now.
        let mut tasks = Tasks::starting_at(SystemTime::UNIX_EPOCH);
        let clock = tasks.clock();
        let log: Arc<Mutex<Vec<(u64, &str)>>> = Arc::default();
        for (name, seconds) in [("late", 7200), ("tie one", 60), ("tie two", 60), ("early", 1)] {
            let (clock, log) = (clock.clone(), Arc::clone(&log));
            tasks.clock().spawn(async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                locked(&log).push((unix_ns(clock.now()) / 1_000_000_000, name));
            });
        }
        run_to_the_end(&mut tasks);
        assert_eq!(*locked(&log), [(1, "early"), (60, "tie one"), (60, "tie two"), (7200, "late")]);
    }

    #[test]
    fn a_gap_in_the_wall_clock_is_skipped() {
        // Guarantee: with a `not_before` beyond the due time, the task wakes at `not_before`, and time never goes back.
        let mut tasks = Tasks::starting_at(SystemTime::UNIX_EPOCH);
        let clock = tasks.clock();
        let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
        for seconds in [1, 2] {
            let (clock, seen) = (clock.clone(), Arc::clone(&seen));
            tasks.clock().spawn(async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                locked(&seen).push(unix_ns(clock.now()) / 1_000_000_000);
            });
        }
        tasks.run_ready();
        tasks.advance(SystemTime::UNIX_EPOCH + Duration::from_secs(500));
        tasks.run_ready();
        tasks.advance(SystemTime::UNIX_EPOCH);
        tasks.run_ready();
        assert_eq!(*locked(&seen), [500, 500]);
    }
}
