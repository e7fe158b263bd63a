//! Flows and traces in a terminal: what is drawn, live, of hostile text, and without a server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::load::now_unix_nano;
use crate::raw::post;
use crate::server::{Home, Server};
use crate::tools::{Ran, longspan};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const ROOT_TRACE: &str = "a0000000000000000000000000000001";
const EFFECT_TRACE: &str = "b0000000000000000000000000000002";

/// One span as JSON; `more` wins.
fn span(trace: &str, id: u64, parent: u64, name: &str, (start, lasts): (u64, u64), more: &Value) -> Value {
    let mut span = json!({
        "traceId": trace, "spanId": format!("{id:016x}"), "name": name, "kind": 1,
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + lasts).to_string(),
    });
    if parent != 0 {
        span["parentSpanId"] = format!("{parent:016x}").into();
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        span[key] = value.clone();
    }
    span
}

fn from(service: &str, spans: &[Value]) -> Value {
    let name = json!({ "key": "service.name", "value": { "stringValue": service } });
    json!({ "resource": { "attributes": [name] }, "scopeSpans": [{ "spans": spans }] })
}

fn messaging(operation: &str, destination: &str, kind: u32) -> Value {
    let texts = [
        ("messaging.system", "kafka"),
        ("messaging.destination.name", destination),
        ("messaging.operation.type", operation),
    ];
    let attributes: Vec<Value> =
        texts.iter().map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } })).collect();
    json!({ "kind": kind, "attributes": attributes })
}

/// With a link to a span of the root's trace.
fn linked(mut span: Value, to: u64) -> Value {
    span["links"] = json!([{ "traceId": ROOT_TRACE, "spanId": format!("{to:016x}") }]);
    span
}

/// A checkout that publishes two messages: one is worked on six seconds later, of the other nobody is known to have it.
fn send_flow(server: &Server) {
    let start = now_unix_nano() - 60 * SECOND;
    let taken = span(
        EFFECT_TRACE,
        0xb1,
        0,
        "orders process",
        (start + 6 * SECOND, 100 * MS),
        &messaging("process", "orders", 5),
    );
    let declined = json!({ "status": { "code": 2, "message": "declined" } });
    let body = json!({ "resourceSpans": [
        from("shop", &[
            span(ROOT_TRACE, 0xa1, 0, "POST /checkout", (start, 200 * MS), &json!({ "kind": 2 })),
            span(ROOT_TRACE, 0xa2, 0xa1, "orders publish", (start + 150 * MS, 20 * MS), &messaging("send", "orders", 4)),
            span(ROOT_TRACE, 0xa3, 0xa1, "audit publish", (start + 180 * MS, 10 * MS), &messaging("send", "audit", 4)),
        ]),
        from("billing", &[linked(taken, 0xa2), span(EFFECT_TRACE, 0xb2, 0xb1, "charge card", (start + 6_020 * MS, 50 * MS), &declined)]),
    ]});
    send(server, &body);
}

fn send(server: &Server, body: &Value) {
    let answer = post(server, &[("content-type", "application/json")], body.to_string().as_bytes());
    assert_eq!((answer.status, answer.json()), (200, json!({})));
}

/// Runs a command against the server, without colours and 100 columns wide.
fn drawn(server: &Server, arguments: &[&str]) -> Ran {
    let url = server.url("api", "");
    longspan(&[arguments, &["--server", &url, "--width", "100"]].concat())
}

#[test]
fn a_flow_is_drawn_from_its_cause_to_its_last_effect() {
    // The consumer stands below its sender in another trace, its wait hatched, idle time folded with its true length, and the message nobody took has a row.
    let home = Home::new();
    let server = Server::start(&home);
    send_flow(&server);
    let ran = drawn(&server, &["flow", EFFECT_TRACE]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "shop POST /checkout");
    assert!(lines[1].contains(" · answer 200 ms · last effect 6.1 s"), "{}", lines[1]);
    assert!(
        lines[3].starts_with("messages: 1 consumed, 1 ")
            && lines[3].contains("2 services · 5 spans in 2 traces · 1 error"),
        "{}",
        lines[3]
    );
    assert!(
        lines[5].trim().starts_with('0') && lines[5].contains("╱5.8 s╱") && lines[5].ends_with("6.1 s"),
        "{}",
        lines[5]
    );
    let row = |name: &str| {
        lines.iter().find(|line| line.contains(name)).unwrap_or_else(|| panic!("no row of {name}:\n{}", ran.stdout))
    };
    assert!(row("orders publish").starts_with("├╴→ orders publish shop"), "{}", ran.stdout);
    assert!(row("orders process").starts_with("│ └╴← orders process billing"), "{}", ran.stdout);
    assert!(
        row("orders process").contains("▒▒▒") && row("orders process").ends_with("100 ms"),
        "{}",
        row("orders process")
    );
    assert!(row("charge card").ends_with("50 ms !"), "{}", row("charge card"));
    assert!(row("✉ audit").starts_with("  └╴✉ audit ["), "{}", ran.stdout);
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
    let coloured = drawn(&server, &["flow", EFFECT_TRACE, "--color", "always"]);
    assert!(coloured.stdout.contains("\u{1b}[1mPOST /checkout\u{1b}[0m"), "{}", coloured.stdout);
    assert!(!drawn(&server, &["flow", EFFECT_TRACE, "--linear"]).stdout.contains('╱'));
}

#[test]
fn a_trace_is_drawn_and_what_is_not_there_is_said() {
    // One trace alone; an unknown id, a text that is no id and a server that is away each end with 1 and a sentence.
    let home = Home::new();
    let server = Server::start(&home);
    send_flow(&server);
    let ran = drawn(&server, &["trace", &format!("http://127.0.0.1:4319/trace/{EFFECT_TRACE}?span=1")]);
    assert!(ran.stdout.starts_with("billing orders process\ntrace b0000000"), "{}", ran.stdout);
    assert!(ran.stdout.contains("└╴charge card billing") && !ran.stdout.contains("checkout"), "{}", ran.stdout);
    for (arguments, sentence) in [
        (["flow", "abc"], "longspan: no span of trace abc is stored"),
        (["trace", "abc"], "longspan: no span of trace abc is stored"),
        (["flow", "what?"], "is not the id of a trace"),
    ] {
        let ran = drawn(&server, &arguments);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(sentence), "{}", ran.stderr);
    }
    let away = longspan(&["trace", "abc", "--server", "http://127.0.0.1:1"]);
    assert!(away.code == Some(1) && away.stderr.contains("no answer from http://127.0.0.1:1"), "{}", away.stderr);
}

#[test]
fn text_of_senders_steers_no_terminal() {
    // Escape sequences, newlines and direction marks in names and services are marks on the screen, whatever is drawn.
    let home = Home::new();
    let server = Server::start(&home);
    let hostile = "a\u{1b}[2J\u{1b}]0;x\u{7}\r\nb\u{202e}c\u{9b}31m日本🚚";
    send(
        &server,
        &json!({ "resourceSpans": [from(hostile, &[span(ROOT_TRACE, 1, 0, hostile, (now_unix_nano() - SECOND, MS), &json!({}))])] }),
    );
    for command in ["flow", "trace"] {
        let ran = drawn(&server, &[command, ROOT_TRACE]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stdout.contains("b\u{fffd}c") && ran.stdout.contains("日本🚚"), "{}", ran.stdout);
        assert!(!ran.stdout.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{:?}", ran.stdout);
    }
}

#[test]
fn tail_shows_what_arrives_and_later_errors() {
    // Each trace is a line once its root is there, only those that match; `--count` ends it.
    let home = Home::new();
    let server = Server::start(&home);
    let url = server.url("api", "");
    let mut tail = Command::new(env!("CARGO_BIN_EXE_longspan"))
        .args(["tail", "service = shop", "--count", "2", "--server", &url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let began = |trace: &str, service: &str, name: &str| json!({ "resourceSpans": [from(service, &[span(trace, 1, 0, name, (now_unix_nano(), 5 * MS), &json!({}))])] });
    // It follows from when it was started, which nobody can see from outside: sent until it answers.
    let sender = std::thread::scope(|scope| {
        let first = scope.spawn(|| lines.next().unwrap().unwrap());
        for number in 1_u64.. {
            if first.is_finished() || number > 600 {
                break;
            }
            send(&server, &began(&format!("{:032x}", 0xc0_0000 + number), "other", "not this"));
            send(&server, &began(&format!("{:032x}", 0xd0_0000 + number), "shop", "GET /"));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        first.join().unwrap()
    });
    assert!(sender.contains("shop GET /") && sender.contains("5 ms") && sender.contains("1 spans"), "{sender}");
    assert!(lines.next().unwrap().unwrap().contains("shop GET /"));
    assert_eq!(lines.next().map(Result::unwrap), None);
    assert!(tail.wait().unwrap().success());
}
