//! `longspan flow ID`: a flow drawn in the terminal, from its root to its last effect.

use std::io::{Write, stdout};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::ask::{Asked, LookArguments, ServerArguments, id_of};
use crate::client::encoded;
use crate::options::Options;
use crate::terminal::{FlowAnswer, Span, SpansPage, draw_flow};

/// Spans that are asked for at once.
const PAGE: usize = 10_000;

/// Which flow.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct FlowArguments {
    /// The id of any trace of the flow, or the address of its page
    #[arg(value_name = "ID")]
    id: String,
    /// Open the flow of this span of the trace
    #[arg(long, value_name = "SPAN_ID")]
    span: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    look: LookArguments,
}

const EXAMPLES: &str = "\
What a message led to stands below the span that sent it, whatever its trace; 2/3 is the second of three attempts, ✉ a message \
that nobody is known to have received. A hatched bar is the time a message waited; long idle time is folded, and the axis \
says how long it was.

    longspan flow 0af7651916cd43dd8448eb211c80319c
    longspan flow 0af7651916cd43dd8448eb211c80319c --linear --color always | less -R";

/// Draws the flow.
pub(crate) fn run(options: &Options, arguments: &FlowArguments) -> Result<()> {
    let id = id_of(&arguments.id)?;
    let asked = Asked::find(options, &arguments.server)?;
    let span = arguments.span.as_deref().map(|span| format!("span_id={}", encoded(span)));
    let at = span.as_deref().unwrap_or_default();
    let Some(flow) = asked.get::<FlowAnswer>(&format!("/api/flows/{id}?{at}"))? else {
        bail!("no span of trace {id} is stored");
    };
    let mut spans: Vec<Span> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = asked.get::<SpansPage>(&format!("/api/flows/{id}/spans?limit={PAGE}&{at}{cursor}"))?;
        let page = page.with_context(|| format!("trace {id} was deleted meanwhile"))?;
        spans.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={}", encoded(&next)),
            None => break,
        }
    }
    stdout().write_all(draw_flow(&flow, &spans, arguments.look.look()).as_bytes()).context("cannot print")
}
