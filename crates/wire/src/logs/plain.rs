//! Lines of text as log records: a time and a severity where a line begins with them; lines that go on belong to the record before.
//!
//! RabbitMQ puts the same time, level and process in front of every line of a crash report: such lines are one record. Elsewhere a
//! line that begins with white space, or that does not begin with a time in a file whose lines do, goes on with the one before: that
//! is how traces of stacks are written.

use model::log::severity_number;
use model::{Level, LogRow, Value};

use super::LogSink;
use super::time::of_prefix;
use crate::sink::AttributeCount;

/// A line, taken apart.
#[derive(Debug, Default, Clone, PartialEq)]
struct Head<'t> {
    time_unix_nano: Option<u64>,
    /// What stands before the message.
    stamp: &'t str,
    severity: Option<(i32, &'t str)>,
    /// RabbitMQ's process, such as `<0.229.0>`.
    process: &'t str,
    message: &'t str,
}

/// Words in front of a message that may be its severity.
const SEVERITY_WORDS: usize = 3;

fn head(line: &str) -> Head<'_> {
    let Some((time, rest)) = of_prefix(line) else {
        let (severity, _) = severity_in(line);
        return Head { severity, message: line, ..Head::default() };
    };
    let stamp = &line[..line.len() - rest.len()];
    let (severity, after) = severity_in(rest);
    let after = after.trim_start();
    let process = if after.starts_with('<') { after.split_inclusive('>').next().unwrap_or_default() } else { "" };
    let is_process =
        !process.is_empty() && process.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'<' | b'>'));
    let (process, message) = if is_process {
        let message = &after[process.len()..];
        (process, message.strip_prefix(' ').unwrap_or(message))
    } else {
        ("", rest.trim_start())
    };
    Head { time_unix_nano: Some(time), stamp, severity, process, message }
}

/// The severity among the first words, and what stands behind it.
fn severity_in(text: &str) -> (Option<(i32, &str)>, &str) {
    let mut rest = text;
    for _ in 0..SEVERITY_WORDS {
        rest = rest.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = rest[..end].trim_matches(['[', ']', '(', ')', ':', '|', '-']);
        let is_word = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        if let (true, Some(number)) = (is_word, severity_number(word)) {
            return (Some((number, word)), &rest[end..]);
        }
        rest = &rest[end..];
    }
    (None, text)
}

/// Whether a line belongs to the record that `first` begins.
fn goes_on(first: &Head<'_>, line: &Head<'_>, raw: &str) -> bool {
    match (first.time_unix_nano, line.time_unix_nano) {
        (Some(_), None) => true,
        (None, None) => raw.starts_with([' ', '\t']) || raw.starts_with("Caused by:"),
        _ => !first.process.is_empty() && (first.stamp, first.process) == (line.stamp, line.process),
    }
}

pub(super) fn decode_text(body: &[u8], logs: &mut LogSink<'_>) {
    let text = String::from_utf8_lossy(body);
    let mut open: Option<(Head<'_>, String)> = None;
    for line in text.lines() {
        let next = head(line);
        match &mut open {
            Some((first, message)) if goes_on(first, &next, line) => {
                message.push('\n');
                message.push_str(if next.time_unix_nano.is_some() { next.message } else { line });
            }
            _ if line.trim().is_empty() => {}
            _ => {
                push(logs, open.take());
                logs.sink.look();
                if logs.sink.is_overfull() {
                    return;
                }
                open = Some((next.clone(), next.message.to_owned()));
            }
        }
    }
    push(logs, open);
}

fn push(logs: &mut LogSink<'_>, record: Option<(Head<'_>, String)>) {
    let Some((head, message)) = record else { return };
    logs.sink.begin_span();
    if message.len() > logs.sink.limits.span_bytes_max {
        return logs.sink.refuse_large_span(message.len());
    }
    logs.of_service(if head.process.is_empty() { b"" } else { b"rabbitmq" });
    let mut row = LogRow { scope: logs.sink.current_scope(), ..LogRow::default() };
    row.time_unix_nano = head.time_unix_nano.unwrap_or(0);
    if let Some((number, word)) = head.severity {
        row.severity_number = number;
        row.severity_text = logs.sink.text(word.as_bytes());
    }
    row.body = Value::Str(logs.sink.text(message.trim_end().as_bytes()));
    let mut count = AttributeCount::new(Level::Span);
    if !head.process.is_empty()
        && let Some(key) = logs.sink.key(&mut count, b"erlang.pid")
    {
        let value = Value::Str(logs.sink.string(head.process.as_bytes()));
        logs.sink.push(Level::Span, key, value);
    }
    logs.push(row);
}
