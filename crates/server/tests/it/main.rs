//! The server with a real store in a directory of its own, asked over real sockets.

#![expect(clippy::unwrap_used, reason = "the fixtures belong to the tests: a panic is the failure and has the place")]

mod api;
mod grpc;
mod http;
mod jaeger;
mod lifecycle;
mod logs;
mod lookout;
mod matrix;
mod overload;
mod page;
mod senders;
mod server;
mod spread;
mod zipkin;
