//! The tests of `wire` as its users see it: prost as the oracle, limits, hostile bytes, hand-checked payloads.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod golden;
mod hostile;
mod jaeger;
mod json;
mod limits;
mod logs;
mod messages;
mod mutate;
mod normal;
mod opencensus;
mod oracle;
mod seeds;
mod shuffle;
mod thrift_seeds;
mod xray;
mod zipkin;
mod zipkin_v1;
