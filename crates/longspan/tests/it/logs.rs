//! Log records under `kill -9`: what was acknowledged is there, once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::api;
use crate::load::{Random, seed};
use crate::server::{Home, Server, agent};

/// Kills of one directory.
const CYCLES: u64 = 8;
const RECORDS_A_REQUEST: u64 = 50;
/// So little that segments are sealed all the time.
const LITTLE_MEMORY: [&str; 2] = ["--memory-limit", "16MiB"];

/// Sends requests until the server is gone; the numbers of those that got an OK.
fn send_until_refused(url: &str, first: u64) -> Vec<u64> {
    let agent = agent();
    let mut acknowledged = Vec::new();
    for number in first.. {
        let line = |record: u64| {
            format!("{{\"msg\":\"request r{number} record {record} {}\",\"n\":{number}}}\n", "x".repeat(300))
        };
        let body: String = (0..RECORDS_A_REQUEST).map(line).collect();
        let sent = agent.post(url).header("content-type", "application/x-ndjson").send(body.as_bytes());
        match sent {
            Ok(answer) if answer.status() == 200 => acknowledged.push(number),
            _ => break,
        }
    }
    acknowledged
}

/// Bodies of all records, page by page.
fn all_bodies(server: &Server) -> Vec<String> {
    let mut bodies = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = api::get(server, &format!("/api/logs?limit=1000{cursor}"));
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().expect("a list");
        bodies.extend(items.iter().map(|item| item["body"].as_str().expect("a text").to_owned()));
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return bodies,
        }
    }
}

#[test]
fn an_acknowledged_record_survives_kill_9_exactly_once() {
    // For every request of log records that got an OK before one of eight kills under load: all its records are found by pages over memory and
    // segments, once, and no request is there in part.
    let home = Home::new();
    let mut random = Random(seed());
    let (mut acknowledged, mut next) = (BTreeSet::new(), 0);
    for _ in 0..CYCLES {
        let server = Server::start_with(&home, &LITTLE_MEMORY);
        let url = server.url("otlp_http", "/v1/logs");
        let sender = std::thread::spawn(move || send_until_refused(&url, next));
        std::thread::sleep(Duration::from_millis(20 + random.below(400)));
        server.kill();
        let sent = sender.join().expect("the sender ends");
        next += sent.len() as u64 + 1;
        acknowledged.extend(sent);
    }
    let server = Server::start_with(&home, &LITTLE_MEMORY);
    let bodies = all_bodies(&server);
    let distinct: BTreeSet<&String> = bodies.iter().collect();
    assert_eq!(distinct.len(), bodies.len(), "a record is found twice");
    let request = |body: &String| body.split(' ').nth(1).and_then(|word| word[1..].parse::<u64>().ok());
    let mut found: Vec<u64> = bodies.iter().filter_map(request).collect();
    found.sort_unstable();
    assert!(
        found.chunk_by(|a, b| a == b).all(|request| request.len() as u64 == RECORDS_A_REQUEST),
        "a request is there in part"
    );
    found.dedup();
    assert!(acknowledged.iter().all(|number| found.binary_search(number).is_ok()), "an acknowledged request is lost");
    assert!(acknowledged.len() > 20, "too little was acknowledged to prove anything: {}", acknowledged.len());
}
