//! Sockets and HTTP: the only async crate. Receives spans, answers questions, serves the page.
//!
//! | module | what |
//! |---|---|
//! | [`config`], [`memory`], [`open_files`] | what can be set, who gets how much memory, and how many files may be open |
//! | [`run`], [`give_way`] | starting and stopping; threads that leave the cores to questions |
//! | [`listen`], [`crowd`], [`patience`], [`rest`] | connections; how many; slow peers; bodies nobody reads to their end |
//! | [`routes`] | what each listener serves |
//! | [`guard`], [`gzip`] | what protects browsers; compressed answers |
//! | [`receive`] | OTLP over gRPC and HTTP, Zipkin |
//! | [`intake`], [`budget`], [`inflate`], [`admit`] | from a body to its OK |
//! | [`phase`], [`app`] | the store as it comes and goes; what all listeners share |
//! | [`lookout`] | the thread that watches flows: destinations, messages under way, the service map |
//! | [`api`] | the own API, Jaeger's and Zipkin's |
//! | [`page`] | the embedded page |
//! | [`health`], [`metrics`] | for programs that watch |
//!
//! In the pipe: *receive*, *admit* and *answer*. Deliberately absent: formats (`wire`), files (`store`), what a query means (`query`),
//! signals and the terminal (the binary).

pub mod admit;
pub mod api;
pub mod app;
pub mod budget;
pub mod clock;
pub mod config;
pub mod crowd;
pub mod exposition;
pub mod give_way;
pub mod guard;
pub mod gzip;
pub mod health;
pub mod inflate;
pub mod intake;
pub mod listen;
pub mod lookout;
pub mod memory;
pub mod metrics;
pub mod open_files;
pub mod page;
pub mod patience;
pub mod phase;
pub mod receive;
pub mod rest;
pub mod routes;
pub mod run;
