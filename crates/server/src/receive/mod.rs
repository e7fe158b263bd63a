//! Receivers: each finds the body of a request on its protocol, and words the answer the way the protocol wants it.
//!
//! Everything between body and answer is [`crate::intake`]. Either OTLP transport is understood on either OTLP port.

pub mod datagrams;
pub mod elastic;
pub mod grpc;
pub mod jaeger;
pub mod opencensus;
pub mod otlp_grpc;
pub mod otlp_http;
pub mod otlp_logs;
pub mod otlp_metrics;
pub mod rpc;
pub mod xray;
pub mod zipkin;
