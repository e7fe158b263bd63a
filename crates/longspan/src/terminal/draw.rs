//! The lines: a head that says what happened, a time axis, and a row for each span with its bar.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::axis::Axis;
use super::material::{FlowAnswer, Hop, Span, TraceAnswer};
use super::text::{Paint, Style, clean, columns, cut, duration, padded};
use super::tree::{Row, Tree, What};

/// Columns for the duration at the end of a row.
const DURATION_COLUMNS: usize = 10;
const BARS_MIN: usize = 12;
/// Levels beyond this are not indented any further.
const DEPTH_MAX: usize = 16;

/// How it is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: usize,
    pub(crate) paint: Paint,
    /// Idle time is not folded.
    pub(crate) is_linear: bool,
}

struct Picture<'a> {
    look: Look,
    tree: Tree<'a>,
    axis: Axis,
    names: usize,
    start: u64,
    end: u64,
    services: HashMap<&'a str, usize>,
    /// Spans on the critical path, working and waiting.
    working: HashSet<(&'a str, &'a str)>,
    waiting: HashSet<(&'a str, &'a str)>,
    attempts: HashMap<MessageKey<'a>, u32>,
}

type MessageKey<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, Option<&'a str>);

fn message_key(hop: &Hop) -> MessageKey<'_> {
    (
        &hop.from.trace_id,
        &hop.from.span_id,
        &hop.destination.name,
        hop.consumer_group.as_deref(),
        hop.message_id.as_deref(),
    )
}

/// A flow, as lines.
pub(crate) fn draw_flow(flow: &FlowAnswer, spans: &[Span], look: Look) -> String {
    let mut lines = flow_head(flow, spans, look);
    let tree = Tree::of_flow(spans, flow);
    let of_kind = |kind: &str| {
        let on = flow.critical_path.iter().filter(|segment| segment.kind == kind);
        on.map(|segment| (segment.trace_id.as_str(), segment.span_id.as_str())).collect()
    };
    let start =
        spans.iter().map(|span| span.start_unix_nano).min().unwrap_or(flow.start_unix_nano).min(flow.start_unix_nano);
    let mut picture = Picture::new(look, tree, start, flow.last_effect_unix_nano);
    (picture.working, picture.waiting) = (of_kind("working"), of_kind("waiting"));
    for hop in &flow.hops {
        let most = picture.attempts.entry(message_key(hop)).or_default();
        *most = hop.attempt.max(*most);
    }
    picture.draw(&mut lines);
    let folded = if picture.axis.folds.is_empty() { "" } else { "   ╱ idle, folded" };
    look.paint.put(
        &mut lines,
        &format!("\n━ on the critical path   ─ beside it   ▒ ░ waiting in a queue{folded}\n"),
        Style::Faint,
    );
    lines
}

/// A trace, as lines.
pub(crate) fn draw_trace(trace: &TraceAnswer, look: Look) -> String {
    let mut lines = String::new();
    let root = trace.spans.iter().find(|span| Some(&span.id) == trace.root_span_id.as_ref()).or(trace.spans.first());
    if let Some(root) = root {
        title(&mut lines, look.paint, &root.service, &root.name);
    }
    let services: BTreeSet<&str> = trace.spans.iter().map(|span| span.service.as_str()).collect();
    let errors = trace.spans.iter().filter(|span| span.status.code == "error").count();
    let figures = [
        format!("trace {}", trace.trace_id),
        format!("answer {}", duration(trace.answer_ns as f64)),
        format!("last effect {}", duration(trace.last_effect_ns as f64)),
        counted(services.len() as u64, "service"),
        counted(trace.total_span_count, "span"),
        counted(errors as u64, "error"),
    ];
    put_figures(&mut lines, look, &figures);
    if trace.truncated {
        look.paint.put(&mut lines, &format!("only the earliest {} spans are here\n", trace.spans.len()), Style::Error);
    }
    let picture = Picture::new(
        look,
        Tree::of_trace(&trace.spans),
        trace.start_unix_nano,
        trace.start_unix_nano + trace.duration_ns,
    );
    picture.draw(&mut lines);
    lines
}

fn title(lines: &mut String, paint: Paint, service: &str, name: &str) {
    lines.push_str(&clean(service));
    lines.push(' ');
    paint.put(lines, &clean(name), Style::Bold);
    lines.push('\n');
}

/// Figures one after the other, in as many lines as they need.
fn put_figures(lines: &mut String, look: Look, figures: &[String]) {
    let mut line = String::new();
    for figure in figures {
        if !line.is_empty() && columns(&line) + columns(figure) + 3 > look.width {
            look.paint.put(lines, &format!("{line}\n"), Style::Faint);
            line.clear();
        }
        if !line.is_empty() {
            line.push_str(" · ");
        }
        line.push_str(figure);
    }
    look.paint.put(lines, &format!("{line}\n"), Style::Faint);
}

fn counted(count: u64, what: &str) -> String {
    let end = match (count, what.ends_with('y')) {
        (1, _) => return format!("1 {what}"),
        (_, true) => return format!("{count} {}ies", &what[..what.len() - 1]),
        _ => "s",
    };
    format!("{count} {what}{end}")
}

fn flow_head(flow: &FlowAnswer, spans: &[Span], look: Look) -> String {
    let mut lines = String::new();
    title(&mut lines, look.paint, &flow.root.service, &flow.root.name);
    let since = |end: u64| duration(end.saturating_sub(flow.start_unix_nano) as f64);
    let total = flow.last_effect_unix_nano.saturating_sub(flow.start_unix_nano);
    let idle = total.saturating_sub(flow.working_ns + flow.waiting_ns);
    let services: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
    let errors = spans.iter().filter(|span| span.status.code == "error").count();
    let count: u64 = flow.traces.iter().map(|trace| trace.span_count).sum();
    let times = [
        format!("flow {}", flow.root.trace_id),
        format!("answer {}", since(flow.answered_unix_nano)),
        format!("last effect {}", since(flow.last_effect_unix_nano)),
        format!("working {}", duration(flow.working_ns as f64)),
        format!("waiting {}", duration(flow.waiting_ns as f64)),
        format!("idle {}", duration(idle as f64)),
    ];
    let counts = [
        messages(&flow.hops),
        counted(services.len() as u64, "service"),
        format!("{} in {}", counted(count, "span"), counted(flow.traces.len() as u64, "trace")),
        counted(errors as u64, "error"),
    ];
    put_figures(&mut lines, look, &times);
    put_figures(&mut lines, look, &counts);
    if flow.truncated {
        look.paint.put(
            &mut lines,
            "this flow is larger than a question may be: a part of it is missing\n",
            Style::Error,
        );
    }
    lines
}

/// Messages by state, a message once for each group; attempts after the first are retries.
fn messages(hops: &[Hop]) -> String {
    let mut last: HashMap<MessageKey<'_>, &Hop> = HashMap::new();
    for hop in hops {
        let known = last.entry(message_key(hop)).or_insert(hop);
        if hop.attempt >= known.attempt {
            *known = hop;
        }
    }
    let states = ["consumed", "pending", "late", "lost", "dead_lettered", "unknown"];
    let counts = states.iter().filter_map(|&state| {
        let count = last.values().filter(|hop| hop.state == state).count();
        (count > 0).then(|| format!("{count} {}", state.replace('_', "-")))
    });
    let mut parts: Vec<String> = counts.collect();
    if hops.len() > last.len() {
        parts.push(counted((hops.len() - last.len()) as u64, "retry"));
    }
    if parts.is_empty() { "no messages".to_owned() } else { format!("messages: {}", parts.join(", ")) }
}

impl<'a> Picture<'a> {
    fn new(look: Look, tree: Tree<'a>, start: u64, end: u64) -> Picture<'a> {
        let spans = tree.spans;
        let end = spans.iter().map(|span| span.start_unix_nano + span.duration_ns).max().unwrap_or(end).max(end);
        let names = (look.width * 2 / 5).clamp(16, 64);
        let bars = look.width.saturating_sub(names + DURATION_COLUMNS + 2).max(BARS_MIN);
        let busy: Vec<(f64, f64)> = spans
            .iter()
            .map(|span| {
                let from = span.start_unix_nano.saturating_sub(start) as f64;
                (from, from + span.duration_ns as f64)
            })
            .collect();
        let axis = Axis::new(&busy, end.saturating_sub(start) as f64, bars, look.is_linear);
        let named: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
        let services = named.into_iter().enumerate().map(|(number, name)| (name, number)).collect();
        let (working, waiting, attempts) = (HashSet::new(), HashSet::new(), HashMap::new());
        Picture { look, tree, axis, names, start, end, services, working, waiting, attempts }
    }

    fn draw(&self, lines: &mut String) {
        self.draw_axis(lines);
        for row in self.tree.rows() {
            let line = self.line(&row);
            lines.push_str(line.trim_end());
            lines.push('\n');
        }
    }

    /// The start, the true lengths of what is folded, and the end, where they have room.
    fn draw_axis(&self, lines: &mut String) {
        let mut line = vec![' '; self.axis.columns];
        let end = duration((self.end - self.start) as f64);
        let mut put = |at: usize, text: &str| {
            let wide = columns(text);
            let from = at.saturating_sub(usize::from(at > 0));
            let is_free = at + wide < line.len() && line[from..=(at + wide)].iter().all(|&c| c == ' ');
            if is_free || at + wide == line.len() && line[from..].iter().all(|&c| c == ' ') {
                line[at..at + wide].iter_mut().zip(text.chars()).for_each(|(place, c)| *place = c);
            }
        };
        put(0, "0");
        put(self.axis.columns.saturating_sub(columns(&end)), &end);
        for fold in &self.axis.folds {
            let text = format!("╱{}╱", duration(fold.to - fold.from));
            let reach = self.axis.fold_columns(fold);
            put((reach.start + reach.len() / 2).saturating_sub(columns(&text) / 2), &text);
        }
        let line: String = line.into_iter().collect();
        self.look.paint.put(lines, &format!("\n{}{}", " ".repeat(self.names + 1), line.trim_end()), Style::Faint);
        lines.push('\n');
    }

    fn line(&self, row: &Row) -> String {
        let mut line = String::new();
        let prefix = branch(&row.follows);
        self.look.paint.put(&mut line, &prefix, Style::Faint);
        let room = self.names.saturating_sub(columns(&prefix));
        let bars = match &row.what {
            What::Span(index) => {
                self.name(&mut line, *index, room);
                self.span_bars(*index)
            }
            What::Message(hop) => {
                let hop = &self.tree.hops[*hop];
                let text = format!("✉ {} [{}]", clean(&hop.destination.name), hop.state.replace('_', "-"));
                self.look.paint.put(&mut line, &padded(&cut(&text, room), room), Style::Bold);
                self.message_bars(hop)
            }
            What::Missing(id) => {
                self.look.paint.put(
                    &mut line,
                    &padded(&cut(&format!("? {} not received", clean(id)), room), room),
                    Style::Faint,
                );
                (self.blank(), None)
            }
            What::Siblings(count) => {
                let text = format!("+ {} in this batch", counted(*count as u64, "other message"));
                self.look.paint.put(&mut line, &padded(&cut(&text, room), room), Style::Faint);
                (self.blank(), None)
            }
        };
        line.push(' ');
        self.put_bars(&mut line, &bars.0);
        if let Some((text, style)) = bars.1 {
            line.push(' ');
            self.look.paint.put(&mut line, &text, style);
        }
        line
    }

    /// Name, marks and service, as far as there is room.
    fn name(&self, line: &mut String, index: usize, room: usize) {
        let span = &self.tree.spans[index];
        let number = self.services.get(span.service.as_str()).copied().unwrap_or(0);
        let marks = self.marks(index);
        let kind = match span.kind.as_str() {
            "producer" => "→ ",
            "consumer" => "← ",
            _ => "",
        };
        let least = columns(&marks) + columns(kind);
        let name = cut(&clean(&span.name), room.saturating_sub(least));
        let service = cut(&format!(" {}", clean(&span.service)), room.saturating_sub(least + columns(&name)));
        let style = if span.status.code == "error" { Style::Error } else { Style::Plain };
        self.look.paint.put(line, kind, Style::Faint);
        self.look.paint.put(line, &name, style);
        self.look.paint.put(line, &marks, Style::Bold);
        self.look.paint.put(line, &service, Style::Service(number));
        let taken = least + columns(&name) + columns(&service);
        line.push_str(&" ".repeat(room.saturating_sub(taken)));
    }

    fn marks(&self, index: usize) -> String {
        let Some(hop) = self.tree.hop_of[index].map(|hop| &self.tree.hops[hop]) else { return String::new() };
        let most = self.attempts.get(&message_key(hop)).copied().unwrap_or(1);
        let attempt = if most > 1 { format!(" {}/{most}", hop.attempt) } else { String::new() };
        let state = match hop.state.as_str() {
            "consumed" => String::new(),
            "unknown" => " [given back]".to_owned(),
            state => format!(" [{}]", state.replace('_', "-")),
        };
        let skew = if hop.clock_skew { " [clocks disagree]" } else { "" };
        format!("{attempt}{state}{skew}")
    }

    fn blank(&self) -> Vec<(char, Style)> {
        let mut bars = vec![(' ', Style::Plain); self.axis.columns];
        for fold in &self.axis.folds {
            bars[self.axis.fold_columns(fold)].fill(('╱', Style::Faint));
        }
        bars
    }

    fn span_bars(&self, index: usize) -> Bars {
        let span = &self.tree.spans[index];
        let key = (span.trace_id.as_str(), span.id.as_str());
        let from = span.start_unix_nano.saturating_sub(self.start) as f64;
        let number = self.services.get(span.service.as_str()).copied().unwrap_or(0);
        let mut bars = self.blank();
        let wait = self.tree.hop_of[index].and_then(|hop| self.tree.hops[hop].queue_wait_ns).unwrap_or(0);
        if wait > 0 {
            let hatch = if self.waiting.contains(&key) { '▒' } else { '░' };
            bars[self.axis.reach((from - wait as f64).max(0.0), from)].fill((hatch, Style::Plain));
        }
        let is_error = span.status.code == "error";
        let style = if is_error { Style::Error } else { Style::Service(number) };
        let is_on_path = self.working.contains(&key) || self.working.is_empty();
        bars[self.axis.reach(from, from + span.duration_ns as f64)].fill((if is_on_path { '━' } else { '─' }, style));
        let text = duration(span.duration_ns as f64);
        (
            bars,
            Some((
                if is_error { format!("{text} !") } else { text },
                if is_error { Style::Error } else { Style::Plain },
            )),
        )
    }

    fn message_bars(&self, hop: &Hop) -> Bars {
        let mut bars = self.blank();
        let sender =
            self.tree.spans.iter().find(|span| span.trace_id == hop.from.trace_id && span.id == hop.from.span_id);
        let sent = sender.map_or(0, |span| (span.start_unix_nano + span.duration_ns).saturating_sub(self.start)) as f64;
        let is_open = matches!(hop.state.as_str(), "pending" | "late" | "lost");
        if is_open {
            bars[self.axis.reach(sent, (self.end - self.start) as f64)].fill(('░', Style::Plain));
        }
        let at = self.axis.column(sent);
        bars[if is_open { self.axis.columns - 1 } else { at }] = ('○', Style::Bold);
        (bars, None)
    }

    /// Neighbours of one style are written at once.
    fn put_bars(&self, line: &mut String, bars: &[(char, Style)]) {
        let mut rest = bars;
        while let Some(&(_, style)) = rest.first() {
            let end = rest.iter().position(|&(_, other)| other != style).unwrap_or(rest.len());
            let text: String = rest[..end].iter().map(|&(c, _)| c).collect();
            self.look.paint.put(line, &text, style);
            rest = &rest[end..];
        }
    }
}

type Bars = (Vec<(char, Style)>, Option<(String, Style)>);

/// The branches that lead to a row.
fn branch(follows: &[bool]) -> String {
    let shown = &follows[follows.len().saturating_sub(DEPTH_MAX)..];
    let Some((own, above)) = shown.split_last() else { return String::new() };
    let mut prefix: String = above.iter().map(|&more| if more { "│ " } else { "  " }).collect();
    prefix.push_str(if *own { "├╴" } else { "└╴" });
    prefix
}
