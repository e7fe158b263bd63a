//! The own API: shapes, refusals, and the document that describes it.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use axum::body::Body;
use http_body_util::BodyExt;
use query::SpanStore;
use server::app::App;
use server::routes;
use tower::ServiceExt;

use crate::server::{BATCH_TRACE, ORDER_TRACE, TestServer};

#[test]
fn a_trace_comes_back_whole() {
    // Guarantees that everything a span was sent with is in the answer, in the documented shape.
    let server = TestServer::start();
    server.send_fixture();
    assert_json_snapshot!("trace", server.get("api", &format!("/api/traces/{ORDER_TRACE}")).json());
    assert_json_snapshot!("trace_with_links", server.get("api", &format!("/api/traces/{BATCH_TRACE}")).json());
}

#[test]
fn links_lead_both_ways() {
    // Guarantees that a link is found from either end, and that a link to nothing says so.
    let server = TestServer::start();
    server.send_fixture();
    assert_json_snapshot!("links_out", server.get("api", &format!("/api/traces/{BATCH_TRACE}/links")).json());
    let incoming = server.get("api", &format!("/api/traces/{ORDER_TRACE}/links")).json();
    assert_eq!(incoming["outgoing"], json!([]));
    assert_eq!(incoming["incoming"][0]["to"]["span_id"], "53995c3f42cd8ad8");
    let of_root = format!("/api/traces/{ORDER_TRACE}/links?span_id=b7ad6b7169203331");
    assert_eq!(server.get("api", &of_root).json()["incoming"], json!([]));
}

#[test]
fn a_flow_goes_from_the_cause_to_the_last_effect() {
    // Guarantees the documented shape of a flow, the same from its root and from its last effect, and its spans by page.
    let server = TestServer::start();
    server.send_fixture();
    let flow = server.get("api", &format!("/api/flows/{ORDER_TRACE}")).json();
    assert_json_snapshot!("flow", flow);
    let spans = server.get("api", &format!("/api/flows/{ORDER_TRACE}/spans")).json();
    assert_json_snapshot!("flow_spans", spans);
    let mut paged = Vec::new();
    let mut cursor = String::new();
    for _ in 0..10 {
        let page = server.get("api", &format!("/api/flows/{ORDER_TRACE}/spans?limit=1{cursor}")).json();
        paged.extend(page["items"].as_array().unwrap().iter().map(|span| span["span_id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let whole: Vec<Value> = spans["items"].as_array().unwrap().iter().map(|span| span["span_id"].clone()).collect();
    assert_eq!(paged, whole);
}

#[test]
fn a_declared_key_joins_what_lost_its_context() {
    // Guarantees that the setting reaches the flow, and that without it nothing is joined.
    let send = |server: &TestServer| {
        let span = |trace: &str, kind: u8, operation: &str| {
            let attributes =
                [("messaging.operation.type", operation), ("messaging.destination.name", "orders"), ("order.id", "17")];
            let attributes = attributes.map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}));
            json!({"traceId": trace.repeat(32), "spanId": trace.repeat(16), "name": operation, "kind": kind,
                "startTimeUnixNano": format!("170000000{trace}000000000"), "endTimeUnixNano": format!("170000000{trace}500000000"),
                "attributes": attributes})
        };
        let body =
            json!({"resourceSpans": [{"scopeSpans": [{"spans": [span("1", 4, "send"), span("2", 5, "process")]}]}]});
        let body = body.to_string();
        let sent = server.post("otlp_http", "/v1/traces", &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(sent.status, 200);
        server.get("api", &format!("/api/flows/{}", "1".repeat(32))).json()
    };
    let with = send(&TestServer::start_with(|options| options.correlate = vec!["order.id".to_owned()]));
    assert_eq!(
        (&with["hops"][0]["evidence"], &with["hops"][0]["queue_wait_ns"]),
        (&json!("business_key"), &json!(500_000_000))
    );
    let without = send(&TestServer::start());
    assert_eq!((&without["hops"][0]["to"], &without["hops"][0]["state"]), (&Value::Null, &json!("unknown")));
}

#[test]
fn search_finds_by_every_parameter() {
    // Guarantees that each filter finds what matches and nothing else, and the documented shape of a found trace.
    let server = TestServer::start();
    server.send_fixture();
    assert_json_snapshot!("search", server.get("api", "/api/traces?service=shop").json());
    let ids = |query: &str| -> Vec<String> {
        let answer = server.get("api", &format!("/api/traces?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let items = answer.json()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["trace_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(""), [BATCH_TRACE, ORDER_TRACE]);
    for query in [
        "service=worker",
        "status=error",
        "kind=consumer",
        "min_duration=1s",
        "start=1700000002000000000",
        "q=link.messaging.message.id%20exists",
        "name=orders%20process",
        "start=2023-11-14T22:13:22Z",
    ] {
        assert_eq!(ids(query), [BATCH_TRACE], "{query}");
    }
    for query in ["max_duration=20ms", "end=1700000002000000000", "q=event_name%20%3D%20queued", "q=big%20%3E%205"] {
        assert_eq!(ids(query), [ORDER_TRACE], "{query}");
    }
    assert_eq!(ids("service=nobody"), Vec::<String>::new());
}

#[test]
fn pages_follow_each_other() {
    // Guarantees that the cursor of a page leads to the traces after it, each once, to an end.
    let server = TestServer::start();
    server.send_fixture();
    let first = server.get("api", "/api/traces?limit=1").json();
    assert_eq!(first["items"][0]["trace_id"], BATCH_TRACE);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = server.get("api", &format!("/api/traces?limit=1&cursor={cursor}")).json();
    assert_eq!(second["items"][0]["trace_id"], ORDER_TRACE);
}

#[test]
fn completion_lists_what_is_stored() {
    // Guarantees the lists behind the page's completion, in shape and order.
    let server = TestServer::start();
    server.send_fixture();
    let paths = [
        "/api/services",
        "/api/operations?service=shop",
        "/api/operations?service=shop&kind=producer",
        "/api/attributes/keys?prefix=m",
        "/api/attributes/keys?level=resource",
        "/api/attributes/values?key=host.name",
        "/api/attributes/values?key=messaging.system&level=span&prefix=k",
    ];
    let answers: Vec<(&str, Value)> = paths.into_iter().map(|path| (path, server.get("api", path).json())).collect();
    assert_json_snapshot!("completion", answers);
}

#[test]
fn what_is_not_understood_is_refused() {
    // Guarantees a 400 in the error shape for unknown, repeated and unreadable parameters on every path, never a guess.
    let server = TestServer::start();
    let paths = [
        "/api/traces?foo=1",
        "/api/traces?limit=0",
        "/api/traces?limit=10001",
        "/api/traces?limit=x",
        "/api/traces?service=a&service=b",
        "/api/traces?min_duration=fast",
        "/api/traces?start=yesterday",
        "/api/traces?kind=sideways",
        "/api/traces?status=bad",
        "/api/traces?cursor=zzz",
        "/api/traces/xyz",
        "/api/traces/0af7651916cd43dd8448eb211c80319c00",
        "/api/traces/1?deep=true",
        "/api/traces/1/links?span_id=g",
        "/api/flows/xyz",
        "/api/flows/1?span_id=g",
        "/api/flows/1?x=1",
        "/api/flows/1/spans?cursor=zzz",
        "/api/flows/1/spans?limit=0",
        "/api/services?x=1",
        "/api/operations",
        "/api/operations?service=a&kind=sideways",
        "/api/attributes/keys?level=galaxy",
        "/api/attributes/values",
        "/api/status?x",
    ];
    let document = server.get("api", "/api/openapi.json").json();
    for path in paths {
        let answer = server.get("api", path);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(declares(&document, path, "400"), "{path} does not declare it");
        let error = &answer.json()["error"];
        assert!(
            error["code"].is_string() && error["message"].is_string() && error["hint"].is_string(),
            "{path}: {error}"
        );
    }
    let bad_query = server.get("api", "/api/traces?q=service%20%3D").json();
    assert_eq!((&bad_query["error"]["code"], &bad_query["error"]["position"]), (&json!("bad_query"), &json!(9)));
    let missing = server.get("api", "/api/traces/abc");
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &json!("not_found")));
    for path in ["/api/flows/abc", "/api/flows/abc?span_id=1", "/api/flows/abc/spans"] {
        let missing = server.get("api", path);
        assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &json!("not_found")), "{path}");
        assert!(declares(&document, path, "404"));
    }
    let nowhere = server.get("api", "/api/nonsense");
    assert_eq!((nowhere.status, &nowhere.json()["error"]["code"]), (404, &json!("no_such_path")));
    assert_eq!(server.post("api", "/api/traces", &[], b"").status, 405);
}

/// Whether the document says that a path may answer so.
fn declares(document: &Value, path: &str, status: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let is_template = |template: &str| {
        let parts = || template.split('/').zip(path.split('/'));
        template.split('/').count() == path.split('/').count()
            && parts().all(|(wanted, got)| wanted.starts_with('{') || wanted == got)
    };
    let mut known = document["paths"].as_object().unwrap().iter();
    let (_, item) = known.find(|(template, _)| is_template(template)).expect("every path is in the document");
    item["get"]["responses"][status].is_object()
}

#[test]
fn links_of_an_unknown_trace_are_no_error() {
    // Guarantees that the document promises no answer that is never sent: links are found by a trace's id, stored or not.
    let server = TestServer::start();
    let document = server.get("api", "/api/openapi.json").json();
    assert_eq!(server.get("api", "/api/traces/abc/links").status, 200);
    assert!(!declares(&document, "/api/traces/abc/links", "404"));
    assert!(declares(&document, "/api/traces/abc", "404"));
}

#[test]
fn durations_are_read_the_same_everywhere() {
    // Guarantees that a duration which a parameter takes is one in the query language too, and the other way round.
    let server = TestServer::start();
    server.send_fixture();
    for (text, status) in [("1h30m", 200), ("1m0.5s", 200), ("1.5s", 200), ("7", 200), ("1s5", 400), ("1d", 400)] {
        for path in [format!("/api/traces?min_duration={text}"), format!("/api/traces?q=duration%20%3E%20{text}")] {
            assert_eq!(server.get("api", &path).status, status, "{path}");
        }
    }
}

#[test]
fn answers_are_compressed_for_who_wants_it() {
    // Guarantees gzip for JSON over 1 KiB on all APIs, the same bytes behind it, and short answers as they are.
    let server = TestServer::start();
    server.send_fixture();
    let trace = format!("/api/traces/{ORDER_TRACE}");
    let cases = [
        ("api", trace.clone(), true),
        ("api", "/api/openapi.json".to_owned(), true),
        ("api", "/metrics".to_owned(), true),
        ("jaeger", trace, true),
        ("zipkin", format!("/api/v2/trace/{ORDER_TRACE}"), true),
        ("api", "/api/services".to_owned(), false),
    ];
    for (listener, path, compressed) in cases {
        let plain = server.get(listener, &path);
        assert_eq!((plain.status, plain.header("content-encoding")), (200, ""), "{path}");
        // The client would undo it unseen.
        let app = server.running().app();
        let router = match listener {
            "api" => routes::api(app),
            "jaeger" => routes::jaeger(app),
            _ => routes::zipkin(app),
        };
        let request = http::Request::get(&path).header("accept-encoding", "br, gzip").body(Body::empty()).unwrap();
        let (head, body) = server.runtime.block_on(router.oneshot(request)).unwrap().into_parts();
        let body = server.runtime.block_on(body.collect()).unwrap().to_bytes();
        assert_eq!(head.headers.contains_key("content-encoding"), compressed, "{path}");
        assert_eq!(head.headers["vary"], "accept-encoding", "{path}");
        if compressed && path != "/metrics" {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
            assert!(text == plain.text(), "{path}");
        }
    }
}

#[test]
fn a_question_that_takes_too_long_is_given_up() {
    // Guarantees a 503 with a hint within the time for an answer, that the question itself ends, and that its turn is free again.
    let server = TestServer::start();
    server.send_fixture();
    let app = server.running().app().clone();
    let ended = Arc::new(AtomicBool::new(false));
    let saw_the_end = ended.clone();
    let impatient = Arc::new(App {
        answer_max: Duration::from_millis(50),
        ..App::new(app.options.clone(), app.listening.clone(), app.stage.clone(), app.memory, Vec::new())
    });
    let answer = server.runtime.block_on(impatient.search("test", move |store| {
        while store.trace(ORDER_TRACE.parse().unwrap()).is_ok() {}
        saw_the_end.store(true, Ordering::Relaxed);
        Ok(())
    }));
    let refused = answer.unwrap_err();
    assert_eq!((refused.status.as_u16(), refused.problem.code), (503, "too_slow"));
    assert!(refused.problem.hint.unwrap().contains("shorter range"));
    server.runtime.block_on(impatient.search("test", |_| Ok(()))).unwrap();
    let all = server.runtime.block_on(impatient.searches.acquire_many(2));
    assert!(all.is_ok() && ended.load(Ordering::Relaxed));
    let metrics = impatient.metrics.encode(Vec::new(), flow::engine::exposition::Exposition::default(), 0);
    assert!(metrics.contains("longspan_refused_questions_total{reason=\"too_slow\"} 1"), "{metrics}");
}

#[test]
fn the_document_describes_every_route() {
    // Guarantees that the OpenAPI document has every path of the API, resolves within itself, and lists each parameter.
    let server = TestServer::start();
    let document = server.get("api", "/api/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let documented = [
        "/api/attributes/keys",
        "/api/attributes/values",
        "/api/dead-letters",
        "/api/destinations",
        "/api/destinations/{key}",
        "/api/expectations",
        "/api/flows/{trace_id}",
        "/api/flows/{trace_id}/logs",
        "/api/flows/{trace_id}/spans",
        "/api/logs",
        "/api/logs/histogram",
        "/api/map",
        "/api/messages",
        "/api/messages/{id}",
        "/api/operations",
        "/api/search/explain",
        "/api/search/heatmap",
        "/api/services",
        "/api/snapshots",
        "/api/status",
        "/api/traces",
        "/api/traces/{trace_id}",
        "/api/traces/{trace_id}/links",
    ];
    assert_eq!(paths, documented);
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 10);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let parameters = document["paths"]["/api/traces"]["get"]["parameters"].as_array().unwrap();
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
    let want =
        ["q", "service", "name", "kind", "status", "min_duration", "max_duration", "start", "end", "limit", "cursor"];
    assert_eq!(names, want);
    let mut asked = 0;
    for path in documented.iter().filter(|path| document["paths"][**path].get("get").is_some()) {
        let parameters = document["paths"][*path]["get"]["parameters"].as_array();
        let needs_some = parameters.is_some_and(|all| all.iter().any(|parameter| parameter["required"] == true));
        if !needs_some {
            assert_eq!(server.get("api", path).status, 200, "{path}");
            asked += 1;
        }
    }
    assert!(asked > 8, "{asked} routes were asked");
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
            map.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

#[test]
fn status_counts_what_is_stored() {
    // Guarantees that the status shows what was received and where the server listens.
    let server = TestServer::start();
    server.send_fixture();
    let status = server.get("api", "/api/status").json();
    assert_eq!(
        (&status["spans"], &status["received_spans_total"], &status["ready"]),
        (&3.into(), &3.into(), &true.into())
    );
    assert_eq!(status["listening"]["api"], server.running().listening()["api"].to_string());
}
