//! Log records: prost says what OTLP means, and the lines of other formats are read as their senders mean them.

use model::log::{NOTE_IDS_FROM_FIELD, NOTE_IDS_FROM_TEXT};
use model::{Limits, LogBatch, LogRef};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message;
use wire::logs::{LogFormat, bulk_items, decode_logs};

use crate::messages::traces_data;
use crate::mutate::Random;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn decode(format: LogFormat, body: &[u8]) -> LogBatch {
    decode_logs(format, 7, body, &Limits::DEFAULT, usize::MAX).unwrap().batch
}

/// Random logs out of random spans: the same resources, scopes, attributes and odd ids.
fn logs_data() -> impl Strategy<Value = LogsData> {
    traces_data().prop_map(|traces| LogsData {
        resource_logs: traces
            .resource_spans
            .into_iter()
            .map(|each| ResourceLogs {
                resource: each.resource,
                schema_url: each.schema_url,
                scope_logs: each
                    .scope_spans
                    .into_iter()
                    .map(|each| ScopeLogs {
                        scope: each.scope,
                        schema_url: each.schema_url,
                        log_records: each
                            .spans
                            .into_iter()
                            .map(|span| LogRecord {
                                time_unix_nano: span.start_time_unix_nano,
                                observed_time_unix_nano: span.end_time_unix_nano,
                                severity_number: span.kind,
                                severity_text: span.trace_state,
                                body: span.attributes.first().and_then(|pair| pair.value.clone()),
                                attributes: span.attributes,
                                dropped_attributes_count: span.dropped_attributes_count,
                                flags: span.flags,
                                trace_id: span.trace_id,
                                span_id: span.span_id,
                                event_name: span.name,
                            })
                            .collect(),
                    })
                    .collect(),
            })
            .collect(),
    })
}

fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let decoded = decode_logs(LogFormat::OtlpProtobuf, 7, bytes, &Limits::DEFAULT, usize::MAX);
    let Ok(data) = LogsData::decode(bytes) else { return Ok(()) };
    let decoded = decoded.expect("prost accepts it");
    let records =
        data.resource_logs.iter().flat_map(|resource| &resource.scope_logs).flat_map(|scope| &scope.log_records);
    let records: Vec<&LogRecord> = records.collect();
    prop_assert_eq!(decoded.report.received_spans, records.len() as u64);
    prop_assert_eq!(decoded.batch.len(), records.len());
    for (log, record) in decoded.batch.logs().zip(records) {
        same(log, record)?;
    }
    Ok(())
}

fn same(log: LogRef<'_>, record: &LogRecord) -> Result<(), TestCaseError> {
    prop_assert_eq!(log.time_unix_nano(), record.time_unix_nano);
    prop_assert_eq!(log.observed_unix_nano(), record.observed_time_unix_nano);
    prop_assert_eq!(log.severity_number(), record.severity_number);
    prop_assert_eq!(log.severity_text(), &record.severity_text);
    prop_assert_eq!(log.event_name(), &record.event_name);
    prop_assert_eq!(log.flags(), record.flags);
    prop_assert_eq!(log.attributes().count(), record.attributes.len());
    let ids = (record.trace_id.len() == 16, log.notes() & (NOTE_IDS_FROM_FIELD | NOTE_IDS_FROM_TEXT) != 0);
    if ids == (true, false) {
        let id: [u8; 16] = record.trace_id.as_slice().try_into().expect("16 bytes");
        prop_assert_eq!(log.trace_id().unwrap_or_default().0, id);
    }
    let body = log.body();
    match record.body.as_ref().and_then(|AnyValue { value }| value.as_ref()) {
        None => prop_assert_eq!(body, model::ValueRef::Empty),
        Some(any_value::Value::StringValue(text)) => prop_assert_eq!(body, model::ValueRef::Str(text)),
        Some(any_value::Value::IntValue(value)) => prop_assert_eq!(body, model::ValueRef::Int(*value)),
        Some(any_value::Value::BoolValue(value)) => prop_assert_eq!(body, model::ValueRef::Bool(*value)),
        Some(any_value::Value::BytesValue(bytes)) => prop_assert_eq!(body, model::ValueRef::Bytes(bytes)),
        Some(_) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn valid_messages(data in logs_data()) {
        // Guarantees that the cursor finds exactly the records that prost finds.
        agree(&data.encode_to_vec())?;
    }

    #[test]
    fn damaged_messages(data in logs_data(), seed: u64) {
        // Guarantees that flipped bits and cut ends never panic in any format, and are refused only where prost refuses them.
        let valid = data.encode_to_vec();
        let mut random = Random(seed);
        for _ in 0..8 {
            let mut bytes = valid.clone();
            for _ in 0..=random.below(3) {
                if !bytes.is_empty() {
                    let place = random.below(bytes.len());
                    bytes[place] ^= 1 << random.below(8);
                }
            }
            bytes.truncate(random.below(bytes.len() + 1));
            agree(&bytes)?;
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a-z0-9 \n\ttrace_id=é<>.-]{0,120}") {
        // Guarantees that no bytes make a decoder of log records panic.
        for format in LogFormat::ALL {
            for body in [bytes.as_slice(), text.as_bytes()] {
                let _ = decode_logs(format, 7, body, &Limits::DEFAULT, usize::MAX);
            }
        }
        let _ = bulk_items(text.as_bytes());
    }
}

#[test]
fn json_means_what_protobuf_means() {
    // Guarantees that OTLP as JSON, with names and numbers as senders write them, gives the fields of the record.
    let body = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
        "scopeLogs":[{"scope":{"name":"app"},"logRecords":[{"timeUnixNano":"5","observedTimeUnixNano":6,"severityNumber":"SEVERITY_NUMBER_WARN2",
        "severityText":"WARN","eventName":"late","body":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"1"}}]}},"flags":1,
        "attributes":[{"key":"n","value":{"doubleValue":0.5}}],"traceId":"0AF7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","later":[]}]}]}]}"#;
    let batch = decode(LogFormat::OtlpJson, body.as_bytes());
    let log = batch.log(0);
    assert_eq!((log.time_unix_nano(), log.observed_unix_nano(), log.severity_number()), (5, 6, 14));
    assert_eq!((log.service_name(), log.severity_text(), log.event_name(), log.flags()), ("shop", "WARN", "late", 1));
    assert_eq!(log.body().comparison_text(), r#"{"a":1}"#);
    assert_eq!(log.trace_id().map(|id| id.to_string()).as_deref(), Some(TRACE));
    assert!(decode_logs(LogFormat::OtlpJson, 7, b"{\"resourceLogs\":[{]}", &Limits::DEFAULT, usize::MAX).is_err());
}

#[test]
fn lines_of_json_from_many_loggers() {
    // Guarantees that time, severity, message, service and ids are found in what common loggers write, and that the rest is kept.
    let lines = [
        format!(
            r#"{{"@timestamp":"2025-11-20T18:00:00.123Z","log.level":"WARN","message":"a b","service":{{"name":"shop"}},"trace":{{"id":"{TRACE}"}},"n":{{"x":1}}}}"#
        ),
        format!(
            r#"{{"time":1763661600123,"level":40,"msg":"a b","service":"shop","traceId":"{TRACE}","n":{{"x":1}}}}"#
        ),
        format!(
            r#"{{"asctime":"2025-11-20 18:00:00,123","levelname":"WARNING","message":"a b","app":"shop","otelTraceID":"{TRACE}","n":{{"x":1}}}}"#
        ),
        format!(
            r#"{{"ts":1763661600.123,"level":"warn","event":"a b","service_name":"shop","mdc":{{"traceId":"{TRACE}"}},"n":{{"x":1}}}}"#
        ),
        format!(
            r#"{{"timestamp":"2025-11-20T18:00:00.123Z","severity":"WARNING","message":"a b","service.name":"shop","traceparent":"00-{TRACE}-b7ad6b7169203331-01","n.x":1}}"#
        ),
    ];
    let batch = decode(LogFormat::JsonLines, lines.join("\n").as_bytes());
    assert_eq!(batch.len(), lines.len());
    for log in batch.logs() {
        assert_eq!(log.time_unix_nano() / 1_000_000, 1_763_661_600_123, "{log:?}");
        assert_eq!((log.severity_number(), log.service_name()), (13, "shop"), "{log:?}");
        assert_eq!(log.body().comparison_text(), "a b");
        assert_eq!(log.trace_id().map(|id| id.to_string()).as_deref(), Some(TRACE), "{log:?}");
        assert_eq!(log.notes() & NOTE_IDS_FROM_FIELD, NOTE_IDS_FROM_FIELD);
        let kept = log.attributes().any(|pair| pair.key == "n.x" && pair.value == model::ValueRef::Int(1));
        assert!(kept, "{log:?}");
    }
}

#[test]
fn a_bad_line_costs_itself_only() {
    // Guarantees that what cannot be read is counted, and that everything around it is kept.
    let body =
        b"{\"msg\":\"one\"}\nnot json\n[1]\n\n{\"msg\":\"two trace_id=0af7651916cd43dd8448eb211c80319c\"}\n{\"cut";
    let decoded = decode_logs(LogFormat::JsonLines, 7, body, &Limits::DEFAULT, usize::MAX).unwrap();
    assert_eq!((decoded.batch.len(), decoded.report.rejected_spans()), (2, 3));
    assert!(decoded.report.first_problem.unwrap().starts_with("record 2: "));
    assert_eq!(decoded.batch.log(1).notes() & NOTE_IDS_FROM_TEXT, NOTE_IDS_FROM_TEXT);
}

#[test]
fn bulk_entries_and_their_answers() {
    // Guarantees that documents of `_bulk` are read, that every entry has an answer in its place, and that only adding is taken.
    let body = b"{\"create\":{\"_index\":\"logs-1\"}}\n{\"message\":\"a\",\"@timestamp\":\"2025-11-20T18:00:00Z\"}\n{\"delete\":{\"_id\":\"7\"}}\n{\"index\":{}}\n{\"message\":\"b\"}\n{\"index\":{}}\nbroken\n";
    let batch = decode(LogFormat::Bulk, body);
    let bodies: Vec<_> = batch.logs().map(|log| log.body().comparison_text().into_owned()).collect();
    assert_eq!(bodies, ["a", "b"]);
    let items = bulk_items(body);
    let told: Vec<_> =
        items.iter().map(|item| (item.action.as_str(), item.index.as_str(), item.problem.is_none())).collect();
    assert_eq!(told, [("create", "logs-1", true), ("delete", "", false), ("index", "", true), ("index", "", false)]);
}

#[test]
fn lines_of_text_and_crash_reports() {
    // Guarantees that lines of one message are one record: RabbitMQ's crash reports, and traces of stacks.
    let text = "2025-11-20 18:00:00.123456+00:00 [info] <0.229.0> Server startup complete; 4 plugins started.\n\
        2025-11-20 18:00:01.000000+00:00 [error] <0.700.0>   crasher:\n\
        2025-11-20 18:00:01.000000+00:00 [error] <0.700.0>     initial call: rabbit_reader:init/3\n\
        2025-11-20 18:00:01.000000+00:00 [error] <0.700.0>     exception exit: killed\n\
        2025-11-20 18:00:02.000000+00:00 [notice] <0.44.0> Logging: ok\n\
        2025-11-20 18:00:03,500 ERROR shop.Orders - failed\n\
        java.lang.IllegalStateException: no stock\n\
        \tat shop.Orders.take(Orders.java:7)\n\
        2025-11-20 18:00:04,500 INFO shop.Orders - next\n";
    let batch = decode(LogFormat::Text, text.as_bytes());
    let told: Vec<_> = batch
        .logs()
        .map(|log| (log.severity_number(), log.service_name(), log.body().comparison_text().lines().count()))
        .collect();
    assert_eq!(told, [(9, "rabbitmq", 1), (17, "rabbitmq", 3), (9, "rabbitmq", 1), (17, "", 3), (9, "", 1)]);
    assert_eq!(batch.log(1).body().comparison_text().lines().next(), Some("  crasher:"));
    assert_eq!(batch.log(0).time_unix_nano(), 1_763_661_600_123_456_000);
}
