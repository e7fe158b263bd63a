//! What asynchronous work means, computed from spans alone.
//!
//! | module | what |
//! |---|---|
//! | [`tree`] | the spans of one trace as one tree, whatever arrived of it |
//! | [`cone`] | what a span caused, across traces |
//! | [`hop`] | what happened to messages: who received which from whom, after how long a wait, in which attempt |
//! | [`correlate`] | who sent what a span received although its context was lost |
//! | [`critical_path`] | what the last effect was waiting for |
//! | [`summary`] | a flow in figures |
//! | [`lineage`] | one message with its attempts, its death, and what it became |
//! | [`semconv`] | what any span says about messages, whatever wrote it |
//! | [`destination`] | which queue, topic or exchange a span means, however it is spelled |
//! | [`engine`] | messages under way, late and lost; destinations and calls in figures over time; updated with every span |
//! | [`mod@outline`] | a trace in figures: its root, how long the caller waited, when the last effect ended, who took part |
//!
//! This crate is where meaning lives. Reading begins with `semconv`, which every span that arrives passes; `destination` gives what
//! it says of a destination one name, and the rest puts spans together. In the pipe it stands beside `query`, which finds the
//! spans it is given.
//!
//! Deliberately absent: files, sockets, clocks and randomness. Everything here is a pure function of its arguments.

pub mod cone;
pub mod correlate;
pub mod critical_path;
pub mod destination;
pub mod engine;
pub mod hop;
pub mod lineage;
pub mod outline;
pub mod semconv;
pub mod summary;
pub mod tree;

pub use outline::{Outline, ServiceOutline, outline};
pub use summary::Flow;
