//! What readers see: everything live at one instant, as parts that a search goes through and as look-ups by trace.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use model::text::hash_text;
use model::{BatchMerger, Level, Source, SpanBatch, SpanId, TraceId};

use crate::catalog::{Catalog, SealedCatalog};
use crate::damage::Damage;
use crate::error::ReadError;
use crate::memtable::{HeldBatch, Memtable};
use crate::segment::Segment;
use crate::segment::index::Place;
use crate::segment::logs::LogSegment;
use crate::selection::Selection;
use crate::tables::Live;

/// [`Snapshot::traces`] reads no further trace once those it has take so many rows.
const TRACES_ROWS_MAX: u64 = 4 << 10;

/// Which attributes of the spans themselves are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Wanted {
    /// None.
    #[default]
    None,
    /// Those with these keys; others may be there as well.
    Keys(Vec<String>),
    /// All.
    All,
}

impl Wanted {
    pub(crate) fn wants(&self, key: &str) -> bool {
        match self {
            Wanted::None => false,
            Wanted::Keys(keys) => keys.iter().any(|wanted| wanted == key),
            Wanted::All => true,
        }
    }
}

/// Which of the fields that every span has are read. Trace id, start, scope and resource always are; the others are zero or
/// empty if they are not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each column is read or not, in any combination")]
pub struct Fields {
    /// Span id and parent span id.
    pub ids: bool,
    /// The end, which gives the duration.
    pub end: bool,
    /// The name.
    pub name: bool,
    /// The kind.
    pub kind: bool,
    /// The status code.
    pub status: bool,
}

impl Fields {
    /// All of them.
    pub const ALL: Fields = Fields { ids: true, end: true, name: true, kind: true, status: true };
    /// None of them.
    pub const NONE: Fields = Fields { ids: false, end: false, name: false, kind: false, status: false };
}

impl Default for Fields {
    fn default() -> Self {
        Fields::ALL
    }
}

/// What is read of each span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Projection {
    /// Fields that every span has.
    pub fields: Fields,
    /// Status message, trace state, flags and dropped counts.
    pub texts: bool,
    /// The span's own attributes.
    pub attributes: Wanted,
    /// Events with their attributes.
    pub events: bool,
    /// Links with their attributes.
    pub links: bool,
}

impl Projection {
    /// Everything.
    pub fn all() -> Self {
        Projection { fields: Fields::ALL, texts: true, attributes: Wanted::All, events: true, links: true }
    }
}

/// A link that points at a span of the trace that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncomingLink {
    /// The trace linked to: the cause.
    pub from_trace_id: TraceId,
    /// The span linked to.
    pub from_span_id: SpanId,
    /// The trace of the span that carries the link.
    pub to_trace_id: TraceId,
    /// The span that carries the link.
    pub to_span_id: SpanId,
}

/// Everything live at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Oldest first; the last one is still being filled.
    pub(crate) memtables: Vec<Arc<Memtable>>,
    /// Oldest records first.
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    pub(crate) log_segments: Arc<Vec<Arc<LogSegment>>>,
    pub(crate) damage: Damage,
    pub(crate) sealed_catalog: Arc<SealedCatalog>,
}

impl Snapshot {
    pub(crate) fn new(live: Live) -> Self {
        let mut memtables = live.frozen;
        memtables.push(live.active);
        let Live { segments, log_segments, sealed_catalog, .. } = live;
        Snapshot { memtables, segments, log_segments, damage: Damage::default(), sealed_catalog }
    }

    /// What is damaged of all that was read from this snapshot and its clones. Everything in it is missing from their answers.
    pub fn damage(&self) -> Vec<ReadError> {
        self.damage.errors()
    }

    /// All records of a trace, oldest record first: of a span that arrived more than once the last one counts. What is damaged is
    /// left out, see [`Snapshot::damage`].
    pub fn trace(&self, id: TraceId) -> Result<Vec<SpanBatch>, ReadError> {
        let mut batches = Vec::new();
        for segment in self.segments.iter() {
            batches.extend(self.damage.pass(segment.trace(id))?);
        }
        for memtable in &self.memtables {
            let rows = memtable.trace(id);
            if !rows.is_empty() {
                batches.push(pick_rows(&rows));
            }
        }
        Ok(batches)
    }

    /// As [`Snapshot::trace`], for the first of several traces, at least one: as many as are read at once within a bound. Traces that
    /// lie side by side share the pages they are in.
    pub fn traces(&self, ids: &[TraceId]) -> Result<Vec<Vec<SpanBatch>>, ReadError> {
        let mut rows = vec![0; ids.len()];
        let mut places: Vec<Vec<(usize, Place)>> = Vec::with_capacity(self.segments.len());
        for segment in self.segments.iter() {
            let mut of_segment = Vec::new();
            for (number, (id, rows)) in ids.iter().zip(&mut rows).enumerate() {
                let found = self.damage.pass(segment.index.trace_rows(hash_text(&id.0)))?;
                *rows += found.iter().map(|place| u64::from(place.rows)).sum::<u64>();
                of_segment.extend(found.into_iter().map(|place| (number, place)));
            }
            places.push(of_segment);
        }
        let mut total = 0;
        let fits = |rows: &&u64| {
            total += **rows;
            total <= TRACES_ROWS_MAX
        };
        let count = rows.iter().take_while(fits).count().max(1).min(ids.len());
        let mut traces = vec![Vec::new(); count];
        for (segment, places) in self.segments.iter().zip(places) {
            let places = places.into_iter().filter(|(number, _)| *number < count).map(|(_, place)| place).collect();
            for (trace, found) in traces.iter_mut().zip(self.damage.pass(segment.traces(&ids[..count], places))?) {
                trace.extend(found);
            }
        }
        for memtable in &self.memtables {
            for (trace, &id) in traces.iter_mut().zip(ids) {
                let rows = memtable.trace(id);
                if !rows.is_empty() {
                    trace.push(pick_rows(&rows));
                }
            }
        }
        Ok(traces)
    }

    /// Links of spans of any trace that point at spans of this trace; each once.
    pub fn incoming_links(&self, id: TraceId) -> Result<Vec<IncomingLink>, ReadError> {
        let mut links = Vec::new();
        for segment in self.segments.iter() {
            links.extend(self.damage.pass(segment.incoming_links(id))?);
        }
        for memtable in &self.memtables {
            for (batch, row) in memtable.linking_to(id) {
                let span = batch.span(row as usize);
                let of_trace = span.links().filter(|link| link.trace_id() == id);
                links.extend(of_trace.map(|link| IncomingLink {
                    from_trace_id: id,
                    from_span_id: link.span_id(),
                    to_trace_id: span.trace_id(),
                    to_span_id: span.span_id(),
                }));
            }
        }
        links.sort_unstable();
        links.dedup();
        Ok(links)
    }

    /// The units a search goes through, the one with the newest start first.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = self.parts_of(&(0..=u64::MAX), None);
        parts.sort_by_key(|part| std::cmp::Reverse(part.start_bounds().1));
        parts
    }

    /// Those of [`Snapshot::parts`], in any order, that can have spans of a service, if one is given, that start within a range. Of a
    /// segment that has none its blocks are not looked at.
    pub fn parts_of(&self, starts: &RangeInclusive<u64>, service: Option<&str>) -> Vec<Part> {
        let overlaps = |(first, last): (u64, u64)| first <= *starts.end() && last >= *starts.start();
        let mut parts = Vec::new();
        for segment in self.segments.iter() {
            let meta = &segment.meta;
            if !overlaps((meta.start_min_unix_nano, meta.start_max_unix_nano)) {
                continue;
            }
            for number in 0..segment.index.blocks.len() {
                let bounds = segment.index.bounds(number, service);
                if bounds.is_some_and(|bounds| overlaps(bounds.starts)) {
                    parts.push(Part(Kind::Block { segment: Arc::clone(segment), number, damage: self.damage.clone() }));
                }
            }
        }
        for held in self.memtables.iter().flat_map(|memtable| memtable.batches()) {
            let bounds = service.map_or(Some(held.bounds), |service| held.service_bounds(service));
            if bounds.is_some_and(|bounds| overlaps(bounds.starts)) {
                parts.push(Part(Kind::Memory(held)));
            }
        }
        parts
    }

    /// Services, operations and attribute keys, with how many stored spans have each.
    pub fn catalog(&self) -> Catalog {
        let segments = self.segments.iter().map(|segment| (segment.meta.id, segment));
        let mut catalog = self.sealed_catalog.sum(segments, |segment| segment.index.catalog());
        for memtable in &self.memtables {
            for held in memtable.batches() {
                catalog.add(held.catalog());
            }
        }
        catalog
    }
}

/// The rows of a trace, oldest first, as a trace: each span once, in its last record, ordered by start.
fn pick_rows(rows: &[(Arc<SpanBatch>, u32)]) -> SpanBatch {
    let span = |place: usize| &rows[place].0.rows[rows[place].1 as usize];
    let mut places: Vec<usize> = (0..rows.len()).collect();
    places.sort_unstable_by_key(|&place| (span(place).span_id, span(place).kind, place));
    let is_same = |a: usize, b: usize| (span(a).span_id, span(a).kind) == (span(b).span_id, span(b).kind);
    let last = |group: &[usize]| group[group.len() - 1];
    let mut places: Vec<usize> = places.chunk_by(|&a, &b| is_same(a, b)).map(last).collect();
    places.sort_unstable_by_key(|&place| (span(place).start_unix_nano, span(place).span_id, span(place).kind));
    let mut merger = BatchMerger::default();
    let mut sources: HashMap<*const SpanBatch, Source<'_>> = HashMap::new();
    for place in places {
        let (batch, row) = &rows[place];
        let source = sources.entry(Arc::as_ptr(batch)).or_insert_with(|| Source::new(batch));
        merger.push(source, *row as usize);
    }
    merger.finish()
}

/// Bounds of the spans that one service has in a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceBounds {
    /// How many have an error status.
    pub errors: u32,
    /// The earliest and latest start, Unix nanoseconds.
    pub starts: (u64, u64),
    /// The shortest and longest duration, nanoseconds.
    pub durations: (u64, u64),
}

impl ServiceBounds {
    /// The bounds of no span.
    pub(crate) const EMPTY: ServiceBounds =
        ServiceBounds { errors: 0, starts: (u64::MAX, 0), durations: (u64::MAX, 0) };

    /// Takes other spans of the service in.
    pub(crate) fn merge(&mut self, other: &ServiceBounds) {
        self.errors += other.errors;
        self.starts = (self.starts.0.min(other.starts.0), self.starts.1.max(other.starts.1));
        self.durations = (self.durations.0.min(other.durations.0), self.durations.1.max(other.durations.1));
    }

    /// Takes one more span in.
    pub(crate) fn add(&mut self, start_unix_nano: u64, duration_ns: u64, is_error: bool) {
        self.errors += u32::from(is_error);
        self.starts = (self.starts.0.min(start_unix_nano), self.starts.1.max(start_unix_nano));
        self.durations = (self.durations.0.min(duration_ns), self.durations.1.max(duration_ns));
    }
}

/// A unit that a search goes through: a block of a segment, or a batch in memory.
#[derive(Debug, Clone)]
pub struct Part(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Block { segment: Arc<Segment>, number: usize, damage: Damage },
    Memory(Arc<HeldBatch>),
}

impl Part {
    /// The earliest and latest start, Unix nanoseconds.
    pub fn start_bounds(&self) -> (u64, u64) {
        match &self.0 {
            Kind::Block { segment, number, .. } => {
                let block = &segment.index.blocks[*number];
                (block.start_min, block.start_max)
            }
            Kind::Memory(held) => held.bounds.starts,
        }
    }

    /// The shortest and longest duration, nanoseconds.
    pub fn duration_bounds(&self) -> (u64, u64) {
        match &self.0 {
            Kind::Block { segment, number, .. } => {
                let block = &segment.index.blocks[*number];
                (block.duration_min, block.duration_max)
            }
            Kind::Memory(held) => held.bounds.durations,
        }
    }

    /// Bounds of the spans of one service; `None` if it has none here.
    pub fn service_bounds(&self, service: &str) -> Option<ServiceBounds> {
        match &self.0 {
            Kind::Block { segment, number, .. } => segment.index.bounds(*number, Some(service)),
            Kind::Memory(held) => held.service_bounds(service),
        }
    }

    /// How many spans there are.
    pub fn span_count(&self) -> usize {
        match &self.0 {
            Kind::Block { segment, number, .. } => segment.index.blocks[*number].rows as usize,
            Kind::Memory(held) => held.batch.len(),
        }
    }

    /// Whether a span here may have a `key = value` of this hash ([`model::attributes::pair_hash`], or
    /// [`crate::intrinsic_pair_hash`] for fields that are no attributes). A batch in memory always may.
    pub fn may_contain(&self, pair_hash: u64) -> Result<bool, ReadError> {
        match &self.0 {
            Kind::Block { segment, number, damage } => {
                // Without filters everything may be there, and what is there can still be read.
                let may = segment.index.block_may_contain(*number, pair_hash).map(Some);
                Ok(damage.pass(may)?.unwrap_or(true))
            }
            Kind::Memory(_) => Ok(true),
        }
    }

    /// Whether an attribute here may have a key at a level; false only if none has.
    pub fn may_have_key(&self, level: Level, key: &str) -> bool {
        match &self.0 {
            Kind::Block { segment, .. } => segment.index.may_have_key(level, key),
            Kind::Memory(held) => held.batch.text.find(key.as_bytes()).is_some(),
        }
    }

    /// The spans, in stored order, with at least what the projection asks for; none of a block that is damaged, see
    /// [`Snapshot::damage`].
    pub fn read(&self, projection: &Projection) -> Result<Arc<SpanBatch>, ReadError> {
        match &self.0 {
            Kind::Block { segment, number, damage } => {
                Ok(Arc::new(damage.pass(segment.read_block(*number, projection))?))
            }
            Kind::Memory(held) => Ok(Arc::clone(&held.batch)),
        }
    }

    /// As [`Part::read`], without some or all of the spans that lack something of a selection.
    pub fn read_some(&self, projection: &Projection, selection: &Selection) -> Result<Arc<SpanBatch>, ReadError> {
        match &self.0 {
            Kind::Block { segment, number, damage } => {
                Ok(Arc::new(damage.pass(segment.read_some(*number, projection, selection))?))
            }
            Kind::Memory(held) => Ok(Arc::clone(&held.batch)),
        }
    }
}
