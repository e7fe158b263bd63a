//! Black-box tests: the real binary, real sockets, a real directory.
//!
//! Nothing here knows the program's code; what is asserted is what a sender, a person or an operator can see. The clients of
//! other languages are in `tests/python` and `tests/js`.

#![expect(clippy::unwrap_used, reason = "the fixtures belong to the tests: a panic is the failure and has the place")]

mod api;
mod bulk;
mod demo;
mod disks;
mod effort;
mod golden;
mod kill;
mod load;
mod logs;
mod malformed;
mod memory;
mod network;
mod operate;
mod otlp;
mod raw;
mod server;
mod shapes;
mod slow;
mod startup;
mod stop;
mod terminal;
mod tools;
mod transfer;
mod witness;
