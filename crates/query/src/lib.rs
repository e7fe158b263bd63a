//! Questions about stored spans: what is asked for, how it is found, and who can be asked.
//!
//! | module | what |
//! |---|---|
//! | [`contract`] | [`SpanStore`]: everything that can be asked, and what the answers mean |
//! | [`language`] | the query language: text to filter |
//! | [`filter`] | which spans are meant; a filter bound to a batch; what a part must hold to match |
//! | [`source`] | what the algorithms need of a store |
//! | [`stop`] | how a question is called off |
//! | [`trace`] | records become a trace: every span once, in order |
//! | [`search`], [`cursor`] | the next page of matching traces |
//! | [`links`] | links of a trace in both directions |
//! | [`mod@flow`] | flows: up to the root cause, down to the last effect |
//! | [`pairs`] | spans that carry given values |
//! | [`values`] | values of a field for completion |
//! | [`spread`], [`explain`] | matching spans over time and duration, and what a part of them has in common |
//! | [`logs`] | log records: newest first, over time, of a flow |
//! | [`dependencies`] | which service calls which |
//! | [`local`] | the answers of the store on this machine's disk |
//!
//! In the pipe this is *find* and the beginning of *assemble*. Deliberately absent: files (`store`), what spans mean (`flow`),
//! and anything asynchronous or of HTTP (`server`).

pub mod contract;
pub mod cursor;
pub mod dependencies;
pub mod explain;
pub mod filter;
pub mod flow;
pub mod language;
pub mod links;
pub mod local;
pub mod logs;
pub mod pairs;
pub mod search;
pub mod source;
pub mod spread;
pub mod stop;
pub mod trace;
pub mod values;

pub use contract::{
    Capabilities, Dependency, KeyCount, KeyQuery, OperationCount, QueryError, Search, SearchPage, ServiceCount,
    SpanStore, TimeRange, TraceHit, ValueCount, ValueQuery,
};
pub use cursor::{Cursor, CursorError};
pub use explain::{ExplainQuery, Explanation};
pub use filter::{Compiled, Field, Filter, FilterError, Literal, Op};
pub use flow::{FlowLimits, FlowQuery};
pub use language::{ParseError, parse};
pub use links::{LinkEnd, LinkedSpan, TraceLink, TraceLinks};
pub use local::{Bounds, LocalStore};
pub use spread::{HeatMap, HeatQuery};
pub use stop::Stop;
pub use trace::Trace;
