//! Generators and references for tests. A dev-dependency only.
//!
//! | module | what |
//! |---|---|
//! | [`shop`] | the corpus that speed is measured with, and its true counts |
//! | [`protobuf`] | a small writer for making senders' bytes |
//! | [`stopwatch`] | time on a CPU, for benches |
//! | [`rng`] | a small seeded generator of numbers; the same seed gives the same test |
//! | [`spans`] | batches of odd spans, and a readable normal form to compare by |
//! | [`story`] | small sets of spans written as text |
//! | [`mod@reference`] | a naive store that keeps everything in a list |
//! | [`new_store`] | a store that is opened once |
//! | [`disk`] | a disk in memory that fails on demand and forgets what was not synced |
//! | [`clock`] | a clock that tests move |
//! | [`forged`] | files with wrong bytes and right checksums |

pub mod clock;
pub mod disk;
pub mod forged;
pub mod new_store;
pub mod protobuf;
pub mod reference;
pub mod rng;
pub mod shop;
pub mod spans;
pub mod stopwatch;
pub mod story;
