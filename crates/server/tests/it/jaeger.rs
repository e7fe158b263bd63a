//! Jaeger's query API as Jaeger's page and Grafana ask it.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::server::{BATCH_TRACE, ORDER_TRACE, TestServer};

fn get(server: &TestServer, path: &str) -> (u16, Value) {
    let answer = server.get("jaeger", path);
    let nested = server.get("api", &format!("/jaeger{path}"));
    assert_eq!((answer.status, &answer.body), (nested.status, &nested.body), "the same at both places: {path}");
    (answer.status, answer.json())
}

#[test]
fn a_trace_in_jaegers_shape() {
    // Guarantees Jaeger's shape of spans, references, tags, logs and processes, for both traces of a link.
    let server = TestServer::start();
    server.send_fixture();
    assert_json_snapshot!("jaeger_trace", get(&server, &format!("/api/traces/{ORDER_TRACE}")).1);
    assert_json_snapshot!(
        "jaeger_trace_with_links",
        get(&server, &format!("/api/traces/{BATCH_TRACE}?prettyPrint=true")).1
    );
}

#[test]
fn lists_in_jaegers_shape() {
    // Guarantees the lists from which Jaeger's page and Grafana fill their menus, in both APIs.
    let server = TestServer::start();
    server.send_fixture();
    let paths = [
        "/api/services",
        "/api/services/shop/operations",
        "/api/operations?service=shop",
        "/api/operations?service=shop&spanKind=producer",
        "/api/v3/services",
        "/api/v3/operations?service=worker",
        "/api/dependencies?endTs=1700000009000&lookback=60000",
    ];
    let answers: Vec<(&str, Value)> = paths.into_iter().map(|path| (path, get(&server, path).1)).collect();
    assert_json_snapshot!("jaeger_lists", answers);
}

#[test]
fn searches_find_by_tags_of_every_kind() {
    // Guarantees that tags, the error tag, durations and ranges select in the older API as they do in Jaeger.
    let server = TestServer::start();
    server.send_fixture();
    let found = |query: &str| -> Vec<String> {
        let (status, body) = get(&server, &format!("/api/traces?{query}"));
        assert_eq!(status, 200, "{query}: {body}");
        body["data"].as_array().unwrap().iter().map(|trace| trace["traceID"].as_str().unwrap().to_owned()).collect()
    };
    for query in [
        "service=shop",
        "service=shop&operation=POST%20%2Forders",
        "service=shop&tag=http.response.status_code:201",
        "service=shop&tags=%7B%22messaging.system%22%3A%22kafka%22%7D",
        "service=shop&tags=%7B%22span.kind%22%3A%22server%22%2C%22error%22%3A%22false%22%7D",
        "service=shop&tag=host.name:web-1",
        "service=shop&minDuration=1ms&maxDuration=1.5s&limit=20&lookback=1h",
        "service=shop&start=1699999999000000&end=1700000001000000",
    ] {
        assert_eq!(found(query), [ORDER_TRACE], "{query}");
    }
    assert_eq!(found("service=worker&tag=error:true"), [BATCH_TRACE]);
    assert_eq!(found("service=worker&tags=%7B%22error%22%3Atrue%7D"), [BATCH_TRACE]);
    assert_eq!(found("service=shop&tag=error:true"), Vec::<String>::new());
    assert_eq!(found("service=shop&minDuration=1h"), Vec::<String>::new());
    let both = format!("traceID={ORDER_TRACE}&traceID=abc");
    let (_, body) = get(&server, &format!("/api/traces?{both}"));
    assert_eq!(body["data"].as_array().unwrap().len(), 1);
    assert_eq!(body["errors"][0]["traceID"], format!("{:0>32}", "abc"));
}

#[test]
fn the_newer_api_answers_in_otlp() {
    // Guarantees that /api/v3 gives OTLP's JSON within a result, summaries, and both spellings of its parameters.
    let server = TestServer::start();
    server.send_fixture();
    let (status, trace) = get(&server, &format!("/api/v3/traces/{ORDER_TRACE}?rawTraces=false"));
    let span = &trace["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!((status, &span["traceId"], &span["kind"]), (200, &json!(ORDER_TRACE), &json!(2)));
    let range = "query.startTimeMin=2023-11-14T22:13:00Z&query.startTimeMax=2023-11-14T22:14:00Z";
    let summaries = format!("/api/v3/trace-summaries?query.serviceName=shop&{range}&query.searchDepth=5");
    assert_json_snapshot!("jaeger_summaries", get(&server, &summaries).1);
    let older = "/api/v3/traces?query.service_name=worker&query.start_time_min=2023-11-14T22:13:00Z&query.num_traces=5";
    let (_, traces) = get(&server, older);
    assert_eq!(traces["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"], BATCH_TRACE);
    let attributes = "/api/v3/traces?query.attributes=%7B%22messaging.system%22%3A%22kafka%22%7D&query.durationMin=1ms";
    assert_eq!(get(&server, attributes).0, 200);
}

#[test]
fn refusals_in_jaegers_shape() {
    // Guarantees Jaeger's error envelopes: what its page and Grafana show to people.
    let server = TestServer::start();
    let missing = get(&server, "/api/traces/abc");
    assert_eq!(
        missing,
        (
            404,
            json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": 404, "msg": "trace not found"}]})
        )
    );
    for path in [
        "/api/traces",
        "/api/traces?service=a&tag=x",
        "/api/traces?service=a&minDuration=x",
        "/api/traces?service=a&tags=x",
        "/api/traces/xyz",
        "/api/operations",
    ] {
        let (status, body) = get(&server, path);
        assert_eq!((status, &body["errors"][0]["code"]), (400, &json!(400)), "{path}");
    }
    assert_eq!(
        get(&server, "/api/v3/traces/abc"),
        (404, json!({"error": {"httpCode": 404, "message": "No traces found"}}))
    );
    assert_eq!(get(&server, "/api/v3/traces?query.startTimeMin=x").0, 400);
}
