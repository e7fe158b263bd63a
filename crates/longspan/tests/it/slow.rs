//! Disks that fail a sync or take their time, and files that may not grow: provoked in the running program by strace, where it is there.

use crate::api;
use crate::load::{Batch, Numbers, Record, seed, send_good, try_send, verify};
use crate::server::{Home, Server};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SENDERS: usize = 8;
/// How long a question may take beside a slow disk. A program that is traced is several times slower than one that is not.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// How soon after syncs work again spans are taken again.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5);

/// Faults of a server's syncs, as long as this is there.
struct Faults {
    strace: Child,
}

impl Faults {
    /// Has the server's syncs behave so, in the words of `strace -e inject`; why that cannot be had.
    fn inject(server: &Server, how: &str) -> Result<Self, String> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e"]);
        command.args([&format!("inject=fdatasync,fsync:{how}"), "-p", &server.pid().to_string()]);
        let strace = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| error.to_string())?;
        let mut faults = Self { strace };
        while !all_traced(server.pid()) {
            if let Some(status) = faults.strace.try_wait().unwrap() {
                return Err(format!("strace ended with {status}: tracing is not allowed here"));
            }
            std::thread::yield_now();
        }
        Ok(faults)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // A terminated strace lets go of what it traces; a killed one might leave it stopped.
        let _ = Command::new("kill").args(["-TERM", &self.strace.id().to_string()]).status();
        let _ = self.strace.wait();
    }
}

/// Whether every thread of a process is being traced.
fn all_traced(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut states = threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).ok());
    states.all(|state| !state.contains("TracerPid:\t0\n"))
}

fn skip(test: &str, reason: &str) {
    println!("SKIPPED {test}: {reason}; the simulated disk of the store's tests does the same");
}

/// Sends from many threads until told to stop; what was stored, what was not, and the longest wait for an answer.
fn send_until(stop: &AtomicBool, server: &Server, numbers: &Numbers) -> (Record, Duration) {
    let sent = Mutex::new((Record::default(), Duration::ZERO));
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let (batch, started) = (numbers.batch(), Instant::now());
                    let status = try_send(server, batch);
                    let mut sent = sent.lock().unwrap();
                    sent.1 = sent.1.max(started.elapsed());
                    match status {
                        Some(200) => sent.0.acknowledged.push(batch),
                        Some(503) => sent.0.unanswered.push(batch),
                        other => panic!("answered with {other:?}"),
                    }
                }
            });
        }
    });
    sent.into_inner().unwrap()
}

/// Asks one question after the other until told to stop; how long each took, in order of length.
fn ask_until(stop: &AtomicBool, server: &Server) -> Vec<Duration> {
    let questions = ["/api/traces?limit=5", "/api/services", "/api/traces/abc", "/api/traces?q=payload%20%3D%20x"];
    let mut took = Vec::new();
    for path in questions.iter().cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
        let started = Instant::now();
        let (status, body) = api::get(server, path);
        assert!(status == 200 || status == 404, "{path}: {status} {body}");
        took.push(started.elapsed());
    }
    took.sort();
    took
}

/// Load and questions for so long: what was sent, the longest wait of a sender, and of a question.
fn under_load(server: &Server, numbers: &Numbers, how_long: Duration) -> (Record, Duration, Duration) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| send_until(&stop, server, numbers));
        let asking = scope.spawn(|| ask_until(&stop, server));
        std::thread::sleep(how_long);
        stop.store(true, Ordering::Relaxed);
        let (record, longest) = sending.join().unwrap();
        (record, longest, asking.join().unwrap().pop().unwrap())
    })
}

#[test]
fn no_ok_without_a_sync() {
    // While every sync of the real program fails with an I/O error, every request is refused in a way that can be retried and questions are
    // answered, and probes are told; when syncs work again spans are taken again, and after a kill all that was acknowledged is there.
    let home = Home::new();
    let server = Server::start(&home);
    let numbers = Numbers::new(seed());
    let (mut record, _, _) = under_load(&server, &numbers, Duration::from_millis(300));
    assert!(record.unanswered.is_empty() && record.acknowledged.len() > 5, "{record:?}");
    let faults = match Faults::inject(&server, "error=EIO") {
        Ok(faults) => faults,
        Err(reason) => return skip("failing syncs", &reason),
    };
    let (failed, _, longest_question) = under_load(&server, &numbers, Duration::from_secs(1));
    let (status, ready) = api::get(&server, "/readyz");
    assert_eq!((status, ready["phase"].as_str()), (503, Some("read_only")));
    drop(faults);
    println!("{} refused", failed.unanswered.len());
    assert!(failed.acknowledged.is_empty(), "{} were acknowledged without a sync", failed.acknowledged.len());
    assert!(failed.unanswered.len() > 5 && longest_question < ANSWER_LIMIT, "{longest_question:?}");
    record.append(failed);
    let (well, first) = (Instant::now(), numbers.batch());
    while try_send(&server, first) != Some(200) {
        assert!(well.elapsed() < RECOVERY_LIMIT, "it does not recover: {}", home.stderr());
    }
    record.acknowledged.push(first);
    for _ in 0..20 {
        let batch = numbers.batch();
        send_good(&server, batch);
        record.acknowledged.push(batch);
    }
    verify(&server, &record);
    server.kill();
    verify(&Server::start(&home), &record);
    assert!(!home.stderr().contains("panicked"), "{}", home.stderr());
}

#[test]
fn senders_wait_for_a_slow_disk_and_questions_do_not() {
    // With syncs of 200 ms, and with a stall of 5 s, every request is answered with an OK, as all that wait share a sync; memory stays
    // small, and no question waits for the disk.
    let home = Home::new();
    let server = Server::start_with(&home, &["--memory-limit", "64MiB"]);
    let numbers = Numbers::new(seed());
    send_good(&server, numbers.batch());
    for (how, how_long) in [("delay_enter=200000", 3), ("delay_enter=5000000:when=1", 2)] {
        let faults = match Faults::inject(&server, how) {
            Ok(faults) => faults,
            Err(reason) => return skip("slow syncs", &reason),
        };
        let (record, longest_wait, longest_question) = under_load(&server, &numbers, Duration::from_secs(how_long));
        drop(faults);
        println!(
            "{how}: {} stored, waits up to {longest_wait:?}, questions {longest_question:?}",
            record.acknowledged.len()
        );
        assert!(record.unanswered.is_empty(), "{} were refused", record.unanswered.len());
        assert!(record.acknowledged.len() >= SENDERS && longest_wait < Duration::from_secs(10), "{longest_wait:?}");
        assert!(longest_wait > Duration::from_millis(190), "the disk was not slow");
        assert!(longest_question < ANSWER_LIMIT, "{longest_question:?}");
        verify(&server, &record);
    }
    assert!(server.peak_memory_bytes() < 70 << 20, "{} MiB", server.peak_memory_bytes() >> 20);
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    // Where files may not grow past 256 KiB the program lives on: requests are stored or refused with a hint, questions are answered,
    // and without the limit all that was acknowledged is there.
    let home = Home::new();
    // In blocks of 512 bytes.
    let server = Server::start_with_limit(&home, "-f 512");
    let numbers = Numbers::new(seed());
    let mut record = Record::default();
    let deadline = Instant::now() + Duration::from_mins(1);
    while record.unanswered.is_empty() {
        assert!(Instant::now() < deadline, "the limit is never met");
        let batch = numbers.batch();
        match try_send(&server, batch) {
            Some(200) => record.acknowledged.push(batch),
            Some(503) => record.unanswered.push(batch),
            other => panic!("a full file is answered with {other:?}: {}", home.stderr()),
        }
    }
    assert!(record.acknowledged.len() > 50, "{}", record.acknowledged.len());
    assert_eq!(api::get(&server, "/api/traces?limit=5").0, 200);
    verify(&server, &record);
    let batch: Batch = numbers.batch();
    assert!(matches!(try_send(&server, batch), Some(200 | 503)));
    record.unanswered.push(batch);
    server.kill();
    verify(&Server::start(&home), &record);
}
