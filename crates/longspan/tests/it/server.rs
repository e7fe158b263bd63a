//! Runs the real binary on free loopback ports and a directory of its own, and ends it with the test.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Starting includes replaying the log; a test's log is small, a test machine may be slow.
const START_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);
const ADDRESS_FLAGS: [&str; 13] = [
    "--otlp-grpc",
    "--otlp-http",
    "--api",
    "--zipkin",
    "--jaeger",
    "--jaeger-http",
    "--jaeger-grpc",
    "--jaeger-compact",
    "--jaeger-binary",
    "--jaeger-sampling",
    "--opencensus",
    "--xray",
    "--elasticsearch",
];

/// A data directory with what the program said on stderr beside it. Outlives the servers that run on it.
pub(crate) struct Home {
    folder: TempDir,
    data: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self { folder, data }
    }

    /// With the data in a directory of its own, such as on a disk that fails.
    pub(crate) fn with_data(data: PathBuf) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), data }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// Everything the servers on this directory have said so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr.txt")).unwrap_or_default()
    }

    fn stderr_file(&self) -> File {
        File::options().create(true).append(true).open(self.folder.path().join("stderr.txt")).unwrap()
    }
}

/// `longspan serve` on `data` with every port free, not yet started.
pub(crate) fn serve(data: &Path) -> Command {
    served_by(Command::new(env!("CARGO_BIN_EXE_longspan")), data)
}

/// As [`serve`], by a program that may be another one which ends in ours.
fn served_by(mut command: Command, data: &Path) -> Command {
    command.arg("serve").arg("--data").arg(data);
    for flag in ADDRESS_FLAGS {
        command.args([flag, "127.0.0.1:0"]);
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LONGSPAN_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    listening: serde_json::Value,
}

impl Server {
    /// Starts on the directory of `home` and returns when the server says that it is ready.
    pub(crate) fn start(home: &Home) -> Self {
        Self::start_with(home, &[])
    }

    pub(crate) fn start_with(home: &Home, arguments: &[&str]) -> Self {
        Self::start_command(home, serve(&home.data()).args(arguments))
    }

    /// Starts with so few open files allowed.
    pub(crate) fn start_with_open_files(home: &Home, open_files: u32) -> Self {
        Self::start_with_limit(home, &format!("-n {open_files}"))
    }

    /// Starts under a limit that is put into the words of the shell's `ulimit`.
    pub(crate) fn start_with_limit(home: &Home, limit: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_longspan")]);
        Self::start_command(home, &mut served_by(shell, &home.data()))
    }

    fn start_command(home: &Home, command: &mut Command) -> Self {
        let file = home.data().join("listening.json");
        // Left there by a server that was killed: its ports are not ours.
        let _ = std::fs::remove_file(&file);
        let child = command.stderr(home.stderr_file()).spawn().unwrap();
        let mut server = Self { child, listening: serde_json::Value::Null };
        let deadline = Instant::now() + START_LIMIT;
        server.listening = loop {
            if let Ok(text) = std::fs::read(&file) {
                break serde_json::from_slice(&text).expect("listening.json appears whole or not at all");
            }
            server.check_alive(home, deadline);
        };
        while !server.is_ready() {
            server.check_alive(home, deadline);
        }
        server
    }

    fn check_alive(&mut self, home: &Home, deadline: Instant) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the server ended with {status} instead of starting:\n{}", home.stderr());
        }
        assert!(Instant::now() < deadline, "the server was not ready in {START_LIMIT:?}:\n{}", home.stderr());
        std::thread::sleep(POLL);
    }

    fn is_ready(&self) -> bool {
        agent().get(self.url("api", "/readyz")).call().is_ok_and(|answer| answer.status() == 200)
    }

    /// The address of a port by its name in `listening.json`.
    pub(crate) fn address(&self, port: &str) -> SocketAddr {
        let text = self.listening[port].as_str().unwrap_or_else(|| panic!("no {port} in {}", self.listening));
        text.parse().unwrap()
    }

    pub(crate) fn url(&self, port: &str, path: &str) -> String {
        format!("http://{}{path}", self.address(port))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The power button: no handler runs, nothing is flushed.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What an init system does. Returns how the server ended; panics if it has not within `limit`.
    pub(crate) fn terminate(mut self, limit: Duration) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        wait(&mut self.child, limit).unwrap_or_else(|| panic!("still running {limit:?} after SIGTERM"))
    }

    /// The most memory the server has had resident so far.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended, most likely by the test itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of a program; `None` if it goes on past `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(POLL);
    }
    None
}

/// A client that shows every status as it is and never waits for ever; connections are kept for the next request.
pub(crate) fn agent() -> ureq::Agent {
    static AGENT: LazyLock<ureq::Agent> = LazyLock::new(|| {
        let config = ureq::Agent::config_builder();
        config.http_status_as_error(false).proxy(None).timeout_global(Some(Duration::from_secs(30))).build().into()
    });
    AGENT.clone()
}
