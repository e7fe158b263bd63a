//! Disks that are full or lose their power: real file systems, mounted for the test. Needs root; without it the tests say so and pass.

use crate::api;
use crate::effort::times;
use crate::load::{Batch, Numbers, Random, Record, seed, send_good, try_send, verify};
use crate::raw::post;
use crate::server::{Home, Server};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How soon after space is there again spans are taken again.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5);
/// How long an OK may take from the server to here.
const ON_THE_WAY: Duration = Duration::from_millis(100);

/// A file system that is there as long as this is.
struct Mount {
    folder: TempDir,
}

impl Mount {
    /// What `mount` was asked for, or why it cannot be had.
    fn new(arguments: &[&str]) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(arguments).arg(folder.path()))?;
        Ok(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a server that a failing test left behind may still be there.
        let _ = run(Command::new("umount").arg("--lazy").arg(self.folder.path()));
    }
}

/// Runs a command; what it said if it failed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", said.trim())) }
}

fn skip(test: &str, reason: &str) {
    println!("SKIPPED {test}: {reason}");
}

#[test]
fn a_full_disk_refuses_politely_and_recovers_by_itself() {
    // While the disk is full every request is refused with a hint to try again, what was stored is read; with space there again
    // spans are taken again without a hand on the server, and after a restart all that was acknowledged is there.
    let mount = match Mount::new(&["-t", "tmpfs", "-o", "size=24m", "tmpfs"]) {
        Ok(mount) => mount,
        Err(reason) => return skip("full disk", &reason),
    };
    let ballast = mount.path().join("ballast");
    std::fs::write(&ballast, vec![0; 22 << 20]).unwrap();
    let home = Home::with_data(mount.path().join("data"));
    let server = Server::start(&home);
    let seed = seed();
    let mut record = Record::default();
    let mut refused = 0;
    for number in 1.. {
        assert!(number < 200_000, "the disk is never full");
        let batch = Batch { seed, number };
        match try_send(&server, batch) {
            Some(200) => record.acknowledged.push(batch),
            Some(503) => {
                refused += 1;
                record.unanswered.push(batch);
            }
            other => panic!("a full disk is answered with {other:?}"),
        }
        if refused >= 20 {
            break;
        }
    }
    let mut request = crate::server::agent().post(server.url("otlp_http", "/v1/traces"));
    request = request.header("content-type", "application/x-protobuf");
    let hinted = request.send(&Batch { seed, number: 300_000 }.protobuf()[..]).unwrap();
    assert_eq!((hinted.status().as_u16(), hinted.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let status = post(
        &server,
        &[("content-type", "application/json")],
        Batch { seed, number: 300_001 }.json().to_string().as_bytes(),
    );
    assert!(status.status == 503 && status.json()["details"][0]["retryDelay"].is_string(), "{status:?}");
    record.unanswered.extend([300_000, 300_001].map(|number| Batch { seed, number }));
    let stored = api::trace(&server, &record.acknowledged[0].trace_id_hex()).expect("reads go on");
    assert_eq!(api::spans(&stored).len(), record.acknowledged[0].spans().len());
    assert_eq!(api::get(&server, "/api/traces?limit=5").0, 200);
    std::fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    let batch = Batch { seed, number: 400_000 };
    while try_send(&server, batch) != Some(200) {
        assert!(freed.elapsed() < RECOVERY_LIMIT, "it does not recover: {}", home.stderr());
    }
    record.acknowledged.push(batch);
    verify(&server, &record);
    server.kill();
    verify(&Server::start(&home), &record);
    println!("{} acknowledged, recovered after {:?}", record.acknowledged.len(), freed.elapsed());
}

/// An ext4 in a file.
struct Image {
    folder: TempDir,
}

impl Image {
    fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("image")).unwrap().set_len(192 << 20).unwrap();
        let image = Self { folder };
        run(Command::new("mkfs.ext4").arg("-q").arg(image.file()))?;
        Ok(image)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount(&self) -> Result<Mount, String> {
        Mount::new(&["-o", "loop", self.file().to_str().unwrap()])
    }
}

/// The power is gone: nothing that the file system has not yet been asked to keep reaches the disk, not even its journal.
fn cut_power(mount: &Path) -> Result<(), String> {
    // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH; the standard library has no ioctl.
    let script =
        "import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
    run(Command::new("python3").args(["-c", script]).arg(mount))
}

/// What was sent until the server was gone, with the instant at which each OK had arrived.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<(Instant, Batch)>,
    unanswered: Vec<Batch>,
}

/// Sends from four threads until `stop`.
fn send_until(stop: &AtomicBool, server: &Server, numbers: &Numbers, sent: &Mutex<Sent>) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let batch = numbers.batch();
                    let status = try_send(server, batch);
                    let now = Instant::now();
                    let mut sent = sent.lock().unwrap();
                    match status {
                        Some(200) => sent.acknowledged.push((now, batch)),
                        Some(503) | None => sent.unanswered.push(batch),
                        Some(other) => panic!("a failing disk is answered with {other}"),
                    }
                }
            });
        }
    });
}

/// Power cuts of one disk.
const CUTS: u64 = 5;
/// So little that segments are being sealed when the power goes.
const LITTLE_MEMORY: [&str; 2] = ["--memory-limit", "16MiB"];

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    // The disk stops in the middle of a load, 5 times (100 in the full run), what was not synced is gone: after the next start every batch
    // acknowledged before the cut is there as it was sent, every other one whole or not at all; and nothing is acknowledged after it. (The cut
    // itself takes a moment: the file system gives up its journal step by step, and an OK in between may be either.)
    let seed = seed();
    for disk in 0..times(1, 100 / CUTS) {
        if let Err(reason) = cut_often(seed.wrapping_add(disk)) {
            return skip("power cut", &reason);
        }
    }
}

/// One disk that loses its power again and again; why it cannot be had.
fn cut_often(seed: u64) -> Result<(), String> {
    let image = Image::new()?;
    let numbers = Numbers::new(seed);
    let mut random = Random(seed);
    let mut record = Record::default();
    for round in 0..CUTS {
        let mount = image.mount()?;
        let home = Home::with_data(mount.path().join("data"));
        let server = Server::start_with(&home, if round % 2 == 0 { &[] } else { &LITTLE_MEMORY });
        let delay = Duration::from_millis(300 + random.below(900));
        let (began, ended, sent) = send_and_cut(&server, &numbers, delay, mount.path())?;
        server.kill();
        let late = sent.acknowledged.iter().filter(|(at, _)| *at > ended + ON_THE_WAY).count();
        assert_eq!(late, 0, "acknowledged without a disk");
        let (before, during): (Vec<_>, Vec<_>) = sent.acknowledged.into_iter().partition(|(at, _)| *at < began);
        println!(
            "seed {seed}, cut {round} after {delay:?}: {} acknowledged before, {} during it",
            before.len(),
            during.len()
        );
        assert!(before.len() > 5 && sent.unanswered.len() > 5, "too little load to prove anything");
        record.acknowledged.extend(before.into_iter().map(|(_, batch)| batch));
        record.unanswered.extend(during.into_iter().map(|(_, batch)| batch).chain(sent.unanswered));
        drop(mount);
    }
    let mount = image.mount()?;
    let home = Home::with_data(mount.path().join("data"));
    let server = Server::start(&home);
    verify(&server, &record);
    send_good(&server, numbers.batch());
    assert!(!home.stderr().contains("panicked"), "{}", home.stderr());
    Ok(())
}

/// Cuts the power after a while of load: when that began, when it had happened, and what was sent.
fn send_and_cut(
    server: &Server,
    numbers: &Numbers,
    delay: Duration,
    mount: &Path,
) -> Result<(Instant, Instant, Sent), String> {
    let (stop, sent) = (AtomicBool::new(false), Mutex::new(Sent::default()));
    let (began, ended, cut) = std::thread::scope(|scope| {
        scope.spawn(|| send_until(&stop, server, numbers, &sent));
        std::thread::sleep(delay);
        let began = Instant::now();
        let cut = cut_power(mount);
        let ended = Instant::now();
        // So that requests come after the cut.
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        (began, ended, cut)
    });
    cut.map(|()| (began, ended, sent.into_inner().unwrap()))
}
