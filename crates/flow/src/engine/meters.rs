//! `Meters`: what is counted for monitoring systems, from the beginning on and never taken back: spans by service and name, calls and
//! messages between services, how long messages waited, and what became late, lost and dead.
//!
//! Labels come from spans, so each table is bounded; what no longer fits is counted under `(other)`. Everything is written down with
//! the rest, so no restart counts anything twice or not at all. Deliberately absent: time, which whoever collects them adds, and
//! figures that are corrected later, which `rollup` has.

use model::{SpanKind, SpanRef, StatusCode, TextId};

use super::checkpoint::bytes::{Read, Reader, Writer};
use super::checkpoint::{read_tuples, write_tuples};
use super::names::{NONE, Names, OTHER, Tuples, mix};
use super::rollup::Counter;

/// Spans told apart by service, name, kind and status.
pub const SPAN_SERIES_MAX: usize = 4_096;
/// Of these, kept for services whose names no longer fit: each then has one name, `(other)`.
const OTHER_NAMES_MAX: usize = 1_024;
/// Pairs of services, or of a service and what it called, told apart by how they are joined.
pub const PAIRS_MAX: usize = 2_048;
/// Groups of destinations whose waits are told apart.
pub const WAITS_MAX: usize = 2_048;

/// Upper bounds of buckets for spans and calls, in nanoseconds: 2 ms, doubled up to 16.384 s. More has no bound.
pub const SPAN_BOUNDS_NS: [u64; SPAN_BUCKETS - 1] = doubled(2_000_000);
const SPAN_BUCKETS: usize = 15;
/// Upper bounds of buckets for waits, in nanoseconds: 1 ms to a day. More has no bound.
pub const WAIT_BOUNDS_NS: [u64; WAIT_BUCKETS - 1] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    300_000_000_000,
    900_000_000_000,
    3_600_000_000_000,
    14_400_000_000_000,
    86_400_000_000_000,
];
const WAIT_BUCKETS: usize = 21;
/// Series of a batch that are remembered.
const KNOWN: usize = 256;

const fn doubled<const N: usize>(first: u64) -> [u64; N] {
    let mut bounds = [first; N];
    let mut at = 1;
    while at < N {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
}

/// Durations by bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram<const N: usize> {
    /// How many are in each bucket alone; the last has no bound.
    pub counts: [u64; N],
    /// The sum of all, nanoseconds.
    pub sum_ns: u64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram { counts: [0; N], sum_ns: 0 }
    }
}

impl<const N: usize> Histogram<N> {
    fn add(&mut self, bucket: usize, duration_ns: u64) {
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(duration_ns);
    }

    /// Adds everything of another.
    pub fn merge(&mut self, other: &Histogram<N>) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    fn write(&self, out: &mut Writer) {
        self.counts.iter().for_each(|&count| out.number(count));
        out.number(self.sum_ns);
    }

    fn read(from: &mut Reader<'_>) -> Read<Histogram<N>> {
        let mut histogram = Histogram::default();
        for count in &mut histogram.counts {
            *count = from.number()?;
        }
        histogram.sum_ns = from.number()?;
        Ok(histogram)
    }
}

/// Durations of spans.
pub type SpanHistogram = Histogram<SPAN_BUCKETS>;
/// How long messages waited.
pub type WaitHistogram = Histogram<WAIT_BUCKETS>;

/// The bucket of a span's duration: the bounds are doubled, so it follows from the highest bit.
fn span_bucket(duration_ns: u64) -> usize {
    let times = duration_ns.saturating_sub(1) / SPAN_BOUNDS_NS[0];
    (u64::BITS - times.leading_zeros()).min(SPAN_BUCKETS as u32 - 1) as usize
}

fn wait_bucket(wait_ns: u64) -> usize {
    WAIT_BOUNDS_NS.partition_point(|&bound| bound < wait_ns)
}

/// How a pair is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Connection {
    /// A call from service to service.
    Call = 2,
    /// A message from service to service, by parent, link or whatever else told.
    Messaging = 3,
    /// A call to a database or cache.
    Database = 4,
    /// A call to something else that sends no spans.
    Outside = 5,
}

impl Connection {
    pub(super) const ALL: [Connection; 4] =
        [Connection::Call, Connection::Messaging, Connection::Database, Connection::Outside];
}

/// What went on between a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PairMeter {
    /// Calls or messages.
    pub requests: u64,
    /// Those that failed at either end.
    pub failed: u64,
    /// How long it took who called or sent.
    pub client: SpanHistogram,
    /// How long it took who was called or received; nothing of what sends no spans.
    pub server: SpanHistogram,
    /// How long messages waited in between.
    pub waits: WaitHistogram,
}

/// What became of messages of a destination and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitMeter {
    /// How long they waited, as far as was known when they were received first.
    pub waits: WaitHistogram,
    /// Messages that became late; of all groups together.
    pub late: u64,
    /// Messages that became lost; of all groups together.
    pub lost: u64,
    /// Messages that were given up on; of all groups together.
    pub dead_lettered: u64,
}

impl WaitMeter {
    /// Adds everything of another.
    pub(super) fn merge(&mut self, other: &WaitMeter) {
        self.waits.merge(&other.waits);
        self.late = self.late.saturating_add(other.late);
        self.lost = self.lost.saturating_add(other.lost);
        self.dead_lettered = self.dead_lettered.saturating_add(other.dead_lettered);
    }
}

/// Something that went on between a pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange {
    pub(super) is_error: bool,
    pub(super) client_ns: u64,
    pub(super) server_ns: Option<u64>,
    pub(super) wait_ns: Option<u64>,
}

/// Everything that is counted for monitoring systems.
#[derive(Debug, Clone)]
pub(super) struct Meters {
    /// Service, name, and kind with status.
    spans: Tuples<3>,
    span_cells: Vec<SpanHistogram>,
    /// Connection, who called, who was called.
    pairs: Tuples<3>,
    pair_cells: Vec<PairMeter>,
    /// Destination and group.
    waits: Tuples<2>,
    wait_cells: Vec<WaitMeter>,
    /// Of the batch at hand: resource, name, kind and status, with their series.
    known: Box<[(u64, u32)]>,
}

const UNKNOWN: (u64, u32) = (u64::MAX, 0);

impl Default for Meters {
    fn default() -> Meters {
        Meters {
            spans: Tuples::new(SPAN_SERIES_MAX),
            span_cells: Vec::new(),
            pairs: Tuples::new(PAIRS_MAX),
            pair_cells: Vec::new(),
            waits: Tuples::new(WAITS_MAX),
            wait_cells: Vec::new(),
            known: vec![UNKNOWN; KNOWN].into(),
        }
    }
}

fn cell<T: Clone + Default>(cells: &mut Vec<T>, number: u32) -> &mut T {
    let place = number as usize;
    if cells.len() <= place {
        cells.resize(place + 1, T::default());
    }
    &mut cells[place]
}

/// Kind and status as one number; those that nobody has defined yet are none.
fn kind_and_status(kind: SpanKind, status: StatusCode) -> u32 {
    let known = |number: i32, max: i32| if (0..=max).contains(&number) { number as u32 } else { 0 };
    known(kind.0, SpanKind::CONSUMER.0) << 2 | known(status.0, StatusCode::ERROR.0)
}

impl Meters {
    /// Another batch begins, with its own numbers of texts.
    pub(super) fn begin_batch(&mut self) {
        self.known.fill(UNKNOWN);
    }

    /// Counts a span.
    pub(super) fn span(&mut self, span: SpanRef<'_>, service: u32, names: &mut Names) {
        let kind_and_status = kind_and_status(span.kind(), span.status());
        let name: TextId = span.row().name;
        let key = u64::from(name.0) << 32 | u64::from(service) << 5 | u64::from(kind_and_status);
        let place = (mix(key) >> 32) as usize % KNOWN;
        let series = if self.known[place].0 == key {
            self.known[place].1
        } else {
            let series = self.span_series(service, span.name(), kind_and_status, names);
            self.known[place] = (key, series);
            series
        };
        let duration_ns = span.duration_ns();
        cell(&mut self.span_cells, series).add(span_bucket(duration_ns), duration_ns);
    }

    fn span_series(&mut self, service: u32, name: &str, kind_and_status: u32, names: &mut Names) -> u32 {
        let has_room = self.spans.all().len() < SPAN_SERIES_MAX - OTHER_NAMES_MAX;
        let name = if has_room { names.intern(name) } else { names.find(name).unwrap_or(OTHER) };
        let series = [service, name, kind_and_status];
        match self.spans.find(series) {
            Some(known) => known,
            None if has_room => self.spans.intern(series),
            None => self.spans.intern([service, OTHER, kind_and_status]),
        }
    }

    /// Counts a call or a message between two.
    pub(super) fn pair(&mut self, connection: Connection, [from, to]: [u32; 2], exchange: Exchange) {
        let number = self.pairs.intern([connection as u32, from, to]);
        let cell = cell(&mut self.pair_cells, number);
        cell.requests = cell.requests.saturating_add(1);
        cell.failed = cell.failed.saturating_add(u64::from(exchange.is_error));
        cell.client.add(span_bucket(exchange.client_ns), exchange.client_ns);
        if let Some(server_ns) = exchange.server_ns {
            cell.server.add(span_bucket(server_ns), server_ns);
        }
        if let Some(wait_ns) = exchange.wait_ns {
            cell.waits.add(wait_bucket(wait_ns), wait_ns);
        }
    }

    /// Counts how long a message waited for a group.
    pub(super) fn wait(&mut self, destination: u32, group: u32, wait_ns: u64) {
        let number = self.waits.intern([destination, group]);
        cell(&mut self.wait_cells, number).waits.add(wait_bucket(wait_ns), wait_ns);
    }

    /// Counts messages of a destination that became late or lost, or were given up on.
    pub(super) fn fate(&mut self, destination: u32, fate: Counter, messages: u32) {
        let number = self.waits.intern([destination, NONE]);
        let cell = cell(&mut self.wait_cells, number);
        let count = match fate {
            Counter::Late => &mut cell.late,
            Counter::Lost => &mut cell.lost,
            _ => &mut cell.dead_lettered,
        };
        *count = count.saturating_add(u64::from(messages));
    }

    /// Every series of spans: service, name, kind and status.
    pub(super) fn spans(&self) -> impl Iterator<Item = (u32, u32, SpanKind, StatusCode, &SpanHistogram)> + '_ {
        let all = self.spans.all().iter().zip(&self.span_cells).filter(|(_, cell)| cell.count() > 0);
        all.map(|(&[service, name, rest], cell)| {
            (service, name, SpanKind((rest >> 2) as i32), StatusCode((rest & 3) as i32), cell)
        })
    }

    /// Every pair.
    pub(super) fn pairs(&self) -> impl Iterator<Item = ([u32; 3], &PairMeter)> + '_ {
        self.pairs.all().iter().copied().zip(&self.pair_cells).filter(|(_, cell)| cell.requests > 0)
    }

    /// Every destination and group.
    pub(super) fn waits(&self) -> impl Iterator<Item = ([u32; 2], &WaitMeter)> + '_ {
        self.waits.all().iter().copied().zip(&self.wait_cells)
    }

    pub(super) fn write(&self, out: &mut Writer) {
        write_tuples(out, &self.spans);
        out.list(self.span_cells.iter(), |out, cell| cell.write(out));
        write_tuples(out, &self.pairs);
        out.list(self.pair_cells.iter(), |out, cell| {
            out.number(cell.requests);
            out.number(cell.failed);
            cell.client.write(out);
            cell.server.write(out);
            cell.waits.write(out);
        });
        write_tuples(out, &self.waits);
        out.list(self.wait_cells.iter(), |out, cell| {
            cell.waits.write(out);
            for count in [cell.late, cell.lost, cell.dead_lettered] {
                out.number(count);
            }
        });
    }

    pub(super) fn read(&mut self, from: &mut Reader<'_>) -> Read<()> {
        read_tuples(from, &mut self.spans)?;
        read_cells(from, &mut self.span_cells, self.spans.all().len(), SpanHistogram::read)?;
        read_tuples(from, &mut self.pairs)?;
        read_cells(from, &mut self.pair_cells, self.pairs.all().len(), |from| {
            let (requests, failed) = (from.number()?, from.number()?);
            let (client, server) = (SpanHistogram::read(from)?, SpanHistogram::read(from)?);
            Ok(PairMeter { requests, failed, client, server, waits: WaitHistogram::read(from)? })
        })?;
        read_tuples(from, &mut self.waits)?;
        read_cells(from, &mut self.wait_cells, self.waits.all().len(), |from| {
            let waits = WaitHistogram::read(from)?;
            Ok(WaitMeter { waits, late: from.number()?, lost: from.number()?, dead_lettered: from.number()? })
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.spans.heap_bytes()
            + self.pairs.heap_bytes()
            + self.waits.heap_bytes()
            + self.span_cells.capacity() * size_of::<SpanHistogram>()
            + self.pair_cells.capacity() * size_of::<PairMeter>()
            + self.wait_cells.capacity() * size_of::<WaitMeter>()
            + KNOWN * size_of::<(u64, u32)>()
    }
}

/// Cells, at most one a series.
fn read_cells<'a, T>(
    from: &mut Reader<'a>,
    cells: &mut Vec<T>,
    max: usize,
    read: impl Fn(&mut Reader<'a>) -> Read<T>,
) -> Read<()> {
    from.list(|from| {
        let cell = read(from)?;
        if cells.len() < max {
            cells.push(cell);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_their_bucket() {
        // Guarantees that a duration lies in the first bucket whose bound it does not exceed, at the bounds and beyond the last.
        for (place, &bound) in SPAN_BOUNDS_NS.iter().enumerate() {
            assert_eq!((span_bucket(bound), span_bucket(bound + 1)), (place, place + 1));
        }
        for (place, &bound) in WAIT_BOUNDS_NS.iter().enumerate() {
            assert_eq!((wait_bucket(bound), wait_bucket(bound + 1)), (place, place + 1));
        }
        assert_eq!((span_bucket(0), span_bucket(u64::MAX)), (0, SPAN_BUCKETS - 1));
        assert_eq!((wait_bucket(0), wait_bucket(u64::MAX)), (0, WAIT_BUCKETS - 1));
    }
}
