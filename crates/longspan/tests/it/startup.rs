//! What stands in the way of starting is said in one clear sentence, with a non-zero exit.

use crate::server::{Home, Server, serve, wait};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a server that cannot start; its last words.
fn last_words(command: &mut Command) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = wait(&mut child, Duration::from_secs(20));
    if status.is_none() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let status = status.unwrap_or_else(|| panic!("it runs, though it should not:\n{stderr}"));
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {stderr}");
    for noise in ["panicked", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!stderr.contains(noise), "no sentence but a crash:\n{stderr}");
    }
    let sentence = stderr.trim_end().lines().next_back().unwrap_or_default().to_owned();
    assert!(sentence.len() > 20, "hardly a sentence: {stderr:?}");
    sentence
}

fn run_on(data: &Path) -> String {
    last_words(&mut serve(data))
}

#[test]
fn a_port_in_use_is_named() {
    // Whichever port is taken, the sentence has the address in it and the program does not half run.
    for flag in ["--otlp-grpc", "--otlp-http", "--api", "--zipkin", "--jaeger"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let home = Home::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_longspan"));
        command.arg("serve").arg("--data").arg(home.data());
        for other in ["--otlp-grpc", "--otlp-http", "--api", "--zipkin", "--jaeger"] {
            command.args([other, if other == flag { &address } else { "127.0.0.1:0" }]);
        }
        let sentence = last_words(command.stdin(Stdio::null()).stdout(Stdio::null()));
        assert!(sentence.contains(&address), "{flag}: {sentence}");
    }
}

#[test]
fn a_second_server_on_one_directory_is_refused() {
    // Two writers would destroy the data: the second is turned away with the directory's name, the first serves on.
    let home = Home::new();
    let first = Server::start(&home);
    let sentence = run_on(&home.data());
    assert!(sentence.contains(home.data().to_str().unwrap()), "{sentence}");
    assert_eq!(crate::api::get(&first, "/readyz").0, 200);
}

#[test]
fn a_directory_of_a_newer_version_is_left_alone() {
    // An older program refuses what it cannot understand, says so, and changes nothing.
    let home = Home::new();
    Server::start(&home).terminate(Duration::from_secs(10));
    let file = home.data().join("FORMAT");
    let format = std::fs::read_to_string(&file).expect("the directory says its format version");
    let digits: String = format.chars().filter(char::is_ascii_digit).collect();
    let newer = format.replacen(&digits, "9999", 1);
    std::fs::write(&file, &newer).unwrap();
    let sentence = run_on(&home.data());
    assert!(sentence.contains("9999"), "{sentence}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), newer);
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    // A file where a directory should be: even the superuser cannot write below it.
    let home = Home::new();
    std::fs::write(home.data(), "a file").unwrap();
    let below = home.data().join("below");
    let sentence = run_on(&below);
    assert!(sentence.contains(below.to_str().unwrap()), "{sentence}");
}

#[test]
fn a_public_address_must_be_meant() {
    // Nothing is opened to the network by a setting alone: the sentence names the address and the flag that says it is meant.
    let home = Home::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_longspan"));
    command.args(["serve", "--api", "0.0.0.0:0", "--data"]).arg(home.data());
    let sentence = last_words(&mut command);
    assert!(sentence.contains("0.0.0.0") && sentence.contains("--insecure-open"), "{sentence}");
}

#[test]
fn an_unknown_flag_is_refused_with_a_hint() {
    // A typo never starts a server with other settings than meant.
    let mut command = Command::new(env!("CARGO_BIN_EXE_longspan"));
    let output = command.args(["serve", "--dta", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--dta"));
}
