//! Questions about stored spans: what is asked for, how it is found, and who can be asked.
//!
//! | module | what |
//! |---|---|
//! | [`language`] | the query language: text to filter |
//! | [`filter`] | which spans are meant; a filter bound to a batch; what a part must hold to match |
//!
//! In the pipe this is *find* and the beginning of *assemble*. Deliberately absent: files (`store`), what spans mean (`flow`),
//! and anything asynchronous or of HTTP (`server`).

pub mod filter;
pub mod language;

pub use filter::{Compiled, Field, Filter, FilterError, Literal, Op};
pub use language::{ParseError, parse};
