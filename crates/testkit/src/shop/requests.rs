//! Finished spans become requests, as each instance's batch processor makes them: so many spans in the order they ended.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::services::{LIBRARIES, SERVICES, Service, resource};
use crate::protobuf::Fields;
use crate::rng::Rng;

/// One `ExportTraceServiceRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopRequest {
    /// Its bytes.
    pub body: Vec<u8>,
    /// How many spans it holds.
    pub spans: u32,
}

/// An encoded span that waits until everything that ended before it is known.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ended {
    pub(super) end_unix_nano: u64,
    /// Tells apart spans that ended in the same nanosecond, so that the order is always the same.
    pub(super) number: u64,
    pub(super) service: Service,
    pub(super) replica: u64,
    pub(super) library: usize,
    pub(super) bytes: Vec<u8>,
}

/// Spans in, requests out.
#[derive(Debug)]
pub(super) struct Batching {
    waiting: BinaryHeap<Reverse<Ended>>,
    instances: BTreeMap<(Service, u64), Instance>,
    batch_spans: usize,
    rng: Rng,
    pub(super) ready: VecDeque<ShopRequest>,
}

#[derive(Debug)]
struct Instance {
    resource: Fields,
    batch: Vec<Ended>,
}

impl Batching {
    pub(super) fn new(seed: u64, batch_spans: usize) -> Self {
        Batching {
            waiting: BinaryHeap::new(),
            instances: BTreeMap::new(),
            batch_spans,
            rng: Rng::new(seed ^ 0x7265_736f_7572_6365),
            ready: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, span: Ended) {
        self.waiting.push(Reverse(span));
    }

    /// Nothing that ended up to `unix_nano` will come any more.
    pub(super) fn advance(&mut self, unix_nano: u64) {
        while self.waiting.peek().is_some_and(|Reverse(span)| span.end_unix_nano <= unix_nano) {
            let Some(Reverse(span)) = self.waiting.pop() else { return };
            let (service, replica) = (span.service, span.replica);
            let rng = &mut self.rng;
            let instance = self
                .instances
                .entry((service, replica))
                .or_insert_with(|| Instance { resource: resource(service, replica, rng), batch: Vec::new() });
            instance.batch.push(span);
            if instance.batch.len() == self.batch_spans {
                self.ready.push_back(instance.request(service));
            }
        }
    }

    /// Sends what every instance has left, the one that ended first first.
    pub(super) fn flush(&mut self) {
        self.advance(u64::MAX);
        let mut left: Vec<_> = self.instances.iter_mut().filter(|(_, instance)| !instance.batch.is_empty()).collect();
        left.sort_by_key(|(_, instance)| instance.batch.last().map(|span| span.end_unix_nano));
        for ((service, _), instance) in left {
            self.ready.push_back(instance.request(*service));
        }
    }
}

impl Instance {
    fn request(&mut self, service: Service) -> ShopRequest {
        let spans = self.batch.len() as u32;
        let mut resource_spans = Fields::new();
        resource_spans.bytes(1, self.resource.as_bytes());
        for (number, library) in LIBRARIES.iter().enumerate() {
            let mut scope_spans = Fields::new();
            let mut scope = Fields::new();
            scope.bytes(1, library.scope_name(SERVICES[service].language).as_bytes()).bytes(2, b"2.31.0");
            scope_spans.bytes(1, scope.as_bytes());
            let mut any = false;
            for span in self.batch.iter().filter(|span| span.library == number) {
                scope_spans.bytes(2, &span.bytes);
                any = true;
            }
            if any {
                resource_spans.bytes(2, scope_spans.as_bytes());
            }
        }
        self.batch.clear();
        let mut request = Fields::new();
        request.bytes(1, resource_spans.as_bytes());
        ShopRequest { body: request.into_bytes(), spans }
    }
}
