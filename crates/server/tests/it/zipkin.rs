//! Zipkin, both ways.

use serde_json::{Value, json};

use crate::server::TestServer;

fn spans() -> Value {
    json!([
        { "traceId": "5af7183fb1d4cf5f", "id": "6b221d5bc9e6496c", "kind": "SERVER", "name": "get /", "timestamp": 1_700_000_000_000_000_u64,
          "duration": 2500, "localEndpoint": { "serviceName": "frontend", "ipv4": "127.0.0.1", "port": 80 },
          "tags": { "http.path": "/", "error": "503" } },
        { "traceId": "5af7183fb1d4cf5f", "parentId": "6b221d5bc9e6496c", "id": "d6b1b1c1c1c1c1c1", "kind": "CLIENT", "name": "get /api",
          "timestamp": 1_700_000_000_000_500_u64, "duration": 1000, "localEndpoint": { "serviceName": "frontend" },
          "remoteEndpoint": { "serviceName": "backend" }, "annotations": [{ "timestamp": 1_700_000_000_000_600_u64, "value": "ws" }] },
        { "traceId": "5af7183fb1d4cf5f", "parentId": "d6b1b1c1c1c1c1c1", "id": "eeb1b1c1c1c1c1c1", "kind": "SERVER", "name": "get /api",
          "timestamp": 1_700_000_000_000_700_u64, "duration": 500, "localEndpoint": { "serviceName": "backend" } },
        { "traceId": "00000000000000010000000000000002", "id": "0000000000000003", "name": "tick",
          "timestamp": 1_700_000_000_000_000_u64, "duration": 7, "localEndpoint": { "serviceName": "cron" } },
    ])
}

fn sent() -> TestServer {
    let server = TestServer::start();
    let body = spans().to_string();
    let answer = server.post("zipkin", "/api/v2/spans", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!((answer.status, answer.body.len()), (202, 0), "{}", answer.text());
    server
}

fn get(server: &TestServer, path: &str) -> Value {
    let answer = server.get("zipkin", path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

#[test]
fn what_was_sent_is_read_back() {
    // Guarantees that Zipkin's own model survives: ids of both lengths, kinds, endpoints, tags and annotations.
    let server = sent();
    let trace = get(&server, "/api/v2/trace/5af7183fb1d4cf5f");
    for want in spans().as_array().unwrap().iter().filter(|span| span["traceId"] == "5af7183fb1d4cf5f") {
        let got = trace.as_array().unwrap().iter().find(|got| got["id"] == want["id"]);
        let got = got.unwrap_or_else(|| panic!("{} is missing in {trace}", want["id"]));
        for (key, value) in want.as_object().unwrap() {
            assert_eq!(&got[key], value, "{key} of {got}");
        }
    }
    let many = get(&server, "/api/v2/traceMany?traceIds=5af7183fb1d4cf5f,00000000000000010000000000000002");
    assert_eq!(many.as_array().unwrap().len(), 2);
}

#[test]
fn lists_and_searches_as_zipkins_page_asks() {
    // Guarantees the lists behind Zipkin's menus, and each of its search parameters.
    let server = sent();
    assert_eq!(get(&server, "/api/v2/services"), json!(["backend", "cron", "frontend"]));
    assert_eq!(get(&server, "/api/v2/spans?serviceName=frontend"), json!(["get /", "get /api"]));
    let window = "endTs=1700000001000&lookback=60000";
    assert_eq!(
        get(&server, &format!("/api/v2/dependencies?{window}")),
        json!([{ "parent": "frontend", "child": "backend", "callCount": 1 }])
    );
    let count = |query: &str| get(&server, &format!("/api/v2/traces?{window}&{query}")).as_array().unwrap().len();
    for query in [
        "serviceName=frontend",
        "spanName=GET%20%2F",
        "annotationQuery=http.path%3D%2F%20and%20error",
        "annotationQuery=ws",
        "minDuration=2000&maxDuration=2500",
        "serviceName=frontend&remoteServiceName=backend",
        "limit=1",
    ] {
        assert_eq!(count(query), 1, "{query}");
    }
    for query in ["serviceName=nobody", "annotationQuery=http.path%3D%2Fx", "minDuration=3000", "spanName=get"] {
        assert_eq!(count(query), 0, "{query}");
    }
    assert_eq!(count(""), 2);
    assert_eq!(get(&server, "/api/v2/traces?endTs=1600000000000&lookback=1000"), json!([]));
    assert!(get(&server, "/api/v2/autocompleteKeys").as_array().unwrap().contains(&json!("http.path")));
    assert_eq!(get(&server, "/api/v2/autocompleteValues?key=http.path"), json!(["/"]));
    assert_eq!(get(&server, "/health")["status"], "UP");
    assert_eq!(get(&server, "/config.json")["searchEnabled"], true);
    assert!(get(&server, "/info").is_object());
}

#[test]
fn refusals_carry_the_right_status() {
    // Guarantees 4xx for what can never be stored or found, so that senders drop it instead of repeating it.
    let server = TestServer::start();
    let json = ("content-type", "application/json");
    assert_eq!(server.post("zipkin", "/api/v2/spans", &[json], b"[{").status, 400);
    assert_eq!(server.post("zipkin", "/api/v2/spans", &[("content-type", "text/plain")], b"[]").status, 415);
    assert_eq!(server.post("zipkin", "/api/v2/spans", &[json, ("content-encoding", "gzip")], b"[]").status, 400);
    assert_eq!(server.post("zipkin", "/api/v2/spans", &[("content-type", "application/x-protobuf")], b"").status, 202);
    let missing = server.get("zipkin", "/api/v2/trace/abc");
    assert_eq!((missing.status, missing.text().contains("not found")), (404, true));
    for path in [
        "/api/v2/spans",
        "/api/v2/traces?limit=x",
        "/api/v2/trace/xyz",
        "/api/v2/traceMany?traceIds=1",
        "/api/v2/dependencies",
    ] {
        assert_eq!(server.get("zipkin", path).status, 400, "{path}");
    }
}
