//! `longspan demo`: what it leaves behind and what it says about that.

use crate::api;
use crate::server::{Home, Server, wait};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs the demo to its end; what it said.
fn demo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longspan"));
    command.args(["demo", "--spans", "2000", "--exit"]).args(arguments);
    for flag in ["--otlp-grpc", "--otlp-http", "--api", "--zipkin", "--jaeger"] {
        command.args([flag, "127.0.0.1:0"]);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait(&mut child, Duration::from_mins(2));
    if status.is_none() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(status.is_some_and(|status| status.success()), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn kept_data_is_sealed_and_served_again() {
    // A demo with a directory of its own leaves Parquet files there, says so, and a server on it has every span.
    let home = Home::new();
    let said = demo(&["--data", home.data().to_str().unwrap()]);
    assert!(said.contains(&format!("its data stays in {}", home.data().display())), "{said}");
    assert!(!said.contains("Ctrl-C") && !said.contains("goes with it"), "{said}");
    let files = files_below(&home.data());
    assert!(files.iter().any(|file| file.file_name().is_some_and(|name| name == "spans.parquet")), "{files:?}");
    let sent: u64 = said.split(" accepted").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(api::span_count(&Server::start(&home)), sent);
}

#[test]
fn data_nobody_asked_for_is_gone() {
    // A demo without a directory says that its data goes, and has no word of Ctrl-C when it ends by itself.
    let said = demo(&[]);
    assert!(said.contains("The demo ends when all spans are sent; its data goes with it."), "{said}");
    assert!(!said.contains("Ctrl-C"), "{said}");
}
