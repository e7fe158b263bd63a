//! The subcommands, one file each.

mod ask;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod flow;
pub(crate) mod import;
pub(crate) mod serve;
pub(crate) mod snapshot;
pub(crate) mod tail;
pub(crate) mod trace;
pub(crate) mod verify;
mod verify_server;
