//! `verify --endpoint`: a server that keeps its word is found right, also when it is killed; one that does not is found out.

use crate::server::{Home, Server, agent};
use crate::tools::{Ran, longspan, text};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr))
}

fn watch(endpoint: &str, api: &str, arguments: &[&str]) -> Ran {
    let fixed = ["verify", "--json", "--endpoint", endpoint, "--api-url", api];
    longspan(&[&fixed, arguments].concat())
}

#[test]
fn a_server_that_keeps_its_word_is_right() {
    // Everything written comes back by id, by attribute and by time, also what was sent twice or in two requests; exit status 0.
    let home = Home::new();
    let server = Server::start(&home);
    let (endpoint, api) = (server.url("otlp_http", ""), server.url("api", "/"));
    let ran = watch(&endpoint, &api, &["--for", "3s", "--spans-per-second", "300"]);
    let report = report(&ran);
    assert_eq!((ran.code, report["right"].as_bool()), (Some(0), Some(true)), "{report} {}", ran.stderr);
    let number = |name: &str| report[name].as_u64().unwrap();
    assert!(number("traces_written") > 50 && number("traces_unacknowledged") == 0, "{report}");
    assert!(number("traces_read") > number("traces_written"), "each at a second and at the end: {report}");
    assert!(number("searches") > 10, "{report}");
}

#[test]
fn a_server_that_lost_everything_is_found_out() {
    // Where nothing of what was acknowledged can be read, every trace is reported missing, with its id; exit status 1.
    let (home, other) = (Home::new(), Home::new());
    let (server, empty) = (Server::start(&home), Server::start(&other));
    let ran = watch(&server.url("otlp_http", ""), &empty.url("api", ""), &["--for", "2s", "--seed", "7"]);
    let report = report(&ran);
    assert_eq!((ran.code, report["right"].as_bool()), (Some(1), Some(false)), "{report}");
    assert!(report["missing"].as_u64().unwrap() >= report["traces_written"].as_u64().unwrap(), "{report}");
    assert!(ran.stderr.contains("missing: trace ") && ran.stderr.contains("read by id"), "{}", ran.stderr);
}

#[test]
fn nobody_there_is_said_at_once() {
    // An address where nothing listens, or where something else does, is one sentence and exit status 1.
    let home = Home::new();
    let server = Server::start(&home);
    let (endpoint, api) = (server.url("otlp_http", ""), server.url("api", ""));
    for (endpoint, api, said) in [
        (endpoint.as_str(), "http://127.0.0.1:1", "no answer"),
        (endpoint.as_str(), endpoint.as_str(), "not Longspan's API"),
        ("https://127.0.0.1:4318", api.as_str(), "TLS"),
    ] {
        let ran = watch(endpoint, api, &["--for", "1s"]);
        assert!(ran.code == Some(1) && ran.stderr.contains(said), "{endpoint} {api}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}

/// A server at addresses that stay the same when it starts again.
struct Fixed {
    child: Child,
}

impl Fixed {
    fn start(home: &Home, otlp: &str, api: &str) -> Fixed {
        let data = home.data();
        let mut command = Command::new(env!("CARGO_BIN_EXE_longspan"));
        command.args(["serve", "--data", text(&data), "--otlp-http", otlp, "--api", api]);
        command.args(["--otlp-grpc", "off", "--zipkin", "off", "--jaeger", "off", "--memory-limit", "16MiB"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        let ready = format!("http://{api}/readyz");
        while !agent().get(&ready).call().is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "the server does not come back");
            std::thread::sleep(Duration::from_millis(20));
        }
        Fixed { child }
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn kills_and_restarts_lose_nothing() {
    // A server that is killed again and again while it is watched loses nothing it acknowledged, and the witness goes on by itself.
    let home = Home::new();
    let first = Server::start(&home);
    let (otlp, api) = (first.address("otlp_http").to_string(), first.address("api").to_string());
    first.terminate(Duration::from_secs(20));
    let mut server = Fixed::start(&home, &otlp, &api);
    let ran = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let arguments = ["--for", "8s", "--spans-per-second", "500"];
            watch(&format!("http://{otlp}"), &format!("http://{api}"), &arguments)
        });
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1_500));
            drop(server);
            server = Fixed::start(&home, &otlp, &api);
        }
        watching.join().unwrap()
    });
    let report = report(&ran);
    assert_eq!((ran.code, report["right"].as_bool()), (Some(0), Some(true)), "{report} {}", ran.stderr);
    assert!(report["traces_read"].as_u64().unwrap() > 500, "{report}");
}
