//! Log records over OTLP, and what can be asked about them.

use serde_json::{Value, json};

use crate::server::{ORDER_TRACE, TestServer};

const JSON: (&str, &str) = ("content-type", "application/json");
const SPAN: &str = "b7ad6b7169203331";
const START_NS: u64 = 1_700_000_000_000_000_000;

fn pair(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn record(number: u64, severity: u8, body: &str) -> Value {
    json!({
        "timeUnixNano": (START_NS + number * 1_000_000_000).to_string(), "severityNumber": severity,
        "severityText": "custom", "body": { "stringValue": body },
        "attributes": [pair("order.id", &format!("o-{number}"))],
    })
}

fn request(service: &str, records: &[Value]) -> Value {
    json!({ "resourceLogs": [{
        "resource": { "attributes": [pair("service.name", service)] },
        "scopeLogs": [{ "scope": { "name": "app.log" }, "logRecords": records }],
    }]})
}

fn send(server: &TestServer, request: &Value) -> Value {
    let sent = server.post("otlp_http", "/v1/logs", &[JSON], request.to_string().as_bytes());
    assert_eq!(sent.status, 200, "{}", sent.text());
    sent.json()
}

fn bodies(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|item| item["body"].as_str().unwrap()).collect()
}

fn fill(server: &TestServer) {
    let mut records: Vec<Value> =
        (0..10).map(|number| record(number, 9 + (number % 3) as u8 * 4, &format!("Order {number} accepted"))).collect();
    records[4]["traceId"] = json!(ORDER_TRACE);
    records[4]["spanId"] = json!(SPAN);
    records[7]["traceId"] = json!(ORDER_TRACE);
    assert_eq!(send(server, &request("checkout", &records)), json!({}));
    assert_eq!(send(server, &request("billing", &[record(20, 17, "Connection refused: db-1")])), json!({}));
}

#[test]
fn an_ok_means_that_records_are_found_by_everything_they_have() {
    // Guarantees that acknowledged records are found newest first by every parameter, in memory and sealed.
    let server = TestServer::start();
    fill(&server);
    for round in ["in memory", "sealed"] {
        let get = |path: &str| {
            let answer = server.get("api", path);
            assert_eq!(answer.status, 200, "{round}: {path}: {}", answer.text());
            answer.json()
        };
        let all = get("/api/logs");
        assert_eq!(bodies(&all).len(), 11);
        assert_eq!(bodies(&all)[..2], ["Connection refused: db-1", "Order 9 accepted"]);
        assert_eq!(bodies(&get("/api/logs?service=billing")), ["Connection refused: db-1"]);
        assert_eq!(bodies(&get("/api/logs?severity=error&service=checkout")).len(), 3);
        assert_eq!(bodies(&get("/api/logs?q=%22connection%20refused%22")), ["Connection refused: db-1"]);
        assert_eq!(bodies(&get("/api/logs?q=order.id%3Do-3")), ["Order 3 accepted"]);
        assert_eq!(bodies(&get("/api/logs?q=service.name%3Dbilling")), ["Connection refused: db-1"]);
        assert_eq!(bodies(&get("/api/logs?q=accept")), Vec::<&str>::new());
        let of_trace = get(&format!("/api/logs?trace_id={ORDER_TRACE}"));
        assert_eq!(bodies(&of_trace), ["Order 7 accepted", "Order 4 accepted"]);
        assert_eq!(of_trace["items"][1]["span_id"], SPAN);
        assert_eq!(of_trace["items"][1]["trace_id_from"], "record");
        assert_eq!(bodies(&get(&format!("/api/logs?span_id={SPAN}"))), ["Order 4 accepted"]);
        let (start, end) = (START_NS + 2_000_000_000, START_NS + 4_000_000_000);
        assert_eq!(
            bodies(&get(&format!("/api/logs?start={start}&end={end}"))),
            ["Order 3 accepted", "Order 2 accepted"]
        );
        let first = get("/api/logs?limit=3&service=checkout");
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = get(&format!("/api/logs?limit=3&service=checkout&cursor={cursor}"));
        assert_eq!(bodies(&second), ["Order 6 accepted", "Order 5 accepted", "Order 4 accepted"]);
        let item = &second["items"][0];
        assert_eq!((&item["severity"], &item["severity_text"]), (&json!("info"), &json!("custom")));
        assert_eq!((&item["scope"], &item["service"]), (&json!("app.log"), &json!("checkout")));
        assert_eq!(item["attributes"], json!([{ "key": "order.id", "type": "string", "value": "o-6" }]));
        let histogram = get("/api/logs/histogram?step=10s");
        let counts: Vec<_> =
            histogram["items"].as_array().unwrap().iter().map(|item| (&item["info"], &item["error"])).collect();
        assert_eq!(counts.len(), 3);
        assert_eq!((counts[0], counts[2]), ((&json!(4), &json!(3)), (&json!(0), &json!(1))));
        let sealed = server.runtime.block_on(server.running().seal(std::time::Duration::from_mins(1)));
        assert!(sealed);
    }
}

#[test]
fn records_of_a_flow_are_in_one_list() {
    // Guarantees that a flow's list has the records of its traces and those that only say the id of one of its messages, that each says
    // why it is there, and that others stay out.
    let server = TestServer::start();
    let mut spans = crate::server::fixture();
    let publish = &mut spans["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["attributes"];
    let list = publish.as_array_mut().unwrap();
    list.push(pair("messaging.destination.name", "orders"));
    list.push(pair("messaging.operation.type", "send"));
    list.push(pair("messaging.message.id", "msg-7f3a-0001"));
    let sent = server.post("otlp_http", "/v1/traces", &[JSON], spans.to_string().as_bytes());
    assert_eq!(sent.status, 200);
    fill(&server);
    let mut by_field = record(1, 9, "stock reserved");
    by_field["attributes"] = json!([pair("message_id", "msg-7f3a-0001")]);
    let elsewhere = record(9_000, 9, "msg-7f3a-0001 long after");
    send(&server, &request("legacy", &[by_field, record(2, 9, "handled msg-7f3a-0001."), elsewhere]));
    let answer = server.get("api", &format!("/api/flows/{ORDER_TRACE}/logs"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let told: Vec<_> =
        answer["items"].as_array().unwrap().iter().map(|item| (&item["body"], &item["evidence"])).collect();
    let (body, because) = (|text: &str| json!(text), |text: &str| json!(text));
    let wanted = [
        (body("Order 7 accepted"), because("trace_id")),
        (body("Order 4 accepted"), because("trace_id")),
        (body("handled msg-7f3a-0001."), because("message_id")),
        (body("stock reserved"), because("message_id")),
    ];
    assert_eq!(told, wanted.iter().map(|(body, because)| (body, because)).collect::<Vec<_>>());
    assert_eq!(answer["items"][3]["evidence_value"], "msg-7f3a-0001");
}

#[test]
fn what_is_wrong_is_said() {
    // Guarantees that broken bodies and unknown parameters are refused in words, that ids of a wrong length are told and the record is
    // kept, and that log records are counted as such.
    let server = TestServer::start();
    let sent = server.post("otlp_http", "/v1/logs", &[JSON], b"{\"resourceLogs\": 7}");
    assert_eq!(sent.status, 400);
    let sent = server.post("otlp_http", "/v1/logs", &[("content-type", "text/csv")], b"a");
    assert_eq!(sent.status, 415);
    let mut odd = record(1, 9, "odd");
    odd["traceId"] = json!("abcd");
    let answer = send(&server, &request("checkout", &[odd]));
    assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "0");
    assert_eq!(bodies(&server.get("api", "/api/logs").json()), ["odd"]);
    for query in ["?severity=loud", "?q=%22open", "?cursor=7", "?limit=0", "?text=a", "?trace_id=xyz"] {
        let refused = server.get("api", &format!("/api/logs{query}"));
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("bad_parameter")), "{query}");
    }
    let metrics = server.get("api", "/metrics").text();
    assert!(metrics.contains("longspan_received_logs_total{protocol=\"otlp_http\"} 1"), "{metrics}");
}

#[test]
fn lines_and_what_shippers_send() {
    // Guarantees that lines of JSON, lines of text and Elasticsearch's `_bulk` become records, with the answers that shippers go on by.
    let server = TestServer::start();
    let ndjson = format!(
        "{{\"msg\":\"json one\",\"level\":\"warn\",\"service\":\"shop\",\"trace_id\":\"{ORDER_TRACE}\"}}\nbroken\n"
    );
    let sent = server.post("otlp_http", "/v1/logs", &[("content-type", "application/x-ndjson")], ndjson.as_bytes());
    assert_eq!((sent.status, &sent.json()["partialSuccess"]["rejectedLogRecords"]), (200, &json!("1")));
    let text = b"2025-11-20 18:00:00,123 ERROR text one\n\tat x.y\n";
    assert_eq!(server.post("otlp_http", "/v1/logs", &[("content-type", "text/plain")], text).status, 200);
    let hello = server.get("elasticsearch", "/");
    assert_eq!((hello.status, hello.header("x-elastic-product")), (200, "Elasticsearch"));
    assert_eq!(server.get("elasticsearch", "/_license").json()["license"]["status"], "active");
    assert_eq!(server.put("elasticsearch", "/_index_template/filebeat", b"{}").json()["acknowledged"], true);
    let bulk = b"{\"create\":{\"_index\":\"logs\"}}\n{\"@timestamp\":\"2025-11-20T18:00:01Z\",\"message\":\"bulk one\"}\n{\"delete\":{}}\n";
    let sent = server.post("elasticsearch", "/_bulk", &[("content-type", "application/x-ndjson")], bulk);
    let answer = sent.json();
    assert_eq!((sent.status, &answer["errors"]), (200, &json!(true)));
    assert_eq!(
        (&answer["items"][0]["create"]["status"], &answer["items"][1]["delete"]["status"]),
        (&json!(201), &json!(400))
    );
    let all = server.get("api", "/api/logs").json();
    assert_eq!(bodies(&all), ["json one", "bulk one", "ERROR text one\n\tat x.y"]);
    assert_eq!(
        (&all["items"][0]["trace_id"], &all["items"][0]["trace_id_from"]),
        (&json!(ORDER_TRACE), &json!("field"))
    );
    assert_eq!(server.get("elasticsearch", "/logs/_search").status, 404);
}
