//! The shop played to the end with the SDK's in-memory exporter: do its spans tell the stories they are meant to tell?

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

use super::telemetry::SERVICES;
use super::{DemoOptions, Notable, Shop};

/// One span and the service that made it.
struct Seen {
    service: &'static str,
    span: SpanData,
}

impl Seen {
    fn text(&self, key: &str) -> Option<String> {
        let found = self.span.attributes.iter().find(|attribute| attribute.key.as_str() == key)?;
        Some(match &found.value {
            Value::Array(array) => array.to_string(),
            value => value.as_str().into_owned(),
        })
    }

    fn has(&self, key: &str, value: &str) -> bool {
        self.text(key).as_deref() == Some(value)
    }

    fn id(&self) -> SpanId {
        self.span.span_context.span_id()
    }

    fn processes(&self, destination: &str) -> bool {
        self.has("messaging.operation.type", "process") && self.has("messaging.destination.name", destination)
    }
}

struct Played {
    spans: Vec<Seen>,
    orders: u64,
    dead_letters: u64,
    unanswered: u64,
    parked_labels: usize,
    notable: Vec<Notable>,
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

/// Plays a whole run and collects what each service exported.
async fn play(seed: u64, spans: u64) -> Played {
    let exporters: Vec<(&'static str, InMemorySpanExporter)> =
        SERVICES.iter().map(|spec| (spec.name, InMemorySpanExporter::default())).collect();
    let factory = |spec: &super::telemetry::ServiceSpec, resource| {
        let exporter = exporters[spec.service as usize].1.clone();
        Ok(SdkTracerProvider::builder().with_resource(resource).with_simple_exporter(exporter).build())
    };
    let options = DemoOptions { seed, spans: Some(spans), ..DemoOptions::default() };
    let mut shop = Shop::open(&options, now(), &factory).unwrap();
    shop.run_until(std::future::pending()).await.unwrap();
    let mut seen = Vec::new();
    for (service, exporter) in &exporters {
        let finished = exporter.get_finished_spans().unwrap();
        seen.extend(finished.into_iter().map(|span| Seen { service, span }));
    }
    let report = shop.stop().await.unwrap();
    assert_eq!(report.spans_created, seen.len() as u64, "every span that was started has ended");
    Played {
        spans: seen,
        orders: report.orders,
        dead_letters: report.dead_letters,
        unanswered: report.unanswered,
        parked_labels: report.parked as usize,
        notable: report.notable,
    }
}

fn senders(spans: &[Seen]) -> HashMap<SpanId, &Seen> {
    spans.iter().filter(|seen| seen.span.span_kind == SpanKind::Producer).map(|seen| (seen.id(), seen)).collect()
}

/// The sending spans a consumer span points at, by parent or by link.
fn causes<'a>(consumer: &Seen, senders: &HashMap<SpanId, &'a Seen>) -> Vec<&'a Seen> {
    let links = consumer.span.links.links.iter().map(|link| link.span_context.span_id());
    links.chain([consumer.span.parent_span_id]).filter_map(|id| senders.get(&id).copied()).collect()
}

#[tokio::test]
async fn every_consumer_span_leads_back_to_a_sender() {
    // Guarantee: each CONSUMER span has a PRODUCER span as its parent or behind each of its links, which ended before it began.
    let played = play(1, 3_000).await;
    let senders = senders(&played.spans);
    for consumer in played.spans.iter().filter(|seen| seen.span.span_kind == SpanKind::Consumer) {
        let causes = causes(consumer, &senders);
        assert!(!causes.is_empty(), "{} of {} has no sender", consumer.span.name, consumer.service);
        assert!(causes.len() >= consumer.span.links.links.len(), "a link of {} leads nowhere", consumer.span.name);
        assert!(causes.iter().all(|sender| sender.span.end_time <= consumer.span.start_time));
    }
}

#[tokio::test]
async fn order_placed_fans_out_to_every_group() {
    // Guarantee: payment continues the order's trace, inventory and loyalty start their own with a link, analytics batches.
    let played = play(2, 2_000).await;
    let senders = senders(&played.spans);
    let sent = senders.values().filter(|seen| seen.span.name == "send orders.placed").count();
    assert_eq!(sent as u64, played.orders);
    for (service, own_trace) in [("payment-service", false), ("inventory-service", true), ("loyalty-service", true)] {
        let mut reached = HashSet::new();
        for consumer in played.spans.iter().filter(|seen| seen.service == service && seen.processes("orders.placed")) {
            let sender = causes(consumer, &senders)[0];
            let same_trace = sender.span.span_context.trace_id() == consumer.span.span_context.trace_id();
            assert_eq!(same_trace, !own_trace, "{service}");
            reached.insert(sender.id());
        }
        assert_eq!(reached.len(), sent, "{service}");
    }
    let linked: usize = played
        .spans
        .iter()
        .filter(|seen| seen.service == "analytics" && seen.processes("orders.placed"))
        .map(|seen| seen.span.links.links.len())
        .sum();
    assert_eq!(linked, sent);
}

#[tokio::test]
async fn batches_link_to_each_message_with_its_own_attributes() {
    // Guarantee: a batch span has one link a message, and each link says which partition and offset it stands for.
    let played = play(3, 3_000).await;
    let batches: Vec<&Seen> = played
        .spans
        .iter()
        .filter(|seen| {
            seen.span.span_kind == SpanKind::Consumer && seen.text("messaging.batch.message_count").is_some()
        })
        .collect();
    assert!(batches.iter().any(|seen| seen.span.links.links.len() >= 2));
    for batch in batches {
        let links = &batch.span.links.links;
        assert!(batch.has("messaging.batch.message_count", &links.len().to_string()));
        let mut positions = HashSet::new();
        for link in links {
            let of = |key: &str| link.attributes.iter().find(|a| a.key.as_str() == key).map(|a| a.value.to_string());
            positions
                .insert((of("messaging.destination.partition.id").unwrap(), of("messaging.kafka.offset").unwrap()));
        }
        assert_eq!(positions.len(), links.len());
    }
}

#[tokio::test]
async fn some_orders_never_get_an_answer_from_shipping() {
    // Guarantee: exactly the messages the report counts as unanswered were sent to shipping and have no consumer span there.
    let played = play(4, 5_000).await;
    let asked: HashSet<SpanId> =
        played.spans.iter().filter(|seen| seen.span.name == "send fulfilment:ship").map(Seen::id).collect();
    let answered: HashSet<SpanId> = played
        .spans
        .iter()
        .filter(|seen| seen.processes("fulfilment:ship:shipping.label"))
        .map(|seen| seen.span.parent_span_id)
        .collect();
    assert!(played.unanswered >= 1);
    assert_eq!((asked.len() - answered.len()) as u64, played.unanswered);
    assert!(answered.is_subset(&asked));
}

#[tokio::test]
async fn poison_messages_end_on_the_dead_letter_queue_after_their_last_attempt() {
    // Guarantee: a poison order is tried 4 times with growing gaps, each failure an exception, then published to the DLT once.
    let played = play(5, 3_000).await;
    let mut attempts: BTreeMap<String, Vec<&Seen>> = BTreeMap::new();
    let failed =
        played.spans.iter().filter(|seen| seen.service == "loyalty-service" && seen.processes("orders.placed"));
    for seen in failed.filter(|seen| matches!(seen.span.status, Status::Error { .. })) {
        attempts.entry(seen.text("order.id").unwrap()).or_default().push(seen);
    }
    assert!(!attempts.is_empty());
    for (order, mut attempts) in attempts {
        attempts.sort_by_key(|seen| seen.span.start_time);
        assert_eq!(attempts.len(), 4, "{order}");
        let gaps: Vec<Duration> = attempts
            .windows(2)
            .map(|pair| pair[1].span.start_time.duration_since(pair[0].span.end_time).unwrap())
            .collect();
        assert!(gaps.windows(2).all(|pair| pair[1] > pair[0]), "{gaps:?}");
        let exception = |seen: &&Seen| seen.span.events.events.iter().any(|event| event.name == "exception");
        assert!(attempts.iter().all(exception));
        let last = attempts[3].id();
        let dead = played.spans.iter().filter(|seen| seen.span.name == "send orders.placed.loyalty-service.DLT");
        assert_eq!(dead.filter(|seen| seen.span.parent_span_id == last).count(), 1, "{order}");
    }
}

#[tokio::test]
async fn rejected_queue_messages_are_dead_lettered_by_the_broker() {
    // Guarantee: labels nobody issues stay parked on a queue without a consumer; refused mails reach support with death headers.
    let played = play(6, 5_000).await;
    assert!(played.parked_labels >= 1);
    let tickets: Vec<&Seen> = played
        .spans
        .iter()
        .filter(|seen| seen.service == "support-desk" && seen.processes("shop.dlx:email.outbox:email.outbox.dlq"))
        .collect();
    assert!(!tickets.is_empty());
    for ticket in &tickets {
        assert!(ticket.text("messaging.header.x-first-death-queue").unwrap().contains("email.outbox"));
    }
    let loyalty = played.spans.iter().filter(|seen| seen.span.name == "send orders.placed.loyalty-service.DLT").count();
    assert_eq!(played.dead_letters as usize, played.parked_labels + tickets.len() + loyalty);
}

#[tokio::test]
async fn the_mail_queue_backs_up_and_drains() {
    // Guarantee: mails usually start at once, but while the provider throttles they wait for seconds, and that passes.
    let played = play(7, 12_000).await;
    let senders = senders(&played.spans);
    let mut waits: Vec<(SystemTime, Duration)> = played
        .spans
        .iter()
        .filter(|seen| {
            seen.processes("notifications:email.outbox") && seen.text("messaging.header.x-delivery-count").is_none()
        })
        .map(|seen| {
            let sent = causes(seen, &senders)[0].span.end_time;
            (seen.span.start_time, seen.span.start_time.duration_since(sent).unwrap())
        })
        .collect();
    waits.sort_unstable();
    let short = waits.iter().filter(|(_, wait)| *wait < Duration::from_secs(1)).count();
    let long = waits.iter().filter(|(_, wait)| *wait > Duration::from_secs(5)).count();
    assert!(short > waits.len() / 10 && long > waits.len() / 10, "{short} short, {long} long of {}", waits.len());
    assert!(waits.iter().all(|(_, wait)| *wait < Duration::from_mins(1)), "{:?}", waits.iter().map(|w| w.1).max());
    assert!(waits.last().unwrap().1 < Duration::from_secs(20), "drained in the end");
}

#[tokio::test]
async fn all_effects_lie_in_the_last_hour() {
    // Guarantee: a fast run of any size is dated between an hour ago and now, and hops of seconds and minutes are in it.
    for spans in [100, 20_000] {
        let played = play(8, spans).await;
        let earliest = played.spans.iter().map(|seen| seen.span.start_time).min().unwrap();
        let latest = played.spans.iter().map(|seen| seen.span.end_time).max().unwrap();
        assert!(earliest >= now() - Duration::from_hours(1) && latest <= now());
        assert!(played.spans.iter().all(|seen| seen.span.start_time <= seen.span.end_time));
    }
}

#[tokio::test]
async fn about_as_many_spans_as_asked_for() {
    // Guarantee: `spans` is met within 15 % once chance has evened out.
    let played = play(9, 20_000).await;
    let share = played.spans.len() as f64 / 20_000.0;
    assert!((0.85..1.15).contains(&share), "{} spans from {} orders", played.spans.len(), played.orders);
}

#[tokio::test]
async fn a_seed_plays_the_same_scenarios() {
    // Guarantee: two runs with one seed have the same spans at the same times, another seed does not; ids always differ.
    type Story = Vec<(SystemTime, SystemTime, &'static str, String)>;
    let story = |played: &Played| -> Story {
        let of = |seen: &Seen| (seen.span.start_time, seen.span.end_time, seen.service, seen.span.name.to_string());
        let mut story: Story = played.spans.iter().map(of).collect();
        story.sort();
        story
    };
    let (first, again, other) = (play(10, 1_000).await, play(10, 1_000).await, play(11, 1_000).await);
    assert_eq!(story(&first), story(&again));
    assert_ne!(story(&first), story(&other));
    assert_ne!(first.spans[0].span.span_context, again.spans[0].span.span_context);
}

#[tokio::test]
async fn the_report_names_a_trace_for_each_scenario() {
    // Guarantee: what the report tells people to open exists, and covers success, retries, dead letters and silence.
    let played = play(12, 1_000).await;
    let traces: HashSet<String> =
        played.spans.iter().map(|seen| seen.span.span_context.trace_id().to_string()).collect();
    assert!(played.notable.iter().all(|notable| traces.contains(&notable.trace_id)));
    for word in ["went through", "never answered", "poison", "retries", "dead-letter queue", "declined"] {
        assert!(played.notable.iter().any(|notable| notable.what.contains(word)), "{word}: {:?}", played.notable);
    }
}
