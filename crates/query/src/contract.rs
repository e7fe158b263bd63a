//! [`SpanStore`]: everything that can be asked of stored spans, whoever stores them. The seam at which a cluster can take the
//! place of the local disk.
//!
//! An implementation keeps to the comments here word by word; the conformance tests check every one of them, on each
//! implementation with the same assertions. What an implementation cannot do it says in [`Capabilities`].

use std::error::Error;
use std::fmt::Debug;

use flow::Flow;
use model::{Level, SpanKind, TraceId};
use thiserror::Error;

use crate::cursor::Cursor;
use crate::explain::{ExplainQuery, Explanation};
use crate::filter::{Field, Filter};
use crate::flow::FlowQuery;
use crate::links::TraceLinks;
use crate::pairs::{Found, LookUp};
use crate::spread::{HeatMap, HeatQuery};
use crate::trace::Trace;

/// Most traces on a page of a search.
pub const SEARCH_LIMIT_MAX: usize = 10_000;

/// A page ends early once its traces take so many bytes of memory; a store may be told to end it earlier.
pub const PAGE_BYTES_MAX: usize = 256 << 20;

/// Most items of a list for completion.
pub const COMPLETION_LIMIT_MAX: usize = 10_000;

/// Stored spans that can be asked about. Every method sees all spans acknowledged before it was called, of any age.
pub trait SpanStore: Send + Sync + Debug {
    /// What this store can do beyond what every store can.
    fn capabilities(&self) -> Capabilities;

    /// All spans of a trace, each once: of the records of a (span, kind) the last one stored wins. Nothing if no span of the
    /// trace is stored. What is damaged is left out, and the trace says so; it is an error if nothing is left.
    fn trace(&self, id: TraceId) -> Result<Option<Trace>, QueryError>;

    /// A page of the traces of which a span matches the filter and starts within the range.
    ///
    /// A trace's place is the start of its newest matching span, then its id; a page holds, newest first, exactly the traces
    /// next below the cursor, each whole. Only the last record of a span counts: a trace that matched before a span of it was
    /// overwritten is not found. A trace comes on one page only, as long as nothing is stored in between; a span that arrives in
    /// between may move its trace. A page has fewer traces than the limit when there are no more, or when its traces
    /// take [`PAGE_BYTES_MAX`]; the cursor tells which: there is none after the last page. (A page after a full one may turn out to
    /// be empty.) What is damaged is left out, and the page says so; every other question fails for it.
    fn search(&self, search: &Search) -> Result<SearchPage, QueryError>;

    /// Links from and to a trace, of any age. A trace that is not stored has no outgoing links, but may have incoming ones.
    fn links(&self, id: TraceId) -> Result<TraceLinks, QueryError>;

    /// The flow that a span belongs to: from its root cause down to the last effect, through every hop, spans of any age; see
    /// [`crate::flow`]. Nothing if the span is not stored. It is the same from whichever of its spans it is opened, but for spans that
    /// took messages of several flows at once: they are part of each of these flows, and the root of one of their own.
    fn flow(&self, query: &FlowQuery) -> Result<Option<Flow>, QueryError>;

    /// Spans that carry given values, those that send or receive only, as [`crate::pairs::spans_with`] finds them; at most about
    /// `found_max`.
    fn spans_with(&self, look_ups: &[LookUp], found_max: usize) -> Result<Vec<Found>, QueryError>;

    /// Services by name. Counts are of records: a span that was stored twice may count twice.
    fn services(&self) -> Result<Vec<ServiceCount>, QueryError>;

    /// Operations of a service, by name and kind; of one kind only, if one is given.
    fn operations(&self, service: &str, kind: Option<SpanKind>) -> Result<Vec<OperationCount>, QueryError>;

    /// Attribute keys, most used first.
    fn attribute_keys(&self, query: &KeyQuery) -> Result<Vec<KeyCount>, QueryError>;

    /// Values of a field among recent spans, most used first. A help for typing, not an account: how far back it looks is up to
    /// the store, and so are the counts.
    fn attribute_values(&self, query: &ValueQuery) -> Result<Vec<ValueCount>, QueryError>;

    /// How matching spans are spread over time and duration. Counts are of records; with very many, of a sample that says so.
    fn heat_map(&self, query: &HeatQuery) -> Result<HeatMap, QueryError>;

    /// The values that set a part of a heat map apart from the rest of it, as [`crate::explain`] finds them, in a sample.
    fn explain(&self, query: &ExplainQuery) -> Result<Explanation, QueryError>;

    /// Calls from service to service: one for every span that starts within the range and whose parent (of any age) is of
    /// another service. Ordered by the names of parent and child.
    fn dependencies(&self, range: TimeRange) -> Result<Vec<Dependency>, QueryError>;
}

/// What a store can do beyond what every store can. The default is the least capable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// [`SpanStore::links`] finds incoming links; otherwise there are only outgoing ones.
    pub incoming_links: bool,
    /// [`SpanStore::attribute_values`] finds values; otherwise the list is always empty.
    pub attribute_values: bool,
    /// [`SpanStore::dependencies`] answers; otherwise the list is always empty.
    pub dependencies: bool,
}

/// Why a question was not answered.
#[derive(Debug, Error)]
pub enum QueryError {
    /// What is stored cannot be read.
    #[error("stored spans cannot be read: {0}")]
    Read(#[source] Box<dyn Error + Send + Sync>),
    /// The limit is not one that a page can have.
    #[error("a page has 1 to {SEARCH_LIMIT_MAX} traces, not {limit}")]
    Limit {
        /// What was asked for.
        limit: usize,
    },
    /// The question was called off before it was answered, see [`crate::stop`].
    #[error("the question was called off before it was answered")]
    Stopped,
    /// An answer would take more memory than it may.
    #[error("{what}: {found}, and at most {max} fit into memory; ask for a shorter range of time")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        max: usize,
    },
}

impl From<store::ReadError> for QueryError {
    fn from(error: store::ReadError) -> Self {
        QueryError::Read(Box::new(error))
    }
}

/// Instants from `start` up to, not including, `end`; the default is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// The first instant.
    pub start_unix_nano: u64,
    /// The first instant after; nothing for no end.
    pub end_unix_nano: Option<u64>,
}

impl TimeRange {
    /// Whether an instant lies within.
    pub fn contains(self, unix_nano: u64) -> bool {
        unix_nano >= self.start_unix_nano && self.end_unix_nano.is_none_or(|end| unix_nano < end)
    }

    /// Whether any instant of `first..=last` lies within.
    pub(crate) fn overlaps(self, (first, last): (u64, u64)) -> bool {
        last >= self.start_unix_nano && self.end_unix_nano.is_none_or(|end| first < end)
    }
}

/// What to search for.
#[derive(Debug, Clone)]
pub struct Search {
    /// Which spans.
    pub filter: Filter,
    /// When they start.
    pub range: TimeRange,
    /// Traces on the page, 1 to [`SEARCH_LIMIT_MAX`].
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

/// A page of traces.
#[derive(Debug, Default)]
pub struct SearchPage {
    /// Newest first.
    pub hits: Vec<TraceHit>,
    /// Where the next page begins; nothing if this was the last.
    pub next: Option<Cursor>,
    /// Whether something stored is damaged, so that traces, or spans of them, may be missing here.
    pub is_partial: bool,
}

/// A trace that was found.
#[derive(Debug)]
pub struct TraceHit {
    /// The whole trace.
    pub trace: Trace,
    /// Rows of the matching spans in order; at least one.
    pub matched: Vec<usize>,
}

/// A service and its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCount {
    /// Its name, empty for spans whose sender gave none.
    pub name: String,
    /// Records of spans.
    pub spans: u64,
}

/// An operation and its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationCount {
    /// The spans' name.
    pub name: String,
    /// The spans' kind.
    pub kind: SpanKind,
    /// Records of spans.
    pub spans: u64,
}

/// Which keys are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyQuery {
    /// They begin with this.
    pub prefix: String,
    /// They occur at this level.
    pub level: Option<Level>,
    /// At most so many, up to [`COMPLETION_LIMIT_MAX`].
    pub limit: usize,
}

/// A key at a level and its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCount {
    /// The key.
    pub key: String,
    /// The level.
    pub level: Level,
    /// The types of its values, most used first, as [`model::ValueRef::type_name`] names them.
    pub types: Vec<String>,
    /// Records of spans.
    pub spans: u64,
}

/// Which values are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueQuery {
    /// Of this field.
    pub field: Field,
    /// Their comparison text begins with this.
    pub prefix: String,
    /// At most so many, up to [`COMPLETION_LIMIT_MAX`].
    pub limit: usize,
}

/// A value and its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueCount {
    /// Its comparison text.
    pub value: String,
    /// Its type, as [`model::ValueRef::type_name`] names it.
    pub type_name: &'static str,
    /// Records of spans that have it, among those that were looked at.
    pub spans: u64,
}

/// Calls from one service to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// The service that calls.
    pub parent: String,
    /// The service that is called.
    pub child: String,
    /// Spans of the child whose parent is the parent's.
    pub calls: u64,
    /// Those of them whose status is an error.
    pub errors: u64,
}
