//! What asynchronous work means, computed from spans alone.
//!
//! | module | what |
//! |---|---|
//! | [`semconv`] | what any span says about messages, whatever wrote it |
//! | [`mod@outline`] | a trace in figures: its root, how long the caller waited, when the last effect ended, who took part |
//!
//! This crate is where meaning lives: besides the outline it will hold one view of messaging attributes whoever wrote them, the
//! identity of destinations, hops and their evidence, attempts, expectations, and the assembly of flows across traces. In the
//! pipe it stands beside `query`, which finds the spans it is given.
//!
//! Deliberately absent: files, sockets, clocks and randomness. Everything here is a pure function of its arguments.

pub mod outline;
pub mod semconv;

pub use outline::{Outline, ServiceOutline, outline};
