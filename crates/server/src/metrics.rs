//! The names of all metrics, in one place, and what is counted under them.
//!
//! Label sets are closed: nothing a sender or a reader writes becomes a label value here (in `exposition` it does). What the store knows about itself is read
//! when `/metrics` is asked for ([`Metrics::encode`]), not pushed here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flow::engine::exposition::Exposition;
use prometheus_client::encoding::text::{encode, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use wire::otlp::MetricPoints;

use crate::exposition::{MessagesMetrics, TracesMetrics};

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OTLP over gRPC.
    OtlpGrpc,
    /// OTLP over HTTP, either encoding.
    OtlpHttp,
    /// Zipkin's API, either version, every encoding.
    Zipkin,
    /// Jaeger's Thrift over HTTP.
    JaegerHttp,
    /// Jaeger's protobuf over gRPC.
    JaegerGrpc,
    /// Jaeger's compact Thrift in datagrams.
    JaegerCompact,
    /// Jaeger's binary Thrift in datagrams.
    JaegerBinary,
    /// OpenCensus's agent, protobuf over gRPC.
    OpenCensus,
    /// X-Ray's documents, in datagrams or over HTTP.
    Xray,
    /// Elasticsearch's `_bulk`, of log records.
    Elasticsearch,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 10] = [
        Protocol::OtlpGrpc,
        Protocol::OtlpHttp,
        Protocol::Zipkin,
        Protocol::JaegerHttp,
        Protocol::JaegerGrpc,
        Protocol::JaegerCompact,
        Protocol::JaegerBinary,
        Protocol::OpenCensus,
        Protocol::Xray,
        Protocol::Elasticsearch,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::OtlpGrpc => "otlp_grpc",
            Protocol::OtlpHttp => "otlp_http",
            Protocol::Zipkin => "zipkin",
            Protocol::JaegerHttp => "jaeger_http",
            Protocol::JaegerGrpc => "jaeger_grpc",
            Protocol::JaegerCompact => "jaeger_compact",
            Protocol::JaegerBinary => "jaeger_binary",
            Protocol::OpenCensus => "opencensus",
            Protocol::Xray => "xray",
            Protocol::Elasticsearch => "elasticsearch",
        }
    }
}

impl EncodeLabelValue for Protocol {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.name(), encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProtocol {
    protocol: Protocol,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProtocolAndReason {
    protocol: Protocol,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOperation {
    operation: &'static str,
}

/// A value read at the moment of asking.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The metric's name, without the prefix.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// The value.
    pub value: ReadingValue,
}

/// What is read.
#[derive(Debug, Clone)]
pub enum ReadingValue {
    /// Something that goes up and down.
    Gauge(u64),
    /// A ratio.
    Ratio(f64),
    /// Something that only grows.
    Counter(u64),
    /// Durations: (upper bound in seconds, how many in this bucket alone) with the sum in seconds.
    Seconds {
        /// The buckets; the last bound is infinite.
        buckets: Vec<(f64, u64)>,
        /// The sum of all durations.
        sum_seconds: f64,
    },
}

/// Everything counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<ByProtocol, Counter>,
    request_bytes: Family<ByProtocol, Counter>,
    spans: Family<ByProtocol, Counter>,
    logs: Family<ByProtocol, Counter>,
    refused_requests: Family<ByProtocolAndReason, Counter>,
    dropped: Family<ByReason, Counter>,
    flagged_spans: Family<ByReason, Counter>,
    request_seconds: Family<ByProtocol, Histogram, fn() -> Histogram>,
    query_seconds: Family<ByOperation, Histogram, fn() -> Histogram>,
    refused_questions: Family<ByReason, Counter>,
    connections: Counter,
    open_connections: Gauge,
    closed_connections: Counter,
    datagrams: Family<ByProtocol, Counter>,
    kernel_drops: Family<ByProtocol, Counter>,
    metric_points: Family<ByReason, Counter>,
}

/// From a tenth of a millisecond to 52 s.
fn seconds_histogram() -> Histogram {
    Histogram::new((0..20).map(|power| 0.0001 * f64::from(1u32 << power)))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("longspan"),
            requests: Family::default(),
            request_bytes: Family::default(),
            spans: Family::default(),
            logs: Family::default(),
            refused_requests: Family::default(),
            dropped: Family::default(),
            flagged_spans: Family::default(),
            request_seconds: Family::new_with_constructor(seconds_histogram),
            query_seconds: Family::new_with_constructor(seconds_histogram),
            refused_questions: Family::default(),
            connections: Counter::default(),
            open_connections: Gauge::default(),
            closed_connections: Counter::default(),
            datagrams: Family::default(),
            kernel_drops: Family::default(),
            metric_points: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("received_requests", "Requests that were stored", self.requests.clone());
        registry.register("received_request_bytes", "Bytes of stored requests, inflated", self.request_bytes.clone());
        registry.register("received_spans", "Spans that were stored", self.spans.clone());
        registry.register("received_logs", "Log records that were stored", self.logs.clone());
        registry.register("refused_requests", "Requests of which nothing was stored", self.refused_requests.clone());
        registry.register("dropped", "Spans, or things inside spans, that were not kept as sent", self.dropped.clone());
        registry.register("flagged_spans", "Spans that were kept as sent, with a note", self.flagged_spans.clone());
        let help = "From the last byte of a request to its answer";
        registry.register_with_unit("request", help, Unit::Seconds, self.request_seconds.clone());
        let help = "Time to answer a query of the API";
        registry.register_with_unit("query", help, Unit::Seconds, self.query_seconds.clone());
        let help = "Questions that were not answered: too many at once, or too slow";
        registry.register("refused_questions", help, self.refused_questions.clone());
        registry.register("connections", "Connections accepted", self.connections.clone());
        registry.register("open_connections", "Connections open now", self.open_connections.clone());
        let help = "Idle connections that were closed to make room for others";
        registry.register("crowded_out_connections", help, self.closed_connections.clone());
        let help = "Datagrams read: each is then counted under received_requests or refused_requests";
        registry.register("datagrams", help, self.datagrams.clone());
        let help = "Datagrams that the system dropped because they came faster than they were read";
        registry.register("kernel_dropped_datagrams", help, self.kernel_drops.clone());
        let help = "Data points of metrics that were taken and not kept, by what they are about";
        registry.register("dropped_metric_points", help, self.metric_points.clone());
        let info = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", info);
    }

    /// A request that was stored.
    pub fn received(&self, protocol: Protocol, spans: u64, bytes: u64, took: Duration) {
        let by = ByProtocol { protocol };
        self.requests.get_or_create(&by).inc();
        self.request_bytes.get_or_create(&by).inc_by(bytes);
        self.spans.get_or_create(&by).inc_by(spans);
        self.request_seconds.get_or_create(&by).observe(took.as_secs_f64());
    }

    /// A request of log records that was stored.
    pub fn received_logs(&self, protocol: Protocol, records: u64, bytes: u64, took: Duration) {
        self.received(protocol, 0, bytes, took);
        self.logs.get_or_create(&ByProtocol { protocol }).inc_by(records);
    }

    /// A request of which nothing was stored.
    pub fn refused(&self, protocol: Protocol, reason: &'static str) {
        self.refused_requests.get_or_create(&ByProtocolAndReason { protocol, reason }).inc();
    }

    /// Spans, or things inside spans, that were not kept as sent.
    pub fn dropped(&self, reason: &'static str, count: u64) {
        self.dropped.get_or_create(&ByReason { reason }).inc_by(count);
    }

    /// Spans that were kept as sent, with a note that says what is odd about them.
    pub fn flagged(&self, note: &'static str, count: u64) {
        self.flagged_spans.get_or_create(&ByReason { reason: note }).inc_by(count);
    }

    /// A query that was answered.
    pub fn queried(&self, operation: &'static str, took: Duration) {
        self.query_seconds.get_or_create(&ByOperation { operation }).observe(took.as_secs_f64());
    }

    /// A question that was not answered.
    pub fn question_refused(&self, reason: &'static str) {
        self.refused_questions.get_or_create(&ByReason { reason }).inc();
    }

    /// A connection that was accepted.
    pub fn connected(&self) {
        self.connections.inc();
        self.open_connections.inc();
    }

    /// A connection that has ended.
    pub fn disconnected(&self) {
        self.open_connections.dec();
    }

    /// An idle connection that is closed to make room for another.
    pub fn crowded_out(&self) {
        self.closed_connections.inc();
    }

    /// A datagram that was read.
    pub fn datagram(&self, protocol: Protocol) {
        self.datagrams.get_or_create(&ByProtocol { protocol }).inc();
    }

    /// How many datagrams the system has dropped of a socket since it was opened.
    pub fn kernel_dropped(&self, protocol: Protocol, total: u64) {
        self.kernel_drops.get_or_create(&ByProtocol { protocol }).inner().store(total, Ordering::Relaxed);
    }

    /// Data points of metrics that were not kept.
    pub fn dropped_metric_points(&self, points: MetricPoints) {
        for (reason, count) in [("messaging", points.messaging), ("other", points.other)] {
            self.metric_points.get_or_create(&ByReason { reason }).inc_by(count);
        }
    }

    /// Spans stored since the start, over all protocols.
    pub fn received_spans(&self) -> u64 {
        let of = |protocol| self.spans.get(&ByProtocol { protocol }).map_or(0, |counter| counter.get());
        Protocol::ALL.into_iter().map(of).sum()
    }

    /// Everything in Prometheus's text format (OpenMetrics), with `readings` taken now and what flow's engine has counted until now.
    pub fn encode(&self, readings: Vec<Reading>, mut exposition: Exposition, now_unix_nano: u64) -> String {
        let mut now = Registry::with_prefix("longspan");
        now.register_collector(Box::new(Readings(Arc::from(readings))));
        let destinations = std::mem::take(&mut exposition.destinations);
        now.register_collector(Box::new(MessagesMetrics { destinations, now_unix_nano }));
        let mut traces = Registry::default();
        traces.register_collector(Box::new(TracesMetrics(exposition)));
        let mut text = String::new();
        let written = [&self.registry, &now].into_iter().try_for_each(|registry| encode_registry(&mut text, registry));
        written.and_then(|()| encode(&mut text, &traces)).expect("writing to a string");
        text
    }
}

#[derive(Debug)]
struct Readings(Arc<[Reading]>);

impl prometheus_client::collector::Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for Reading { name, help, value } in self.0.iter() {
            let unit = matches!(value, ReadingValue::Seconds { .. }).then_some(Unit::Seconds);
            let metric_type = match value {
                ReadingValue::Gauge(_) | ReadingValue::Ratio(_) => MetricType::Gauge,
                ReadingValue::Counter(_) => MetricType::Counter,
                ReadingValue::Seconds { .. } => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), metric_type)?;
            match value {
                ReadingValue::Gauge(value) => metric.encode_gauge(value)?,
                ReadingValue::Ratio(value) => metric.encode_gauge(value)?,
                ReadingValue::Counter(value) => metric.encode_counter::<NoLabelSet, _, u64>(value, None)?,
                ReadingValue::Seconds { buckets, sum_seconds } => {
                    let count = buckets.iter().map(|(_, count)| count).sum();
                    metric.encode_histogram::<NoLabelSet>(*sum_seconds, count, buckets, None)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_document_with_closed_labels() {
        // Guarantees that counts and readings end up in one valid document under the names dashboards rely on.
        let metrics = Metrics::default();
        metrics.received(Protocol::OtlpGrpc, 7, 300, Duration::from_millis(4));
        metrics.refused(Protocol::Zipkin, "malformed");
        metrics.dropped("value_truncated", 2);
        metrics.flagged("time_out_of_range", 3);
        let reading = Reading { name: "wal_bytes", help: "Bytes", value: ReadingValue::Gauge(5) };
        let text = metrics.encode(vec![reading], Exposition::default(), 0);
        for line in [
            "longspan_received_spans_total{protocol=\"otlp_grpc\"} 7",
            "longspan_refused_requests_total{protocol=\"zipkin\",reason=\"malformed\"} 1",
            "longspan_dropped_total{reason=\"value_truncated\"} 2",
            "longspan_flagged_spans_total{reason=\"time_out_of_range\"} 3",
            "longspan_wal_bytes 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert_eq!(text.matches("# EOF").count(), 1);
        assert_eq!(metrics.received_spans(), 7);
    }
}
