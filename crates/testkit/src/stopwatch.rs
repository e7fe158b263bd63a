//! Time on a CPU: what a bench reports, so that other work on the machine does not count.
//!
//! Read from Linux's `/proc`; elsewhere there are no readings, and callers fall back to the wall clock.

use std::fs;
use std::time::Instant;

/// Time of one thread, or of all threads of this process.
#[derive(Debug)]
pub struct Stopwatch {
    read: fn() -> Option<u64>,
    cpu_ns: Option<u64>,
    wall: Instant,
}

impl Stopwatch {
    /// Measures the calling thread.
    pub fn of_thread() -> Self {
        Stopwatch::start(thread_cpu_ns)
    }

    /// Measures all threads that this process has at the end.
    pub fn of_process() -> Self {
        Stopwatch::start(process_cpu_ns)
    }

    fn start(read: fn() -> Option<u64>) -> Self {
        Stopwatch { read, cpu_ns: read(), wall: Instant::now() }
    }

    /// Nanoseconds on a CPU since the start; on the wall where the system does not tell.
    pub fn cpu_ns(&self) -> f64 {
        match (self.cpu_ns, (self.read)()) {
            (Some(start), Some(end)) => end.saturating_sub(start) as f64,
            _ => self.wall_ns(),
        }
    }

    /// Nanoseconds on the wall since the start.
    pub fn wall_ns(&self) -> f64 {
        self.wall.elapsed().as_nanos() as f64
    }
}

fn thread_cpu_ns() -> Option<u64> {
    // The kernel brings a running thread's time up to date when it is scheduled, else only some hundred times a second.
    std::thread::yield_now();
    schedstat("/proc/thread-self/schedstat")
}

/// The sum over the threads that are alive: nanoseconds, where `/proc/self/stat` would give hundredths of a second.
fn process_cpu_ns() -> Option<u64> {
    std::thread::yield_now();
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        let path = task.path().join("schedstat");
        // A thread that ends in between is not counted.
        sum += path.to_str().and_then(schedstat).unwrap_or(0);
    }
    Some(sum)
}

fn schedstat(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}
