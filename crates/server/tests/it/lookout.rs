//! Destinations, messages, the map and expectations: asked of a server that gets spans, and asked again after a restart.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Answer, TestServer};

const SECOND: u64 = 1_000_000_000;

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn now() -> u64 {
    server::clock::now_unix_nano()
}

/// A span of a service that does something with a message on `orders`.
fn span(service: &str, number: u64, kind: u8, operation: &str, start: u64, link: Option<u64>) -> Value {
    let ids = |number: u64| (format!("{number:032x}"), format!("{number:016x}"));
    let (trace, id) = ids(number);
    let links: Vec<Value> = link.map(ids).iter().map(|(trace, id)| json!({ "traceId": trace, "spanId": id })).collect();
    let attributes = [
        attribute("messaging.system", "kafka"),
        attribute("messaging.destination.name", "orders"),
        attribute("messaging.operation.type", operation),
    ];
    json!({
        "resource": { "attributes": [attribute("service.name", service)] },
        "scopeSpans": [{ "spans": [{
            "traceId": trace, "spanId": id, "name": format!("{operation} orders"), "kind": kind, "links": links,
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 1_000_000).to_string(), "attributes": attributes
        }] }]
    })
}

fn send(server: &TestServer, spans: &[Value]) {
    let body = json!({ "resourceSpans": spans }).to_string();
    let sent = server.post("otlp_http", "/v1/traces", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!(sent.status, 200, "{}", sent.text());
}

/// Messages `numbers`, consumed 50 ms later, but for the last.
fn all_but_one(server: &TestServer, numbers: std::ops::Range<u64>) {
    let last = numbers.end - 1;
    let start = now() - 10 * SECOND;
    let mut spans = Vec::new();
    for number in numbers {
        spans.push(span("shop", number, 4, "send", start + number * 1_000_000, None));
        if number != last {
            let received = start + number * 1_000_000 + 51_000_000;
            spans.push(span("mail", 1_000_000 + number, 5, "process", received, Some(number)));
        }
    }
    send(server, &spans);
}

/// Asks until an answer is as it should be: what is applied is seen by the engine a moment later.
fn wait_for(server: &TestServer, path: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let answer: Answer = server.get("api", path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let answer = answer.json();
        if is_right(&answer) {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{path} stays {answer:#}");
        std::thread::yield_now();
    }
}

fn sent_and_processed(answer: &Value) -> (u64, u64) {
    let figures = &answer["items"][0]["figures"];
    (figures["sent"].as_u64().unwrap_or(0), figures["processed"].as_u64().unwrap_or(0))
}

#[test]
fn what_goes_on_is_shown() {
    // Guarantees that destinations, their series, messages and the map answer with what was sent, and refuse what they do not know.
    let server = TestServer::start();
    all_but_one(&server, 1..31);
    let answer = wait_for(&server, "/api/destinations", |answer| sent_and_processed(answer) == (30, 29));
    let destination = &answer["items"][0];
    assert_eq!((&destination["key"], &destination["groups"][0]["name"]), (&json!("kafka:orders"), &json!("mail")));
    assert_eq!((&destination["now"]["pending"], &destination["groups"][0]["now"]["pending"]), (&json!(1), &json!(1)));
    let wait = &destination["groups"][0]["figures"]["queue_wait"];
    assert!(wait["count"] == 29 && wait["p50_ns"].as_u64().unwrap().abs_diff(50_000_000) < 2_000_000, "{wait}");
    let series = server.get("api", "/api/destinations/kafka:orders?step=1h").json();
    assert_eq!(series["destination"]["key"], "kafka:orders");
    assert!(series["series"].as_array().unwrap().iter().any(|point| point["group"] == "mail"));
    let pending = server.get("api", "/api/messages?state=pending&destination=kafka:orders").json();
    let message = &pending["items"][0];
    assert_eq!((&message["missing_groups"], pending["items"].as_array().unwrap().len()), (&json!(["mail"]), 1));
    let same = server.get("api", &format!("/api/messages/{}", message["id"].as_str().unwrap())).json();
    assert_eq!(same["state"], "pending");
    let first = server.get("api", "/api/messages?limit=20").json();
    let next = first["next_cursor"].as_str().unwrap();
    let second = server.get("api", &format!("/api/messages?limit=20&cursor={next}")).json();
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next_cursor"]), (10, &Value::Null));
    let map = server.get("api", "/api/map").json();
    assert_eq!((map["nodes"].as_array().unwrap().len(), map["edges"].as_array().unwrap().len()), (3, 2));
    for path in ["/api/messages?state=gone", "/api/messages/17", "/api/destinations/orders", "/api/map?start=2&end=1"] {
        assert_eq!(server.get("api", path).status, 400, "{path}");
    }
    assert_eq!(server.get("api", "/api/messages/1-1").status, 200);
    assert_eq!(server.get("api", "/api/messages/7-777").status, 404);
    assert!(server.get("api", "/metrics").text().contains("longspan_flow_messages 30"));
}

#[test]
fn what_is_declared_counts() {
    // Guarantees that declarations are read, refused with the place of the fault, and that what they say becomes late.
    let server = TestServer::start();
    let refused = server.put("api", "/api/expectations", br#"{"rules": ["mail eats orders within 1s"]}"#);
    assert_eq!((refused.status, &refused.json()["error"]["position"]), (400, &json!(5)));
    let set = server.put("api", "/api/expectations", br#"{"rules": ["mail consumes orders within 1s"]}"#);
    assert_eq!((set.status, &set.json()["rules"]), (200, &json!(["mail consumes orders within 1s"])));
    send(&server, &[span("shop", 1, 4, "send", now(), None)]);
    let late = wait_for(&server, "/api/messages?state=late", |answer| answer["items"][0]["id"].is_string());
    assert_eq!(late["items"][0]["missing_groups"], json!(["mail"]));
    let lost = wait_for(&server, "/api/messages?state=lost", |answer| answer["items"][0]["id"].is_string());
    assert_eq!(lost["items"][0]["state"], "lost");
}

#[test]
fn a_restart_forgets_and_doubles_nothing() {
    // Guarantees that figures, messages and declarations are the same after restarts, whether spans were sealed or only in the log.
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let start = || TestServer::start_with(|options| options.data = data.clone());
    let server = start();
    server.put("api", "/api/expectations", br#"{"rules": ["mail consumes orders within 1h"]}"#);
    all_but_one(&server, 1..31);
    assert!(server.runtime.block_on(server.running().seal(Duration::from_secs(30))));
    assert!(data.join("flow/engine.bin").exists());
    all_but_one(&server, 31..41);
    wait_for(&server, "/api/destinations", |answer| sent_and_processed(answer) == (40, 38));
    let map = server.get("api", "/api/map").json();
    drop(server);
    assert!(data.join("flow/watched.txt").exists(), "nothing says until when somebody watched");
    for _ in 0..2 {
        let server = start();
        let answer = wait_for(&server, "/api/destinations", |answer| sent_and_processed(answer) == (40, 38));
        assert_eq!(answer["items"][0]["groups"][0]["figures"]["queue_wait"]["count"], 38);
        assert_eq!(server.get("api", "/api/map").json(), map);
        let pending = server.get("api", "/api/messages?state=pending").json();
        assert_eq!(pending["items"].as_array().unwrap().len(), 2);
        let expected = server.get("api", "/api/expectations").json();
        assert_eq!(expected["rules"], json!(["mail consumes orders within 1h"]));
        assert_eq!((&expected["items"][0]["group"], &expected["items"][0]["declared"]), (&Value::Null, &json!(false)));
    }
}

#[test]
fn what_is_to_follow_is_declared_in_settings_and_by_request() {
    // Guarantees that rules over several messages come from the settings and from requests, that both survive a restart, that they
    // are refused with the place of the fault, and that what did not follow is named.
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let start = || {
        TestServer::start_with(|options| {
            options.data = data.clone();
            options.expect = vec!["after send orders, orders is sent within 1h".to_owned()];
        })
    };
    let server = start();
    let refused =
        server.put("api", "/api/expectations", br#"{"rules": ["after send orders email is sent within 5m"]}"#);
    assert_eq!((refused.status, &refused.json()["error"]["position"]), (400, &json!(41)));
    let set =
        server.put("api", "/api/expectations", br#"{"rules": ["after send orders, email is sent within 300ms"]}"#);
    assert_eq!(set.status, 200, "{}", set.text());
    send(&server, &[span("shop", 1, 4, "send", now(), None)]);
    let flows = |answer: &Value| -> Vec<Value> { answer["flows"].as_array().unwrap().clone() };
    let answer = wait_for(&server, "/api/expectations", |answer| flows(answer).iter().any(|flow| flow["lost"] == 1));
    let broken = flows(&answer).iter().find(|flow| flow["lost"] == 1).unwrap()["overdue"][0].clone();
    assert_eq!((&broken["state"], &broken["span_id"]), (&json!("lost"), &json!("0000000000000001")));
    assert!(flows(&answer).iter().any(|flow| flow["kept"] == 1), "{answer:#}");
    drop(server);
    let server = start();
    let answer = wait_for(&server, "/api/expectations", |answer| flows(answer).iter().any(|flow| flow["kept"] == 1));
    assert_eq!(answer["rules"], json!(["after send orders, email is sent within 300ms"]));
    assert_eq!(answer["configured"], json!(["after send orders, orders is sent within 1h"]));
    assert_eq!(flows(&answer).len(), 2);
}

#[test]
fn services_show_what_they_are_asked() {
    // Guarantees that services have their figures of the wanted time in steps, beside all that is stored of them, and that a range that
    // cannot be is refused.
    let server = TestServer::start();
    all_but_one(&server, 1..31);
    let mail = |answer: &Value| answer["items"].as_array().unwrap().iter().find(|item| item["name"] == "mail").cloned();
    let answer =
        wait_for(&server, "/api/services", |answer| mail(answer).is_some_and(|mail| mail["figures"]["requests"] == 29));
    let service = mail(&answer).unwrap();
    assert_eq!((&service["spans"], &service["figures"]["errors"]), (&json!(29), &json!(0)));
    assert!(service["figures"]["duration"]["p95_ns"].as_u64().unwrap().abs_diff(1_000_000) < 20_000, "{service}");
    let steps = service["series"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["requests"].as_u64().unwrap()).sum::<u64>(), 29);
    assert_eq!(service["step_ns"], 120 * SECOND);
    let before = server.get("api", "/api/services?start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00Z").json();
    assert_eq!((&before["items"][0]["name"], &before["items"][0]["figures"]["requests"]), (&json!("mail"), &json!(0)));
    assert_eq!(server.get("api", "/api/services?start=2&end=1").status, 400);
}

#[test]
fn metrics_tell_of_messages_and_services() {
    // Guarantees the names and labels that dashboards and alerts rely on, and that label values of any text are escaped.
    let server = TestServer::start();
    server.put("api", "/api/expectations", br#"{"rules": ["mail consumes orders within 1s"]}"#);
    all_but_one(&server, 1..31);
    send(&server, &[span("odd \"name\"\n\\", 77, 2, "serve", now(), None)]);
    let begin = Instant::now();
    let text = loop {
        let text = server.get("api", "/metrics").text();
        if text.contains("longspan_lost_messages_total 1") {
            break text;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing is lost in\n{text}");
        std::thread::yield_now();
    };
    let to = "messaging_system=\"kafka\",messaging_destination_name=\"orders\"";
    let pair = "client=\"shop\",server=\"mail\",connection_type=\"messaging_system\"";
    let spans =
        "service=\"shop\",span_name=\"send orders\",span_kind=\"SPAN_KIND_PRODUCER\",status_code=\"STATUS_CODE_UNSET\"";
    for line in [
        format!("longspan_queue_wait_seconds_count{{{to},messaging_consumer_group_name=\"mail\"}} 29"),
        format!("longspan_queue_wait_seconds_bucket{{le=\"0.05\",{to},messaging_consumer_group_name=\"mail\"}} 29"),
        format!("longspan_destination_late_messages_total{{{to}}} 1"),
        format!("longspan_destination_lost_messages_total{{{to}}} 1"),
        format!("longspan_in_flight_messages{{{to}}} 0.0"),
        format!("longspan_oldest_unconsumed_age_seconds{{{to}}} 0.0"),
        format!("traces_service_graph_request_total{{{pair}}} 29"),
        format!("traces_service_graph_request_failed_total{{{pair}}} 0"),
        format!("traces_service_graph_request_client_seconds_count{{{pair}}} 29"),
        format!("traces_service_graph_request_server_seconds_bucket{{le=\"0.002\",{pair}}} 29"),
        format!("traces_service_graph_request_messaging_system_seconds_count{{{pair}}} 29"),
        format!("traces_spanmetrics_calls_total{{{spans}}} 30"),
        format!("traces_spanmetrics_latency_count{{{spans}}} 30"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(text.contains(r#"service="odd \"name\"\n\\""#) && text.ends_with("# EOF\n"));
}
