//! Senders that remember what they sent and what was acknowledged, with content that can be computed again from the seed.

use crate::api;
use crate::server::{Server, agent};
use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const SERVICE: &str = "load";
/// Concurrent senders, each with an encoding of its own.
const SENDERS: u64 = 4;

/// A small generator (splitmix64): reproducible from the seed that a failing test prints.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The seed from `LONGSPAN_TEST_SEED`, or a fresh one; printed, so that a failure can be run again.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("LONGSPAN_TEST_SEED").ok().map(|text| text.parse().expect("a number"));
    let seed = given.unwrap_or_else(now_unix_nano);
    println!("LONGSPAN_TEST_SEED={seed}");
    seed
}

pub(crate) fn now_unix_nano() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// One request: one trace of a few spans, all of it computed from seed and number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) seed: u64,
    pub(crate) number: u64,
}

/// What a span of a batch must look like when it is read back.
pub(crate) struct Expected {
    pub(crate) span_id: [u8; 8],
    pub(crate) name: String,
    pub(crate) payload: String,
}

impl Batch {
    pub(crate) fn trace_id(self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(self.seed | 1).to_be_bytes());
        id[8..].copy_from_slice(&self.number.to_be_bytes());
        id
    }

    pub(crate) fn trace_id_hex(self) -> String {
        hex(&self.trace_id())
    }

    pub(crate) fn spans(self) -> Vec<Expected> {
        let mut random = Random(self.seed ^ self.number.rotate_left(32));
        let count = 1 + random.below(12);
        let span = |index: u64, random: &mut Random| Expected {
            span_id: (random.next() | 1).to_be_bytes(),
            name: format!("operation {index}"),
            payload: format!("{:x}", random.next()).repeat(1 + usize::try_from(random.below(200)).unwrap()),
        };
        (0..count).map(|index| span(index, &mut random)).collect()
    }

    pub(crate) fn protobuf(self) -> Vec<u8> {
        let start = now_unix_nano();
        let span = |expected: Expected| Span {
            trace_id: self.trace_id().to_vec(),
            span_id: expected.span_id.to_vec(),
            name: expected.name,
            start_time_unix_nano: start,
            end_time_unix_nano: start + 1_000_000,
            attributes: vec![text("payload", &expected.payload)],
            ..Span::default()
        };
        request(self.spans().into_iter().map(span).collect()).encode_to_vec()
    }

    pub(crate) fn json(self) -> Value {
        let start = now_unix_nano();
        let span = |expected: Expected| {
            json!({
                "traceId": self.trace_id_hex(),
                "spanId": hex(&expected.span_id),
                "name": expected.name,
                "startTimeUnixNano": start.to_string(),
                "endTimeUnixNano": (start + 1_000_000).to_string(),
                "attributes": [{"key": "payload", "value": {"stringValue": expected.payload}}],
            })
        };
        let spans: Vec<Value> = self.spans().into_iter().map(span).collect();
        json_request(&spans)
    }

    /// Sends the batch, in one of the encodings; the status, or `None` if no answer came.
    fn send(self, server: &Sending, encoding: u64) -> Option<u16> {
        let mut request = server.agent.post(&server.url);
        let body = match encoding {
            0 => self.protobuf(),
            1 => self.json().to_string().into_bytes(),
            _ => {
                request = request.header("content-encoding", "gzip");
                gzip(&self.protobuf())
            }
        };
        let content_type = if encoding == 1 { "application/json" } else { "application/x-protobuf" };
        let answer = request.header("content-type", content_type).send(&body[..]);
        // An answer counts only when it has arrived whole.
        let mut answer = answer.ok()?;
        answer.body_mut().read_to_vec().ok()?;
        Some(answer.status().as_u16())
    }
}

pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource { attributes: vec![text("service.name", SERVICE)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

pub(crate) fn json_request(spans: &[Value]) -> Value {
    let service = json!({"key": "service.name", "value": {"stringValue": SERVICE}});
    json!({"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]})
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

struct Sending {
    agent: ureq::Agent,
    url: String,
}

/// What was sent, and what of it was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) acknowledged: Vec<Batch>,
    /// Sent, but no OK arrived: may be there or not, but whole.
    pub(crate) unanswered: Vec<Batch>,
    /// Statuses that are neither success nor a refusal that invites a retry.
    pub(crate) wrong_statuses: Vec<u16>,
}

impl Record {
    pub(crate) fn append(&mut self, mut other: Self) {
        self.acknowledged.append(&mut other.acknowledged);
        self.unanswered.append(&mut other.unanswered);
        self.wrong_statuses.append(&mut other.wrong_statuses);
    }
}

/// Numbers batches over the whole life of a test, so that no id is used twice.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) seed: u64,
    next: AtomicU64,
}

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(1) }
    }

    pub(crate) fn batch(&self) -> Batch {
        Batch { seed: self.seed, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Sends from several threads until the server has gone away or `most` batches have been sent, while `meanwhile` runs here.
pub(crate) fn send_while(server: Server, numbers: &Numbers, most: u64, meanwhile: impl FnOnce(Server)) -> Record {
    let url = server.url("otlp_http", "/v1/traces");
    let record = Mutex::new(Record::default());
    let gone = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let sending = Sending { agent: agent(), url: url.clone() };
            let (record, gone, sent) = (&record, &gone, &sent);
            scope.spawn(move || {
                while !gone.load(Ordering::Relaxed) && sent.fetch_add(1, Ordering::Relaxed) < most {
                    send_one(&sending, numbers.batch(), sender % 3, record, gone);
                }
            });
        }
        meanwhile(server);
    });
    record.into_inner().unwrap()
}

fn send_one(sending: &Sending, batch: Batch, encoding: u64, record: &Mutex<Record>, gone: &AtomicBool) {
    let status = batch.send(sending, encoding);
    let mut record = record.lock().unwrap();
    match status {
        Some(200) => record.acknowledged.push(batch),
        Some(429 | 503) => record.unanswered.push(batch),
        Some(status) => {
            record.wrong_statuses.push(status);
            record.unanswered.push(batch);
        }
        None => {
            record.unanswered.push(batch);
            gone.store(true, Ordering::Relaxed);
        }
    }
}

/// Sends one batch as protobuf; the status, or `None` if no answer came.
pub(crate) fn try_send(server: &Server, batch: Batch) -> Option<u16> {
    let sending = Sending { agent: agent(), url: server.url("otlp_http", "/v1/traces") };
    batch.send(&sending, 0)
}

/// Sends one batch as protobuf and expects an OK.
pub(crate) fn send_good(server: &Server, batch: Batch) {
    let sending = Sending { agent: agent(), url: server.url("otlp_http", "/v1/traces") };
    assert_eq!(batch.send(&sending, 0), Some(200));
}

/// Every acknowledged batch is there, exactly as sent; every unanswered one is there whole or not at all. Returns how many spans
/// of these batches are there.
pub(crate) fn verify(server: &Server, record: &Record) -> u64 {
    let mut count = 0;
    for batch in &record.acknowledged {
        let id = batch.trace_id_hex();
        let trace = api::trace(server, &id).unwrap_or_else(|| panic!("acknowledged and lost: {id}"));
        count += verify_trace(&trace, *batch);
    }
    for batch in &record.unanswered {
        if let Some(trace) = api::trace(server, &batch.trace_id_hex()) {
            count += verify_trace(&trace, *batch);
        }
    }
    count
}

fn verify_trace(trace: &Value, batch: Batch) -> u64 {
    let stored = api::spans(trace);
    let expected = batch.spans();
    assert_eq!(stored.len(), expected.len(), "not as many spans as sent in {}", batch.trace_id_hex());
    for span in &expected {
        let found = stored.get(&hex(&span.span_id)).unwrap_or_else(|| panic!("span {} is missing", hex(&span.span_id)));
        assert_eq!(found["name"], span.name.as_str());
        assert_eq!(api::attribute(found, "payload"), Some(&Value::from(span.payload.as_str())), "{found}");
    }
    expected.len() as u64
}
