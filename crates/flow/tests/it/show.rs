//! Views as text that people can check: one line a span, one a link, absent things left out.

use std::collections::HashMap;
use std::fmt::{Display, Write};

use flow::destination::{Bindings, Identity, Resolved};
use flow::semconv::{LinkedMessage, MessageFacts, Messaging, RawDestination, Role};
use model::{LinkRef, SpanBatch, SpanId, SpanRef};

/// Every span in order of its start, each named by its place in that order; ids would say nothing to a reader.
pub(crate) struct Page<'a> {
    pub(crate) spans: Vec<SpanRef<'a>>,
    places: HashMap<SpanId, usize>,
    bindings: Bindings,
}

impl<'a> Page<'a> {
    pub(crate) fn new(batch: &'a SpanBatch) -> Page<'a> {
        let mut spans: Vec<_> = batch.spans().collect();
        spans.sort_by_key(|span| (span.start_unix_nano(), span.span_id()));
        let places = spans.iter().enumerate().map(|(place, span)| (span.span_id(), place)).collect();
        let mut page = Page { spans, places, bindings: Bindings::default() };
        for place in 0..page.spans.len() {
            for (sent, received) in page.hops_to(page.spans[place]) {
                page.bindings.learn(&sent.1, &received, page.spans[place].start_unix_nano());
            }
        }
        page
    }

    /// What was sent to a span that receives, by its parent and its links, and what it received.
    fn hops_to(&self, span: SpanRef<'a>) -> Vec<((SpanId, Identity<'a>), Identity<'a>)> {
        let Some(view) = Messaging::of(span).filter(|view| matches!(view.role, Role::Receive | Role::Process)) else {
            return Vec::new();
        };
        let Some(received) = Identity::of(&view) else { return Vec::new() };
        let causes = span.parent_span_id().into_iter().chain(span.links().map(LinkRef::span_id));
        let mut causes: Vec<_> = causes.collect();
        causes.dedup();
        let sent = causes.into_iter().filter_map(|cause| {
            let view = Messaging::of(self.spans[*self.places.get(&cause)?])?;
            let sends = matches!(view.role, Role::Send | Role::Create);
            Some((cause, Identity::of(&view).filter(|_| sends)?))
        });
        sent.map(|sent| (sent, received.clone())).collect()
    }

    pub(crate) fn place(&self, span: SpanId) -> String {
        self.places.get(&span).map_or_else(|| "elsewhere".to_owned(), |place| format!("#{place}"))
    }

    /// The whole page.
    pub(crate) fn write(&self) -> String {
        let mut out = String::new();
        for &span in &self.spans {
            let parent = span.parent_span_id().map_or(String::new(), |parent| format!(" in {}", self.place(parent)));
            let place = self.place(span.span_id());
            writeln!(out, "{place} {} \"{}\"{parent}", span.kind(), span.name()).expect("writing to a string");
            let Some(view) = Messaging::of(span) else { continue };
            writeln!(out, "    {}", of_messaging(&view)).expect("writing to a string");
            if let Some(identity) = Identity::of(&view) {
                writeln!(out, "    at {}", of_identity(&identity)).expect("writing to a string");
            }
            for ((cause, sent), received) in self.hops_to(span) {
                let resolved = self.bindings.resolve_hop(&sent, &received);
                let aliases = self.bindings.aliases(&resolved.key);
                writeln!(out, "    from {} by {}", self.place(cause), of_resolved(&resolved, &aliases))
                    .expect("writing to a string");
            }
            for link in LinkedMessage::all(span, view.library) {
                let text = [of_destination(&link.destination), of_message(&link.message)].concat();
                writeln!(out, "    link to {}{text}", self.place(link.span_id)).expect("writing to a string");
            }
        }
        out
    }
}

fn of_identity(identity: &Identity<'_>) -> String {
    let mut out = format!("{} ({:?})", identity.key(), identity.kind);
    word(&mut out, "subscription", &identity.subscription);
    word(&mut out, "route", &identity.route);
    word(&mut out, "partition", identity.partition);
    out += if identity.is_dead_letter() { " for dead letters" } else { "" };
    out
}

fn of_resolved(resolved: &Resolved, aliases: &[&str]) -> String {
    let mut out = format!("{} ({:?})", resolved.key, resolved.relation);
    word(&mut out, "subscription", &resolved.subscription);
    word(&mut out, "aliases", aliases.join("|"));
    out
}

fn of_messaging(view: &Messaging<'_>) -> String {
    let mut out = format!("{:?}", view.role).to_lowercase();
    word(&mut out, "", view.system);
    out += &of_destination(&view.destination);
    word(&mut out, "group", view.group);
    said(&mut out, "batch", view.batch_size);
    out += &of_message(&view.message);
    if let Some(settlement) = view.settlement {
        write!(out, " → {settlement:?}").expect("writing to a string");
    }
    word(&mut out, "by", view.library.name);
    out
}

fn of_destination(destination: &RawDestination<'_>) -> String {
    let mut out = String::new();
    word(&mut out, "name", destination.name);
    word(&mut out, "template", destination.template);
    word(&mut out, "kind", destination.kind);
    word(&mut out, "partition", destination.partition);
    said(&mut out, "exchange", destination.exchange.map(|exchange| format!("'{exchange}'")));
    word(&mut out, "routing_key", destination.routing_key);
    word(&mut out, "queue", destination.queue);
    word(&mut out, "subscription", destination.subscription);
    word(&mut out, "url", destination.url);
    word(&mut out, "topic_arn", destination.topic_arn);
    out += if destination.temporary { " temporary" } else { "" };
    out += if destination.anonymous { " anonymous" } else { "" };
    out
}

fn of_message(message: &MessageFacts<'_>) -> String {
    let mut out = String::new();
    word(&mut out, "id", message.id);
    word(&mut out, "conversation", message.conversation_id);
    said(&mut out, "offset", message.offset);
    word(&mut out, "key", message.key);
    said(&mut out, "attempt", message.attempt);
    said(&mut out, "redelivered", message.redelivered);
    said(&mut out, "sent_at", message.sent_at.map(|sent| format!("{} ({:?})", sent.unix_nano, sent.source)));
    said(&mut out, "waited_ns", message.queue_wait_ns);
    said(&mut out, "died", message.dead_letter.map(|death| format!("{death:?}")));
    out
}

fn word(out: &mut String, name: &str, text: impl Display) {
    let text = text.to_string();
    said(out, name, (!text.is_empty()).then_some(text));
}

fn said(out: &mut String, name: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        let sign = if name.is_empty() { "" } else { "=" };
        write!(out, " {name}{sign}{value}").expect("writing to a string");
    }
}
