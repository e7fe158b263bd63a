//! `kill -9` at any moment: what was acknowledged is there, once, and nothing else is.

use crate::api;
use crate::load::{Numbers, Random, Record, SERVICE, seed, send_while, verify};
use crate::server::{Home, Server};
use std::collections::BTreeSet;
use std::time::Duration;

const CYCLES: u64 = 20;
/// Enough that a cycle is killed in the middle, few enough that reading all back takes seconds.
const BATCHES_A_CYCLE: u64 = 800;
/// So little that segments are sealed all the time: kills hit the sealing too, not only the log.
const LITTLE_MEMORY: [&str; 2] = ["--memory-limit", "16MiB"];

#[test]
fn an_acknowledged_span_survives_kill_9_exactly_once() {
    // For every request that got an OK before one of 20 kills under load: all its spans are there, once, as sent; no other spans are.
    let numbers = Numbers::new(seed());
    let mut random = Random(numbers.seed);
    let home = Home::new();
    let mut all = Record::default();
    for cycle in 0..CYCLES {
        let server = Server::start_with(&home, &LITTLE_MEMORY);
        let delay = Duration::from_millis(20 + random.below(500));
        let record = send_while(server, &numbers, BATCHES_A_CYCLE, |server| {
            std::thread::sleep(delay);
            server.kill();
        });
        println!("cycle {cycle}: killed after {delay:?}, {} acknowledged", record.acknowledged.len());
        assert_eq!(record.wrong_statuses, Vec::<u16>::new());
        let restarted = Server::start_with(&home, &LITTLE_MEMORY);
        verify(&restarted, &record);
        all.append(record);
    }
    assert!(all.acknowledged.len() > 100, "too little was acknowledged to prove anything: {}", all.acknowledged.len());
    let server = Server::start_with(&home, &LITTLE_MEMORY);
    let count = verify(&server, &all);
    no_phantoms(&server, &all);
    assert_eq!(api::span_count(&server), count, "the status counts what is there");
    assert!(api::metric(&server, "longspan_segments") >= 1.0, "nothing was sealed: the kills hit the log only");
}

/// The search finds exactly the traces that were sent.
fn no_phantoms(server: &Server, all: &Record) {
    let found: Vec<String> = api::traces_of(server, SERVICE);
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "a trace is found twice");
    let ids =
        |batches: &[crate::load::Batch]| batches.iter().map(|batch| batch.trace_id_hex()).collect::<BTreeSet<_>>();
    let acknowledged = ids(&all.acknowledged);
    let unanswered = ids(&all.unanswered);
    for id in &found {
        assert!(acknowledged.contains(id) || unanswered.contains(id), "a trace that was never sent: {id}");
    }
    assert!(acknowledged.iter().all(|id| distinct.contains(id)), "an acknowledged trace is not found by search");
}
