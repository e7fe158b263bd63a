//! `longspan demo`: what it leaves behind and what it says about that.

use std::collections::BTreeSet;

use serde_json::Value;

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
fn every_order_reaches_its_effects() {
    // The flow of each order holds every trace that names the order, whether it goes on with the order's trace, links to it or took a
    // batch; it is the same from each of these traces but a batch's; its times add up.
    let home = Home::new();
    demo(&["--data", home.data().to_str().unwrap()]);
    let server = Server::start(&home);
    let orders = api::get(&server, "/api/traces?limit=1000&q=name%20%3D%20%22POST%20%2Fcheckout%22").1;
    let (mut checked, mut dead_letters, mut retries, mut waits) = (0, 0, 0, 0);
    for order in orders["items"].as_array().unwrap() {
        let trace_id = order["trace_id"].as_str().unwrap();
        let flow = flow(&server, trace_id);
        assert_eq!(flow["root"]["trace_id"], trace_id, "an order is its own root");
        let traces = flow["traces"].as_array().unwrap();
        let reached: BTreeSet<&str> = traces.iter().map(|trace| trace["trace_id"].as_str().unwrap()).collect();
        for effect in traces_of_order(&server, trace_id) {
            assert!(reached.contains(effect.as_str()), "{effect} is no effect of {trace_id}");
            checked += 1;
        }
        for trace in traces.iter().filter(|trace| trace["relation"] == "child") {
            let other = self::flow(&server, trace["trace_id"].as_str().unwrap());
            assert_eq!((&other["flow_id"], &other["hops"]), (&flow["flow_id"], &flow["hops"]));
        }
        assert!(sum(&flow["critical_path"]) <= instant(&flow, "last_effect") - instant(&flow, "start"), "{flow}");
        assert!(instant(&flow, "answered") <= instant(&flow, "last_effect"));
        assert_eq!((&flow["not_received"], &flow["truncated"]), (&Value::Array(Vec::new()), &Value::Bool(false)));
        let hops = flow["hops"].as_array().unwrap();
        dead_letters += hops.iter().filter(|hop| hop["state"] == "dead_lettered").count();
        retries += hops.iter().filter(|hop| hop["attempt"].as_u64() > Some(1)).count();
        waits += hops.iter().filter(|hop| hop["queue_wait_ns"].is_u64()).count();
    }
    assert!(
        checked > 100 && dead_letters > 0 && retries > 0 && waits > 100,
        "{checked} {dead_letters} {retries} {waits}"
    );
}

fn flow(server: &Server, trace_id: &str) -> Value {
    let (status, flow) = api::get(server, &format!("/api/flows/{trace_id}"));
    assert_eq!(status, 200, "{flow}");
    flow
}

/// All traces with a span that names the order of a trace.
fn traces_of_order(server: &Server, trace_id: &str) -> Vec<String> {
    let trace = api::trace(server, trace_id).unwrap();
    let id = trace["spans"].as_array().unwrap().iter().find_map(|span| api::attribute(span, "order.id")).unwrap();
    let query = format!("/api/traces?limit=1000&q=order.id%20%3D%20%22{}%22", id.as_str().unwrap());
    let found = api::get(server, &query).1;
    found["items"].as_array().unwrap().iter().map(|item| item["trace_id"].as_str().unwrap().to_owned()).collect()
}

fn sum(segments: &Value) -> u64 {
    segments.as_array().unwrap().iter().map(|segment| segment["self_ns"].as_u64().unwrap()).sum()
}

fn instant(flow: &Value, name: &str) -> u64 {
    flow[format!("{name}_unix_nano")].as_str().unwrap().parse().unwrap()
}

#[test]
fn data_nobody_asked_for_is_gone() {
    // A demo without a directory says that its data goes, and has no word of Ctrl-C when it ends by itself.
    let said = demo(&[]);
    assert!(said.contains("The demo ends when all spans are sent; its data goes with it."), "{said}");
    assert!(!said.contains("Ctrl-C"), "{said}");
}
