//! Generators and references for tests. A dev-dependency only.
//!
//! | module | what |
//! |---|---|
//! | [`rng`] | a small seeded generator of numbers; the same seed gives the same test |
//! | [`spans`] | batches of odd spans, and a readable normal form to compare by |
//! | [`mod@reference`] | a naive store that keeps everything in a list |

pub mod reference;
pub mod rng;
pub mod spans;
