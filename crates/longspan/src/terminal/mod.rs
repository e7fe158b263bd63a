//! Traces and flows drawn with characters, as the page draws them: rows over one time line, waits hatched, idle time folded.
//!
//! Takes what the API answers and gives lines of text. Asks nothing itself and prints nothing. What senders wrote is cleaned
//! first: no byte of it reaches the terminal as a control.

mod axis;
mod draw;
mod material;
mod text;
mod tree;

pub(crate) use draw::{Look, draw_flow, draw_trace};
pub(crate) use material::{FlowAnswer, Span, SpansPage, Summary, SummaryPage, TraceAnswer};
pub(crate) use text::{Paint, Style, clean, duration};
