//! A soak: the real server for hours under a steady load that `longspan verify --endpoint` writes and reads back.
//!
//! Passes when nothing is missing, changed, doubled or invented, and when memory and open files do not grow with time: the peak of the
//! last third is held against that of the middle third, what each new segment may take set aside. It measures no speed.

use crate::{bench, steps};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// So much that segments are sealed and merged all the time, so little that the reader keeps up.
const SPANS_PER_SECOND: &str = "400";
const MEMORY_LIMIT: &str = "128MiB";
const START_LIMIT: Duration = Duration::from_mins(1);
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// How much more than in the middle third memory may be in the last one, and how many more files may be open.
const MEMORY_GROWTH: f64 = 0.10;
/// In a shorter run caches are still being filled, up to their bounds: its memory is printed and not judged.
const MEMORY_JUDGED_FROM: Duration = Duration::from_hours(1);
const FILES_GROWTH: u64 = 32;
/// What a segment may take for as long as it is there: its files are open, its filters in memory.
const SEGMENT_BYTES: u64 = 256 << 10;
const SEGMENT_FILES: u64 = 3;

/// What a server has at an instant.
#[derive(Debug, Clone, Copy)]
struct Sample {
    resident_bytes: u64,
    open_files: u64,
    segments: u64,
}

/// Serves and watches for so long.
pub(crate) fn run(how_long: Duration, seed: u64) -> Result<()> {
    steps::run(
        steps::cargo().args(["build", "--locked", "--release", "--package", "longspan"]),
        how_long + START_LIMIT * 30,
    )?;
    let program = bench::release_folder().join("longspan");
    let folder = Folder::new()?;
    let server = Server::start(&program, &folder.0.join("data"))?;
    let mut watch = Command::new(&program);
    watch.args(["verify", "--endpoint", &server.url("otlp_http")?, "--api-url", &server.url("api")?]);
    watch.args(["--spans-per-second", SPANS_PER_SECOND, "--seed", &seed.to_string()]);
    watch.args(["--for", &format!("{}s", how_long.as_secs())]);
    let mut watching = Ended(watch.spawn().context("cannot start the watching")?);
    let deadline = Instant::now() + how_long + how_long / 4 + START_LIMIT;
    let mut samples = Vec::new();
    let status = loop {
        samples.push(server.sample()?);
        std::thread::sleep(SAMPLE_EVERY);
        if let Some(status) = watching.0.try_wait()? {
            break status;
        }
        ensure!(Instant::now() < deadline, "the watching does not end");
    };
    ensure!(status.success(), "`longspan verify --endpoint` ended with {status}");
    let peak = samples.iter().map(|sample| sample.resident_bytes).max().unwrap_or_default();
    println!("   peak memory {} MiB of {MEMORY_LIMIT}, {} samples", peak >> 20, samples.len());
    let stopped = server.stop()?;
    ensure!(stopped.success(), "the server ended with {stopped}");
    steady(&samples, how_long >= MEMORY_JUDGED_FROM)
}

/// Whether memory and open files stay where they were in the middle, but for new segments.
fn steady(samples: &[Sample], is_memory_judged: bool) -> Result<()> {
    let third = samples.len() / 3;
    let (middle, last) = (peaks(&samples[third..2 * third]), peaks(&samples[2 * third..]));
    println!("   from the middle to the last third: {middle:?}, {last:?}");
    let segments = last.segments.saturating_sub(middle.segments);
    let memory = middle.resident_bytes as f64 * (1.0 + MEMORY_GROWTH) + (segments * SEGMENT_BYTES) as f64;
    ensure!(!is_memory_judged || last.resident_bytes as f64 <= memory, "memory grows: {middle:?}, then {last:?}");
    let files = middle.open_files + FILES_GROWTH + segments * SEGMENT_FILES;
    ensure!(last.open_files <= files, "open files grow: {middle:?}, then {last:?}");
    Ok(())
}

/// The most of everything.
fn peaks(samples: &[Sample]) -> Sample {
    let most = |of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or_default();
    Sample {
        resident_bytes: most(|sample| sample.resident_bytes),
        open_files: most(|sample| sample.open_files),
        segments: most(|sample| sample.segments),
    }
}

/// A directory that goes when this does.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("longspan-soak-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It lies in the system's directory of temporary files.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A program that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended by itself, if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Server {
    child: Ended,
    listening: String,
}

impl Server {
    fn start(program: &Path, data: &Path) -> Result<Server> {
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(data).args(["--memory-limit", MEMORY_LIMIT, "--log-level", "warn"]);
        for flag in ["--otlp-grpc", "--otlp-http", "--api", "--zipkin", "--jaeger"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        let mut child = Ended(command.stdin(Stdio::null()).spawn().context("cannot start the server")?);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Ok(listening) = fs::read_to_string(data.join("listening.json")) {
                return Ok(Server { child, listening });
            }
            if let Some(status) = child.0.try_wait()? {
                bail!("the server ended with {status} instead of starting");
            }
            ensure!(Instant::now() < deadline, "the server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn url(&self, port: &str) -> Result<String> {
        let address = address(&self.listening, port).with_context(|| format!("no {port} in {}", self.listening))?;
        Ok(format!("http://{address}"))
    }

    fn sample(&self) -> Result<Sample> {
        let process = format!("/proc/{}", self.child.0.id());
        let status = fs::read_to_string(format!("{process}/status")).context("the server is gone")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the server is gone")?;
        let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse()?;
        let open_files = fs::read_dir(format!("{process}/fd")).context("the server is gone")?.count() as u64;
        Ok(Sample { resident_bytes: kibibytes << 10, open_files, segments: self.segments()? })
    }

    /// How many segments there are, as `/metrics` says.
    fn segments(&self) -> Result<u64> {
        let api = address(&self.listening, "api").context("the server has no API")?;
        let mut stream = TcpStream::connect(api)?;
        stream.set_read_timeout(Some(START_LIMIT))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let line = answer.lines().find_map(|line| line.strip_prefix("longspan_segments "));
        Ok(line.context("/metrics does not count segments")?.trim().parse()?)
    }

    /// Asks it to stop, and waits.
    fn stop(mut self) -> Result<ExitStatus> {
        Command::new("kill").args(["-TERM", &self.child.0.id().to_string()]).status()?;
        Ok(self.child.0.wait()?)
    }
}

/// The address of a port in `listening.json`.
fn address<'a>(listening: &'a str, port: &str) -> Option<&'a str> {
    let (_, rest) = listening.split_once(&format!("\"{port}\""))?;
    rest.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_noise() {
        // A server that settles passes, also while segments are added; one that takes a little more with every sample does not.
        let run = |of: &dyn Fn(u64) -> Sample| steady(&(0..90).map(of).collect::<Vec<_>>(), true);
        let sample =
            |mebibytes: u64, open_files, segments| Sample { resident_bytes: mebibytes << 20, open_files, segments };
        run(&|at| sample(50 + at.min(20) + at % 3, 30 + at % 7, 5)).unwrap();
        run(&|at| sample(50 + at / 9, 30 + 2 * at, at)).unwrap();
        assert!(run(&|at| sample(50 + at, 30, 5)).unwrap_err().to_string().contains("memory grows"));
        assert!(run(&|at| sample(50, 30 + 2 * at, 5)).unwrap_err().to_string().contains("open files grow"));
    }

    #[test]
    fn addresses_are_found_by_their_names() {
        // The right port is asked, however the file is laid out.
        let listening = "{\n  \"api\": \"127.0.0.1:5\", \"otlp_http\":\"127.0.0.1:6\"}";
        assert_eq!(
            (address(listening, "api"), address(listening, "otlp_http")),
            (Some("127.0.0.1:5"), Some("127.0.0.1:6"))
        );
        assert_eq!(address(listening, "zipkin"), None);
    }
}
