//! The tests of `query` as its callers use it. One binary, so that it is linked once.

mod clock;
mod dependencies;
mod filter;
mod flow;
mod generate;
mod language;
mod links;
mod local;
mod memory;
mod oracle;
mod pairs;
mod search;
mod spread;
mod stop;
mod values;
