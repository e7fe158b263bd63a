//! The tests of `query` as its callers use it. One binary, so that it is linked once.

mod filter;
mod generate;
mod language;
mod oracle;
