//! `longspan trace ID`: one trace drawn in the terminal.

use std::io::{Write, stdout};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::ask::{Asked, LookArguments, ServerArguments, id_of};
use crate::options::Options;
use crate::terminal::{TraceAnswer, draw_trace};

/// Which trace.
#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// The id of the trace, or the address of its page
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    look: LookArguments,
}

/// Draws the trace.
pub(crate) fn run(options: &Options, arguments: &TraceArguments) -> Result<()> {
    let id = id_of(&arguments.id)?;
    let asked = Asked::find(options, &arguments.server)?;
    let Some(trace) = asked.get::<TraceAnswer>(&format!("/api/traces/{id}"))? else {
        bail!("no span of trace {id} is stored");
    };
    stdout().write_all(draw_trace(&trace, arguments.look.look()).as_bytes()).context("cannot print")
}
