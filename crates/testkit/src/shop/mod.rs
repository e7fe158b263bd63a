//! The corpus that speed and size are measured with: an asynchronous shop of twenty services, with its true counts.
//!
//! HTTP calls, Kafka and RabbitMQ messages (three consumers in ten begin a trace of their own with a link to the sender), Redis,
//! PostgreSQL and DynamoDB queries, third parties, retries, exceptions and dead letters; about 13 spans a trace and 525 bytes a
//! span; `order.id`, `user.id` and `messaging.message.id` are nearly unique. [`Shop`] gives the requests one by one, as batch
//! processors send them, and holds only what has not ended yet, so a corpus can be larger than memory. The same options give
//! the same bytes on every machine.
//!
//! | module | what |
//! |---|---|
//! | [`services`] | the services and their resources |
//! | [`flows`] | what happens in the shop |
//! | [`parts`] | calls, queries and messages, of which flows are made |
//! | [`spans`] | opening and closing spans |
//! | [`requests`] | spans become requests |
//! | [`renew`] | the same again as other traces, at another time |
//! | [`manifest`] | true counts |
//!
//! Not here: sending, decoding, storing. Nothing of the product is used to make the bytes.

mod flows;
mod manifest;
mod parts;
mod renew;
mod requests;
mod services;
mod spans;

pub use manifest::{DurationProbe, Manifest, OrderProbe, SampleTrace, ServiceCounts};
pub use renew::{move_in_time, renew_traces, renewed_id};
pub use requests::ShopRequest;
use spans::Maker;

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShopOptions {
    /// The same seed gives the same corpus.
    pub seed: u64,
    /// At least so many traces; the last flow is made whole.
    pub traces: u64,
    /// The first flow starts here.
    pub start_unix_nano: u64,
    /// Flows start within so much time; consumers may end up to [`TAIL_NS`] later.
    pub range_ns: u64,
    /// Spans of a request, but for an instance's last.
    pub batch_spans: usize,
}

/// How long after the last flow's start all work has ended.
pub const TAIL_NS: u64 = 1_200_000_000_000;

impl ShopOptions {
    /// About an hour, which began at `start_unix_nano`, in requests of 500 spans.
    pub fn new(seed: u64, traces: u64, start_unix_nano: u64) -> Self {
        ShopOptions { seed, traces, start_unix_nano, range_ns: 3_300_000_000_000, batch_spans: 500 }
    }
}

/// The requests of a corpus, in the order they are sent.
#[derive(Debug)]
pub struct Shop {
    options: ShopOptions,
    maker: Maker,
    is_flushed: bool,
}

impl Shop {
    /// Nothing is made yet.
    pub fn new(options: ShopOptions) -> Self {
        let maker = Maker::new(options.seed, options.traces, options.batch_spans);
        Shop { options, maker, is_flushed: false }
    }

    /// The counts of everything made so far; of the whole corpus once there are no more requests.
    pub fn into_manifest(self) -> Manifest {
        self.maker.counting.finish()
    }

    /// The whole corpus, for one that fits into memory.
    pub fn collect(options: ShopOptions) -> (Vec<ShopRequest>, Manifest) {
        let mut shop = Shop::new(options);
        let requests = shop.by_ref().collect();
        (requests, shop.into_manifest())
    }

    /// Flows start evenly over the range, so no flow to come starts, and no span ends, before this.
    fn next_start_ns(&self) -> u64 {
        let ShopOptions { traces, start_unix_nano, range_ns, .. } = self.options;
        let made = self.maker.counting.traces();
        start_unix_nano + (u128::from(range_ns) * u128::from(made) / u128::from(traces.max(1))) as u64
    }
}

impl Iterator for Shop {
    type Item = ShopRequest;

    fn next(&mut self) -> Option<ShopRequest> {
        while self.maker.batching.ready.is_empty() && !self.is_flushed {
            if self.maker.counting.traces() >= self.options.traces {
                self.maker.batching.flush();
                self.is_flushed = true;
            } else {
                let start_ns = self.next_start_ns();
                self.maker.batching.advance(start_ns);
                let spacing_ns = self.options.range_ns / self.options.traces;
                let jitter_ns = self.maker.rng.below(spacing_ns.max(1));
                self.maker.flow(start_ns + jitter_ns);
            }
        }
        let request = self.maker.batching.ready.pop_front()?;
        self.maker.counting.request(request.body.len());
        Some(request)
    }
}
