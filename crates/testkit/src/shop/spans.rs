//! [`Maker`] opens and closes spans: ids, times, attributes, traces, counts.
//!
//! A span that is open has a clock of its own, which its children move on; work that a message causes does not.

use std::fmt::Write;

use super::manifest::{Counted, Counting, TraceCounts};
use super::requests::{Batching, Ended};
use super::services::{Language, Library, SERVICES, Service};
use crate::protobuf::Fields;
use crate::rng::Rng;

pub(super) const MS: u64 = 1_000_000;

/// Field numbers of OTLP's `Span`.
const ATTRIBUTES: u32 = 9;
const EVENTS: u32 = 11;
const LINKS: u32 = 13;

/// OTLP's numbers of kinds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// Where a span hangs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parent {
    /// The root of a new trace.
    None,
    /// Another span of this trace.
    Span([u8; 8]),
}

/// A span that is being made.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) service: Service,
    pub(super) id: [u8; 8],
    /// Where its clock stands.
    pub(super) now_ns: u64,
    library: Library,
    kind: Kind,
    name: String,
    parent: Parent,
    start_ns: u64,
    fields: Fields,
    failure: Option<String>,
    order_id: Option<String>,
    /// The trace around, when this is the root of its own.
    around: Option<TraceCounts>,
}

impl Open {
    pub(super) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.fields.text_pair(ATTRIBUTES, key, value);
        self
    }

    pub(super) fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.fields.number_pair(ATTRIBUTES, key, value);
        self
    }

    pub(super) fn link(&mut self, trace_id: [u8; 16], span_id: [u8; 8]) {
        let mut link = Fields::new();
        link.bytes(1, &trace_id).bytes(2, &span_id).text_pair(4, "messaging.operation.type", "send").fixed32(6, 0x301);
        self.fields.bytes(LINKS, link.as_bytes());
    }

    /// The order this span is about, if it is one that is followed.
    pub(super) fn follows(&mut self, order_id: &str) {
        self.order_id = Some(order_id.to_owned());
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }
}

/// Makes spans.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) rng: Rng,
    pub(super) counting: Counting,
    pub(super) batching: Batching,
    pub(super) messages: u64,
    trace: TraceCounts,
    spans: u64,
    scratch: Fields,
}

impl Maker {
    pub(super) fn new(seed: u64, traces: u64, batch_spans: usize) -> Self {
        Maker {
            rng: Rng::new(seed),
            counting: Counting::new(seed, traces),
            batching: Batching::new(seed, batch_spans),
            messages: 0,
            trace: TraceCounts::default(),
            spans: 0,
            scratch: Fields::new(),
        }
    }

    pub(super) fn trace_id(&self) -> [u8; 16] {
        self.trace.id
    }

    pub(super) fn open(
        &mut self,
        (service, library): (Service, Library),
        kind: Kind,
        name: String,
        parent: Parent,
        start_ns: u64,
    ) -> Open {
        let around = matches!(parent, Parent::None).then(|| {
            let trace = TraceCounts::new(self.random_id());
            std::mem::replace(&mut self.trace, trace)
        });
        let id = self.rng.next_u64().to_be_bytes();
        Open {
            service,
            id,
            now_ns: start_ns,
            library,
            kind,
            name,
            parent,
            start_ns,
            fields: Fields::new(),
            failure: None,
            order_id: None,
            around,
        }
    }

    fn random_id(&mut self) -> [u8; 16] {
        let (high, low) = (self.rng.next_u64(), self.rng.next_u64());
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    /// Ends a span where its clock stands; with it its trace, when it is the root. Returns the end.
    pub(super) fn close(&mut self, mut span: Open) -> u64 {
        let end_ns = span.now_ns.max(span.start_ns + 1_000);
        let profile = SERVICES[span.service];
        if profile.language == Language::Java {
            let thread = 20 + self.rng.below(200);
            span.number("thread.id", thread).text("thread.name", &format!("http-nio-8080-exec-{thread}"));
        }
        let counted = Counted {
            service: span.service,
            name: &span.name,
            duration_ns: end_ns - span.start_ns,
            failed: span.has_failed(),
            order_id: span.order_id.as_deref(),
        };
        self.counting.span(&mut self.trace, &counted);
        let replica = u64::from(self.trace.id[7]) % profile.replicas;
        let bytes = self.encode(&span, end_ns);
        self.spans += 1;
        let (number, library) = (self.spans, span.library as usize);
        self.batching.push(Ended { end_unix_nano: end_ns, number, service: span.service, replica, library, bytes });
        if let Some(around) = span.around {
            let ended = std::mem::replace(&mut self.trace, around);
            self.counting.trace(ended);
        }
        end_ns
    }

    fn encode(&mut self, span: &Open, end_ns: u64) -> Vec<u8> {
        let out = &mut self.scratch;
        out.clear();
        out.bytes(1, &self.trace.id).bytes(2, &span.id);
        let mut flags = 0x101;
        if let Parent::Span(id) = span.parent {
            out.bytes(4, &id);
            // Spans that a message or a call from elsewhere began have a remote parent.
            flags |= if matches!(span.kind, Kind::Server | Kind::Consumer) { 0x200 } else { 0 };
        }
        out.bytes(5, span.name.as_bytes()).number(6, span.kind as u64);
        out.fixed64(7, span.start_ns).fixed64(8, end_ns).extend(&span.fields);
        if let Some(message) = &span.failure {
            let mut status = Fields::new();
            status.bytes(2, message.as_bytes()).number(3, 2);
            out.bytes(15, status.as_bytes());
        }
        out.fixed32(16, flags);
        out.as_bytes().to_vec()
    }

    /// Marks a span as failed, with an exception and its stack.
    pub(super) fn fail(&mut self, span: &mut Open, kind: &str, message: &str) {
        let mut stack = format!("{kind}: {message}");
        for depth in 0..8 {
            let package = self.word(&["core", "client", "io", "domain"]);
            let line = 20 + self.rng.below(900);
            write!(stack, "\n\tat com.shop.{package}.Handler.step{depth}(Handler.java:{line})")
                .expect("writing to a string");
        }
        let mut event = Fields::new();
        event.fixed64(1, span.now_ns).bytes(2, b"exception");
        event.text_pair(3, "exception.type", kind).text_pair(3, "exception.message", message);
        event.text_pair(3, "exception.stacktrace", &stack);
        span.fields.bytes(EVENTS, event.as_bytes());
        span.text("error.type", kind);
        span.failure = Some(message.to_owned());
    }

    pub(super) fn word(&mut self, of: &[&'static str]) -> &'static str {
        let word: &&str = self.rng.pick(of);
        word
    }

    /// True in `per_mille` of a thousand cases.
    pub(super) fn happens(&mut self, per_mille: u64) -> bool {
        self.rng.below(1000) < per_mille
    }

    /// A time around `median_us` microseconds with a long tail, in nanoseconds.
    pub(super) fn takes(&mut self, median_us: u64) -> u64 {
        let draw = self.rng.next_u64();
        let (place, within) = ((draw >> 58) as usize, draw >> 48 & 0x3ff);
        let (low, high) = (LOG_NORMAL_PER_MILLE[place], LOG_NORMAL_PER_MILLE[place + 1]);
        median_us * (low * 1024 + (high - low) * within) * 1000 / (1024 * 1000)
    }

    pub(super) fn uuid(&mut self) -> String {
        let hex = format!("{:016x}{:016x}", self.rng.next_u64(), self.rng.next_u64());
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}

/// Quantiles of a log-normal distribution with median 1 and deviation 0.6, a 64th apart: whole numbers, so that every machine
/// draws the same times.
const LOG_NORMAL_PER_MILLE: [u64; 65] = [
    151, 275, 327, 366, 398, 427, 453, 478, 501, 524, 546, 567, 587, 608, 628, 647, 667, 687, 706, 726, 746, 766, 786,
    806, 826, 847, 867, 888, 910, 932, 954, 977, 1000, 1024, 1048, 1073, 1099, 1126, 1153, 1181, 1211, 1241, 1273,
    1306, 1341, 1377, 1415, 1456, 1499, 1545, 1593, 1646, 1703, 1765, 1833, 1909, 1994, 2092, 2205, 2341, 2510, 2733,
    3058, 3641, 6643,
];
