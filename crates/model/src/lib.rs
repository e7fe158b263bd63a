//! Spans as columns: the one shape that every step of the pipe hands to the next.
//!
//! `wire` decodes senders' bytes into a [`SpanBatch`], `store` keeps and returns them, `query`, `flow` and `server` read them
//! through [`SpanRef`]. A batch is a struct of arrays with one table of distinct texts, so that nothing is allocated per span
//! and a text is hashed once per batch.
//!
//! | module | what |
//! |---|---|
//! | [`id`] | trace and span ids |
//! | [`text`] | the table of distinct texts of a batch |
//! | [`value`] | attribute values, and the text each is compared and hashed by |
//! | [`nested`] | arrays and maps as canonical JSON text |
//! | [`attributes`] | pools of key/value pairs and the ranges that own them |
//! | [`batch`] | [`SpanBatch`] itself |
//! | [`span`] | reading one span of a batch |
//! | [`merge`] | copying spans from batch to batch |
//! | [`log`] | [`LogBatch`]: log records, with the parts of spans |
//! | [`limits`] | what is kept of a hostile or broken span |
//!
//! Deliberately absent: any wire format, any file format, any I/O, and what spans mean (that is `flow`).

pub mod attributes;
pub mod batch;
pub mod id;
pub mod limits;
pub mod log;
pub mod merge;
pub mod nested;
pub mod span;
pub mod text;
pub mod value;

pub use attributes::{Attributes, Level, Ranges};
pub use batch::{Events, Link, Links, NOTE_TIME_OUT_OF_RANGE, Resource, Scope, SpanBatch, SpanRow};
pub use id::{IdError, SpanId, TraceId};
pub use limits::Limits;
pub use log::{LogBatch, LogPlace, LogRef, LogRow};
pub use merge::{BatchMerger, Source};
pub use nested::Nested;
pub use span::{AttributeRef, EventRef, LinkRef, SpanKey, SpanKind, SpanRef, StatusCode};
pub use text::{TextId, TextTable};
pub use value::{Value, ValueRef};
