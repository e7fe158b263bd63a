//! What whoever runs Longspan relies on: health, metrics, the description of the API, the help.

use crate::api;
use crate::load::{Batch, send_good};
use crate::raw::post;
use crate::server::{Home, Server, agent};
use std::process::Command;

fn text(server: &Server, path: &str) -> (u16, String, String) {
    let mut answer = agent().get(server.url("api", path)).call().unwrap();
    let content_type = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), content_type.unwrap_or_default(), answer.body_mut().read_to_string().unwrap())
}

/// Everything that is counted under our own names.
fn counted(server: &Server) -> f64 {
    let (_, _, exposition) = text(server, "/metrics");
    let lines = exposition.lines().filter(|line| line.starts_with("longspan_") && line.contains("_total"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn health_and_readiness_answer() {
    // Probes get a plain 200 from a server that runs and has replayed its log.
    let home = Home::new();
    let server = Server::start(&home);
    assert_eq!(text(&server, "/healthz").0, 200);
    assert_eq!(text(&server, "/readyz").0, 200);
}

#[test]
fn the_status_says_where_and_how_much() {
    // The addresses are the real ones, and the counts follow what is stored.
    let home = Home::new();
    let server = Server::start(&home);
    let (_, status) = api::get(&server, "/api/status");
    for port in ["otlp_grpc", "otlp_http", "api", "zipkin", "jaeger"] {
        assert_eq!(status["listening"][port], server.address(port).to_string());
    }
    assert_eq!((status["spans"].as_u64(), status["ready"].as_bool()), (Some(0), Some(true)));
    let batch = Batch { seed: 21, number: 1 };
    send_good(&server, batch);
    let (_, status) = api::get(&server, "/api/status");
    assert_eq!(status["spans"].as_u64(), Some(batch.spans().len() as u64));
    assert_eq!(status["traces"].as_u64(), Some(1));
    assert!(status["newest_unix_nano"].is_string(), "{status}");
}

#[test]
fn metrics_count_what_is_taken_and_what_is_refused() {
    // Every span taken and every request refused is seen in the exposition, the refused with a reason.
    let home = Home::new();
    let server = Server::start(&home);
    let (status, content_type, exposition) = text(&server, "/metrics");
    assert_eq!(status, 200);
    assert!(content_type.contains("text"), "{content_type}");
    assert!(exposition.contains("# TYPE longspan_"), "{exposition}");
    let sum_buckets = exposition.lines().filter(|line| line.contains("le=\"+Inf\"")).count();
    assert!(sum_buckets >= 1, "a histogram without its +Inf bucket:\n{exposition}");
    let before = counted(&server);
    let batch = Batch { seed: 22, number: 1 };
    send_good(&server, batch);
    post(&server, &[("content-type", "application/json")], b"nonsense");
    assert!(counted(&server) > before);
    let (_, _, exposition) = text(&server, "/metrics");
    assert!(exposition.contains("reason="), "no reason for the refusal:\n{exposition}");
}

#[test]
fn the_api_describes_itself() {
    // The description is OpenAPI and has every path of the documentation.
    let home = Home::new();
    let server = Server::start(&home);
    let (status, description) = api::get(&server, "/api/openapi.json");
    assert_eq!(status, 200);
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let documented = include_str!("../../../../docs/api.md").lines().filter_map(|line| line.strip_prefix("## GET "));
    for heading in documented.flat_map(|line| line.split(" · ").collect::<Vec<_>>()) {
        let path = heading.split(['[', ' ', '?']).next().unwrap();
        assert!(description["paths"][path]["get"].is_object(), "{path} is not described");
    }
}

#[test]
fn the_page_is_served_for_its_addresses() {
    // The page comes from the binary itself, for the start and for a link to a trace; an unknown API path is no page.
    let home = Home::new();
    let server = Server::start(&home);
    for path in ["/", "/trace/0123456789abcdef0123456789abcdef"] {
        let (status, content_type, body) = text(&server, path);
        assert_eq!(status, 200, "{path}");
        assert!(content_type.starts_with("text/html") && body.contains("<html"), "{path}: {content_type}");
    }
    let (status, content_type, _) = text(&server, "/api/nowhere");
    assert_eq!(status, 404);
    assert!(content_type.starts_with("application/json"), "{content_type}");
}

#[test]
fn the_help_names_every_setting() {
    // Whoever asks for help sees the flags with their defaults, and the version says what runs.
    let output = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_longspan")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = output(&["serve", "--help"]);
    for flag in
        ["--data", "--otlp-grpc", "--otlp-http", "--api", "--zipkin", "--jaeger", "4317", "4318", "4319", "9411"]
    {
        assert!(help.contains(flag), "{flag} is not in the help:\n{help}");
    }
    assert!(output(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}
