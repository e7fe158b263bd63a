//! The program under test, and what can be seen of it from the outside: CPU, memory, disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Hundredths of a second, in which Linux counts a process's time.
const TICKS_PER_S: f64 = 100.0;
const START_LIMIT: Duration = Duration::from_mins(1);
const PEAK_INTERVAL: Duration = Duration::from_millis(50);
/// Changes smaller than this are housekeeping: a settled server still moves a little.
const QUIET_CPU_S: f64 = 0.1;
const QUIET_DISK_BYTES: u64 = 64 << 10;

/// A running server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    data: PathBuf,
    listening: Value,
}

impl Server {
    /// Starts `program` on a fresh directory and free ports, and waits until it is ready.
    pub(crate) fn start(program: &Path, data: &Path) -> Result<Server> {
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(data).args(["--log-level", "warn"]);
        for flag in ["--otlp-grpc", "--otlp-http", "--api", "--zipkin", "--jaeger"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LONGSPAN_")) {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("could not start {}", program.display()))?;
        let mut server = Server { child, data: data.to_owned(), listening: Value::Null };
        let deadline = Instant::now() + START_LIMIT;
        while !server.is_ready() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status} instead of starting");
            }
            ensure!(Instant::now() < deadline, "the server was not ready in {START_LIMIT:?}");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn is_ready(&mut self) -> bool {
        if self.listening.is_null() {
            let Ok(text) = fs::read(self.data.join("listening.json")) else { return false };
            self.listening = serde_json::from_slice(&text).unwrap_or_default();
        }
        let Ok(url) = self.url("api", "/readyz") else { return false };
        agent().get(url).call().is_ok_and(|answer| answer.status() == 200)
    }

    pub(crate) fn url(&self, port: &str, path: &str) -> Result<String> {
        let address =
            self.listening[port].as_str().with_context(|| format!("the server does not listen for {port}"))?;
        Ok(format!("http://{address}{path}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that was resident so far, mapped files included.
    pub(crate) fn peak_rss_mib(&self) -> Result<f64> {
        status_mib(self.pid(), "VmHWM:").context("no VmHWM in /proc")
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        directory_bytes(&self.data)
    }

    /// Waits until neither the CPU nor the disk has been busy for `quiet`: flushing and merging are part of the price.
    pub(crate) fn settle(&self, quiet: Duration, limit: Duration) -> Result<()> {
        let sample = || -> Result<(f64, u64)> { Ok((process_cpu_s(self.pid())?, self.disk_bytes())) };
        let deadline = Instant::now() + limit;
        let (mut last, mut quiet_since) = (sample()?, Instant::now());
        while quiet_since.elapsed() < quiet {
            ensure!(Instant::now() < deadline, "the server was still busy after {limit:?}");
            thread::sleep(Duration::from_secs(1));
            let now = sample()?;
            if now.0 - last.0 > QUIET_CPU_S || now.1.abs_diff(last.1) > QUIET_DISK_BYTES {
                quiet_since = Instant::now();
            }
            last = now;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is lost by this, and nobody reads the data again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that shows every status as it is, keeps its connections, and never waits for ever.
pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(Duration::from_mins(1))).build().into()
}

/// Lets a server that refused breathe.
pub(crate) fn back_off(time: Duration) {
    thread::sleep(time);
}

/// Time on a CPU up to now, or in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuSeconds {
    pub(crate) server: f64,
    pub(crate) client: f64,
    /// By neither; where this is large, the wall clock says little.
    pub(crate) others: f64,
}

impl CpuSeconds {
    /// Since each process, and the machine, started.
    pub(crate) fn now(server: u32) -> Result<CpuSeconds> {
        let (server, client) = (process_cpu_s(server)?, process_cpu_s(std::process::id())?);
        Ok(CpuSeconds { server, client, others: machine_cpu_s()? - server - client })
    }

    pub(crate) fn until(self, end: CpuSeconds) -> CpuSeconds {
        CpuSeconds {
            server: end.server - self.server,
            client: end.client - self.client,
            others: end.others - self.others,
        }
    }
}

/// User and system time of a process with all its threads, ended ones included.
pub(crate) fn process_cpu_s(pid: u32) -> Result<f64> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended, or this is not Linux")?;
    // The name, in parentheses, may hold anything.
    let (_, after_name) = stat.rsplit_once(')').context("/proc/PID/stat")?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_S)
}

/// Time in which any CPU did anything.
fn machine_cpu_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let fields: Vec<f64> = stat.split_whitespace().skip(1).take(7).filter_map(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, irq, soft_irq] = fields[..] else { bail!("/proc/stat") };
    Ok((user + nice + system + irq + soft_irq) / TICKS_PER_S)
}

fn status_mib(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix(field))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<f64>().ok()? / 1024.0)
}

fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => directory_bytes(&entry.path()),
        // Files come and go while the server works.
        _ => entry.metadata().map_or(0, |metadata| metadata.len()),
    };
    entries.flatten().map(bytes).sum()
}

/// Watches memory that is no mapped file, whose peak Linux does not keep.
pub(crate) struct Peaks {
    anon_kib: Arc<AtomicU64>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Peaks {
    pub(crate) fn watch(pid: u32) -> Peaks {
        let anon_kib = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = channel::<()>();
        let seen = Arc::clone(&anon_kib);
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(PEAK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let now_mib = status_mib(pid, "RssAnon:").unwrap_or(0.0);
                seen.fetch_max((now_mib * 1024.0) as u64, Ordering::Relaxed);
            }
        });
        Peaks { anon_kib, stop: Some(stop), thread: Some(thread) }
    }

    /// The largest seen so far.
    pub(crate) fn anon_mib(&self) -> f64 {
        self.anon_kib.load(Ordering::Relaxed) as f64 / 1024.0
    }
}

impl Drop for Peaks {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
