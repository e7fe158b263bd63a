//! The commands beside the server: checking a directory and copying it, at rest and at work.

use crate::api;
use crate::load::{Batch, Numbers, seed, send_good, send_while, verify};
use crate::server::{Home, Server, agent};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// So little that segments are sealed all the time.
const LITTLE_MEMORY: [&str; 2] = ["--memory-limit", "16MiB"];

/// What a command of the program said and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn longspan(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longspan"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LONGSPAN_")) {
        command.env_remove(name);
    }
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// All files below a directory whose name ends so.
fn files(directory: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn verify_says_what_is_whole_and_what_is_not() {
    // Whoever checks a directory gets 0 and a summary while it is whole, 1 and the file and place when a byte is wrong.
    let home = Home::new();
    let server = Server::start(&home);
    let data = home.data();
    for number in 1..=20 {
        send_good(&server, Batch { seed: 31, number });
    }
    let refused = longspan(&["verify", "--data", text(&data)]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("in use") && refused.stderr.contains("--while-running"), "{}", refused.stderr);
    assert_eq!(longspan(&["verify", "--while-running", "--data", text(&data)]).code, Some(0));
    let spans = api::span_count(&server);
    server.terminate(Duration::from_secs(20));

    let whole = longspan(&["verify", "--json", "--data", text(&data)]);
    let report: Value = serde_json::from_str(&whole.stdout).unwrap();
    assert_eq!((whole.code, report["whole"].as_bool()), (Some(0), Some(true)), "{report}");
    assert_eq!((report["spans"].as_u64(), report["wal_records"].as_u64()), (Some(spans), Some(20)));
    assert!(longspan(&["verify", "--data", text(&data)]).stdout.contains("all is whole"));

    let wal = files(&data, ".wal").remove(0);
    let mut bytes = std::fs::read(&wal).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&wal, bytes).unwrap();
    let damaged = longspan(&["verify", "--data", text(&data)]);
    assert_eq!(damaged.code, Some(1));
    let line = format!("damaged: {}, byte 32:", wal.display());
    assert!(damaged.stdout.contains(&line), "{}", damaged.stdout);
}

#[test]
fn verify_refuses_what_is_no_data_directory() {
    // A typing error in a path is said in one sentence and nothing is made there.
    let home = Home::new();
    let nowhere = home.data();
    let refused = longspan(&["verify", "--data", text(&nowhere)]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("not a data directory") && !nowhere.exists());
    let refused = longspan(&["snapshot", "--data", text(&nowhere), "--to", text(&nowhere.join("copy"))]);
    assert!(refused.code == Some(1) && refused.stderr.contains("not a data directory"), "{}", refused.stderr);
    assert!(!nowhere.exists());
}

/// Returns when something has been sealed.
fn wait_for_segments(server: &Server) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while api::metric(server, "longspan_segments") < 1.0 {
        assert!(Instant::now() < deadline, "nothing is ever sealed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_snapshot_under_load_restores_all_that_was_acknowledged_before() {
    // A copy taken while spans arrive and segments are sealed checks clean, and a server on it has every span acknowledged before it.
    let numbers = Numbers::new(seed());
    let home = Home::new();
    let copies = tempfile::tempdir().unwrap();
    let before = send_while(Server::start_with(&home, &LITTLE_MEMORY), &numbers, 20_000, |server| {
        wait_for_segments(&server);
        server.terminate(Duration::from_mins(1));
    });
    let mut made = Vec::new();
    let record = send_while(Server::start_with(&home, &LITTLE_MEMORY), &numbers, 20_000, |server| {
        for number in 0..3 {
            let to = copies.path().join(number.to_string());
            let copied = longspan(&["snapshot", "--data", text(&home.data()), "--to", text(&to)]);
            assert_eq!(copied.code, Some(0), "{}", copied.stderr);
            assert!(copied.stdout.contains(text(&to)), "{}", copied.stdout);
            made.push(to);
        }
        let again = longspan(&["snapshot", "--data", text(&home.data()), "--to", text(&made[0])]);
        assert!(again.code == Some(1) && again.stderr.contains("is taken"), "{}", again.stderr);
        server.terminate(Duration::from_mins(1));
    });
    assert_eq!(record.wrong_statuses, Vec::<u16>::new());
    for to in &made {
        let checked = longspan(&["verify", "--data", text(to)]);
        assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    }
    assert!(!files(&made[0], "segment.json").is_empty(), "nothing was sealed: only the log was copied");
    let restored = Home::with_data(copies.path().join("0"));
    let server = Server::start(&restored);
    assert!(verify(&server, &before) > 0);
    drop(server);
    let original = Server::start(&home);
    verify(&original, &before);
    verify(&original, &record);
}

#[test]
fn snapshots_are_asked_for_properly_or_not_taken() {
    // The API makes a copy for a request that says all it has to as JSON, and nothing for any other, not even for a page in a browser.
    let home = Home::new();
    let server = Server::start(&home);
    send_good(&server, Batch { seed: 32, number: 1 });
    let to = home.data().with_file_name("copy");
    let post = |content_type: &str, body: &str| {
        let request = agent().post(server.url("api", "/api/snapshots")).header("content-type", content_type);
        let mut answer = request.send(body.as_bytes()).unwrap();
        let json: Value = serde_json::from_slice(&answer.body_mut().read_to_vec().unwrap()).unwrap();
        (answer.status().as_u16(), json)
    };
    let body = serde_json::json!({ "directory": text(&to) }).to_string();
    for (content_type, body) in [
        ("text/plain", body.as_str()),
        ("application/x-www-form-urlencoded", body.as_str()),
        ("application/json", "{}"),
        ("application/json", "{\"directory\": \"copy\"}"),
        ("application/json", "{\"directory\": \"/\"}"),
    ] {
        let (status, answer) = post(content_type, body);
        assert_eq!((status, answer["error"]["code"].as_str()), (400, Some("bad_parameter")), "{content_type} {body}");
    }
    assert!(!to.exists());
    let (status, answer) = post("application/json", &body);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["directory"], text(&to));
    assert!(answer["bytes"].as_u64().unwrap() > 0 && answer["elapsed_ns"].is_u64(), "{answer}");
    let (status, answer) = post("application/json", &body);
    assert_eq!((status, answer["error"]["code"].as_str()), (409, Some("occupied")));
    drop(server);
    assert_eq!(longspan(&["verify", "--data", text(&to)]).code, Some(0));
}
