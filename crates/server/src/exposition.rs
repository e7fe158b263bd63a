//! What flow's engine counts, as metrics with labels: how long messages wait and what becomes of them, the service graph and span metrics
//! under the names that Grafana's dashboards expect.
//!
//! Labels are what senders wrote; how many series there may be is bounded by the engine (`docs/limits.md`), and what no longer fits
//! has `(other)` for a label. Encoded straight into the document, without a registry of their own. Deliberately absent: counting, which
//! is `flow::engine::meters`'s, and metrics about the server itself (`metrics`, `health`).

use std::fmt::Error;

use flow::engine::exposition::{DestinationMeter, Exposition, PairSeries, SpanSeries};
use flow::engine::meters::{Connection, Histogram, SPAN_BOUNDS_NS, WAIT_BOUNDS_NS};
use model::{SpanKind, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

const NS_PER_SECOND: f64 = 1e9;
/// What a service without a name is called.
const UNNAMED: &str = "unknown_service";

/// Metrics whose names begin with `traces_`.
#[derive(Debug)]
pub struct TracesMetrics(pub Exposition);

/// Metrics whose names begin with the program's name.
#[derive(Debug)]
pub struct MessagesMetrics {
    /// What was counted.
    pub destinations: Vec<DestinationMeter>,
    /// When it is asked for, Unix nanoseconds.
    pub now_unix_nano: u64,
}

type Count = fn(&DestinationMeter) -> u64;
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// One metric with labels.
struct Metric<'e> {
    encoder: MetricEncoder<'e>,
}

impl<'e> Metric<'e> {
    fn new(
        encoder: &'e mut DescriptorEncoder<'_>,
        name: &'e str,
        help: &str,
        unit: Option<&'e Unit>,
        metric_type: MetricType,
    ) -> Result<Metric<'e>, Error> {
        Ok(Metric { encoder: encoder.encode_descriptor(name, help, unit, metric_type)? })
    }

    fn count<const N: usize>(&mut self, labels: &Labels<'_, N>, count: u64) -> Result<(), Error> {
        self.encoder.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn gauge<const N: usize>(&mut self, labels: &Labels<'_, N>, value: f64) -> Result<(), Error> {
        self.encoder.encode_family(labels)?.encode_gauge(&value)
    }

    fn histogram<const N: usize, const B: usize>(
        &mut self,
        labels: &Labels<'_, N>,
        histogram: &Histogram<B>,
        bounds_ns: &[u64],
    ) -> Result<(), Error> {
        let bounds = bounds_ns.iter().map(|&bound_ns| bound_ns as f64 / NS_PER_SECOND).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts).collect();
        let sum_seconds = histogram.sum_ns as f64 / NS_PER_SECOND;
        let mut family = self.encoder.encode_family(labels)?;
        family.encode_histogram::<NoLabelSet>(sum_seconds, histogram.count(), &buckets, None)
    }
}

fn service(name: &str) -> &str {
    if name.is_empty() { UNNAMED } else { name }
}

fn connection_type(connection: Connection) -> &'static str {
    match connection {
        Connection::Call => "",
        Connection::Messaging => "messaging_system",
        Connection::Database => "database",
        Connection::Outside => "virtual_node",
    }
}

fn kind_name(kind: SpanKind) -> &'static str {
    const NAMES: [&str; 6] = [
        "SPAN_KIND_UNSPECIFIED",
        "SPAN_KIND_INTERNAL",
        "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ];
    usize::try_from(kind.0).ok().and_then(|number| NAMES.get(number)).unwrap_or(&NAMES[0])
}

fn status_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::OK => "STATUS_CODE_OK",
        StatusCode::ERROR => "STATUS_CODE_ERROR",
        _ => "STATUS_CODE_UNSET",
    }
}

fn pair_labels(pair: &PairSeries) -> Labels<'_, 3> {
    let (client, server) = (service(&pair.client), service(&pair.server));
    [("client", client), ("server", server), ("connection_type", connection_type(pair.connection))]
}

fn span_labels(series: &SpanSeries) -> Labels<'_, 4> {
    [
        ("service", service(&series.service)),
        ("span_name", &series.name),
        ("span_kind", kind_name(series.kind)),
        ("status_code", status_name(series.status)),
    ]
}

impl Collector for TracesMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Exposition { spans, pairs, .. } = &self.0;
        encode_pairs(&mut encoder, pairs)?;
        let mut calls = Metric::new(&mut encoder, "traces_spanmetrics_calls", "Spans", None, MetricType::Counter)?;
        for series in spans {
            calls.count(&span_labels(series), series.durations.count())?;
        }
        let help = "How long spans took, seconds";
        let mut latency = Metric::new(&mut encoder, "traces_spanmetrics_latency", help, None, MetricType::Histogram)?;
        for series in spans {
            latency.histogram(&span_labels(series), &series.durations, &SPAN_BOUNDS_NS)?;
        }
        Ok(())
    }
}

fn encode_pairs(encoder: &mut DescriptorEncoder<'_>, pairs: &[PairSeries]) -> Result<(), Error> {
    let help = "Calls and messages between services, and calls to what sends no spans";
    let mut requests = Metric::new(encoder, "traces_service_graph_request", help, None, MetricType::Counter)?;
    for pair in pairs {
        requests.count(&pair_labels(pair), pair.meter.requests)?;
    }
    let help = "Those that failed at either end";
    let mut failed = Metric::new(encoder, "traces_service_graph_request_failed", help, None, MetricType::Counter)?;
    for pair in pairs {
        failed.count(&pair_labels(pair), pair.meter.failed)?;
    }
    let seconds = Some(&Unit::Seconds);
    let help = "How long they took who was called or received";
    let name = "traces_service_graph_request_server";
    let mut server = Metric::new(encoder, name, help, seconds, MetricType::Histogram)?;
    for pair in pairs.iter().filter(|pair| pair.meter.server.count() > 0) {
        server.histogram(&pair_labels(pair), &pair.meter.server, &SPAN_BOUNDS_NS)?;
    }
    let help = "How long they took who called or sent";
    let name = "traces_service_graph_request_client";
    let mut client = Metric::new(encoder, name, help, seconds, MetricType::Histogram)?;
    for pair in pairs {
        client.histogram(&pair_labels(pair), &pair.meter.client, &SPAN_BOUNDS_NS)?;
    }
    let help = "How long messages waited between who sent and who received them";
    let name = "traces_service_graph_request_messaging_system";
    let mut waits = Metric::new(encoder, name, help, seconds, MetricType::Histogram)?;
    for pair in pairs.iter().filter(|pair| pair.connection == Connection::Messaging) {
        waits.histogram(&pair_labels(pair), &pair.meter.waits, &WAIT_BOUNDS_NS)?;
    }
    Ok(())
}

fn destination_labels(meter: &DestinationMeter) -> Labels<'_, 2> {
    [("messaging_system", &meter.destination.system), ("messaging_destination_name", &meter.destination.name)]
}

/// The labels of one group.
fn group_labels<'a>(meter: &'a DestinationMeter, group: &'a str) -> Labels<'a, 3> {
    let [system, name] = destination_labels(meter);
    [system, name, ("messaging_consumer_group_name", group)]
}

impl MessagesMetrics {
    /// Those that are about all groups of a destination.
    fn whole(&self) -> impl Iterator<Item = &DestinationMeter> {
        self.destinations.iter().filter(|meter| meter.group.is_none())
    }

    fn groups(&self) -> impl Iterator<Item = (&DestinationMeter, Labels<'_, 3>)> {
        self.destinations.iter().filter_map(|meter| Some((meter, group_labels(meter, meter.group.as_deref()?))))
    }

    fn age_seconds(&self, meter: &DestinationMeter) -> f64 {
        let sent = meter.standings.oldest_unix_nano.unwrap_or(self.now_unix_nano);
        self.now_unix_nano.saturating_sub(sent) as f64 / NS_PER_SECOND
    }

    fn encode_standings(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let under_way = |meter: &DestinationMeter| (meter.standings.pending + meter.standings.late) as f64;
        let help = "Messages that somebody is expected to receive and has not, and that are not lost";
        let mut metric = Metric::new(encoder, "in_flight_messages", help, None, MetricType::Gauge)?;
        for meter in self.whole() {
            metric.gauge(&destination_labels(meter), under_way(meter))?;
        }
        let help = "Messages that this group is expected to receive and has not, and that are not lost";
        let mut metric = Metric::new(encoder, "group_missing_messages", help, None, MetricType::Gauge)?;
        for (meter, labels) in self.groups() {
            metric.gauge(&labels, under_way(meter))?;
        }
        let (seconds, help) = (Some(&Unit::Seconds), "Since the oldest message in flight was sent; 0 if there is none");
        let mut metric = Metric::new(encoder, "oldest_unconsumed_age", help, seconds, MetricType::Gauge)?;
        for meter in self.whole() {
            metric.gauge(&destination_labels(meter), self.age_seconds(meter))?;
        }
        let help = "The same for messages that this group misses";
        let mut metric = Metric::new(encoder, "group_oldest_unconsumed_age", help, seconds, MetricType::Gauge)?;
        for (meter, labels) in self.groups() {
            metric.gauge(&labels, self.age_seconds(meter))?;
        }
        Ok(())
    }
}

impl Collector for MessagesMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (seconds, help) =
            (Some(&Unit::Seconds), "How long messages waited from the end of sending to the start of receiving");
        let mut metric = Metric::new(&mut encoder, "queue_wait", help, seconds, MetricType::Histogram)?;
        for (meter, labels) in self.groups().filter(|(meter, _)| meter.meter.waits.count() > 0) {
            metric.histogram(&labels, &meter.meter.waits, &WAIT_BOUNDS_NS)?;
        }
        let counters: [(&str, &str, Count); 3] = [
            ("destination_late_messages", "Messages that became late", |meter| meter.meter.late),
            ("destination_lost_messages", "Messages that became lost", |meter| meter.meter.lost),
            ("destination_dead_lettered_messages", "Messages that were given up on", |meter| meter.meter.dead_lettered),
        ];
        for (name, help, count) in counters {
            let mut metric = Metric::new(&mut encoder, name, help, None, MetricType::Counter)?;
            for meter in self.whole() {
                metric.count(&destination_labels(meter), count(meter))?;
            }
        }
        self.encode_standings(&mut encoder)
    }
}
