//! What a corpus holds: counts taken while spans are made, to check answers against.

use std::collections::{BTreeMap, BTreeSet};

use super::services::EMAIL;
use super::services::{PAYMENT, SERVICES, SHIPPING, STOREFRONT, Service};
use crate::rng::Rng;

/// Traces whose ids are kept, chosen evenly from all.
const SAMPLES_MAX: usize = 1000;
/// About so many orders are followed through all services.
const ORDERS_FOLLOWED: u64 = 700;
/// Service and duration in milliseconds: traces in which that service has a span at least that long are counted.
const DURATIONS: [(Service, u64); 4] = [(STOREFRONT, 60), (PAYMENT, 3000), (SHIPPING, 500), (EMAIL, 300)];

/// True counts of a corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Traces.
    pub traces: u64,
    /// Spans.
    pub spans: u64,
    /// Requests.
    pub requests: u64,
    /// Bytes of all requests.
    pub request_bytes: u64,
    /// By name.
    pub services: BTreeMap<&'static str, ServiceCounts>,
    /// Some traces.
    pub samples: Vec<SampleTrace>,
    /// Some orders, each in every service that handled it.
    pub orders: Vec<OrderProbe>,
    /// Some services and durations.
    pub durations: Vec<DurationProbe>,
}

/// What a service has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceCounts {
    /// Spans.
    pub spans: u64,
    /// Traces with a span of it.
    pub traces: u64,
    /// Traces with a span of it whose status is an error.
    pub error_traces: u64,
    /// Traces with a span of it of that name.
    pub operations: BTreeMap<String, u64>,
}

/// A trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleTrace {
    /// Its id.
    pub id: [u8; 16],
    /// How many spans it has.
    pub spans: u64,
}

/// An order in a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderProbe {
    /// The service's name.
    pub service: &'static str,
    /// The value of `order.id`.
    pub order_id: String,
    /// All traces in which a span of the service carries it.
    pub traces: BTreeSet<[u8; 16]>,
}

/// A service and a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationProbe {
    /// The service's name.
    pub service: &'static str,
    /// The duration.
    pub min_ns: u64,
    /// Traces in which the service has a span at least that long.
    pub traces: u64,
}

/// A span as the counts see it.
pub(super) struct Counted<'a> {
    pub(super) service: Service,
    pub(super) name: &'a str,
    pub(super) duration_ns: u64,
    pub(super) failed: bool,
    pub(super) order_id: Option<&'a str>,
}

/// Counts of one trace that is being made.
#[derive(Debug, Default)]
pub(super) struct TraceCounts {
    pub(super) id: [u8; 16],
    spans: u64,
    services: u32,
    failed_services: u32,
    slow: u32,
    operations: Vec<u32>,
}

impl TraceCounts {
    pub(super) fn new(id: [u8; 16]) -> Self {
        TraceCounts { id, ..TraceCounts::default() }
    }
}

/// Makes a [`Manifest`].
#[derive(Debug)]
pub(super) struct Counting {
    manifest: Manifest,
    spans: [u64; SERVICES.len()],
    operations: BTreeMap<(Service, String), u32>,
    operation_traces: Vec<u64>,
    slow_traces: [u64; DURATIONS.len()],
    followed: BTreeMap<(Service, String), BTreeSet<[u8; 16]>>,
    orders: u64,
    follow_every: u64,
    rng: Rng,
}

impl Counting {
    pub(super) fn new(seed: u64, traces: u64) -> Self {
        Counting {
            manifest: Manifest::default(),
            spans: [0; SERVICES.len()],
            operations: BTreeMap::new(),
            operation_traces: Vec::new(),
            slow_traces: [0; DURATIONS.len()],
            followed: BTreeMap::new(),
            orders: 0,
            // About one trace in seven begins with an order.
            follow_every: (traces / ORDERS_FOLLOWED / 8).max(1),
            rng: Rng::new(seed ^ 0x6d61_6e69_6665_7374),
        }
    }

    pub(super) fn traces(&self) -> u64 {
        self.manifest.traces
    }

    /// Whether the next order is one of those that are followed.
    pub(super) fn next_order_is_followed(&mut self) -> bool {
        self.orders += 1;
        (self.orders - 1).is_multiple_of(self.follow_every)
    }

    pub(super) fn span(&mut self, trace: &mut TraceCounts, span: &Counted<'_>) {
        let operation = self.operation(span.service, span.name);
        self.spans[span.service] += 1;
        trace.spans += 1;
        trace.services |= 1 << span.service;
        trace.failed_services |= u32::from(span.failed) << span.service;
        for (place, &(service, min_ms)) in DURATIONS.iter().enumerate() {
            let slow = service == span.service && span.duration_ns >= min_ms * 1_000_000;
            trace.slow |= u32::from(slow) << place;
        }
        trace.operations.push(operation);
        if let Some(order_id) = span.order_id {
            self.followed.entry((span.service, order_id.to_owned())).or_default().insert(trace.id);
        }
    }

    fn operation(&mut self, service: Service, name: &str) -> u32 {
        let key = (service, name.to_owned());
        let next = self.operations.len() as u32;
        let number = *self.operations.entry(key).or_insert(next);
        self.operation_traces.resize(self.operations.len(), 0);
        number
    }

    pub(super) fn trace(&mut self, mut trace: TraceCounts) {
        self.manifest.traces += 1;
        self.manifest.spans += trace.spans;
        for (number, profile) in SERVICES.iter().enumerate().filter(|(number, _)| trace.services >> number & 1 == 1) {
            let counts = self.manifest.services.entry(profile.name).or_default();
            counts.traces += 1;
            counts.error_traces += u64::from(trace.failed_services >> number & 1);
        }
        for (place, traces) in self.slow_traces.iter_mut().enumerate() {
            *traces += u64::from(trace.slow >> place & 1);
        }
        trace.operations.sort_unstable();
        trace.operations.dedup();
        for operation in trace.operations {
            self.operation_traces[operation as usize] += 1;
        }
        self.sample(SampleTrace { id: trace.id, spans: trace.spans });
    }

    /// Keeps each trace with the same chance, however many there are.
    fn sample(&mut self, trace: SampleTrace) {
        let samples = &mut self.manifest.samples;
        if samples.len() < SAMPLES_MAX {
            samples.push(trace);
        } else if let Some(kept) = samples.get_mut(self.rng.below(self.manifest.traces) as usize) {
            *kept = trace;
        }
    }

    pub(super) fn request(&mut self, bytes: usize) {
        self.manifest.requests += 1;
        self.manifest.request_bytes += bytes as u64;
    }

    pub(super) fn finish(self) -> Manifest {
        let mut manifest = self.manifest;
        for ((service, name), number) in self.operations {
            let counts = manifest.services.entry(SERVICES[service].name).or_default();
            counts.operations.insert(name, self.operation_traces[number as usize]);
        }
        for (profile, spans) in SERVICES.iter().zip(self.spans).filter(|(_, spans)| *spans > 0) {
            manifest.services.entry(profile.name).or_default().spans = spans;
        }
        for ((service, order_id), traces) in self.followed {
            manifest.orders.push(OrderProbe { service: SERVICES[service].name, order_id, traces });
        }
        for ((service, min_ms), traces) in DURATIONS.into_iter().zip(self.slow_traces) {
            let service = SERVICES[service].name;
            manifest.durations.push(DurationProbe { service, min_ns: min_ms * 1_000_000, traces });
        }
        manifest
    }
}
