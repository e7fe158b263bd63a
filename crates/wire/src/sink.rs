//! [`Sink`]: where every decoder puts what it reads. Keeps the limits, and counts what they cost.
//!
//! Decoders know formats, the sink knows [`Limits`]: no decoder touches the text table or a report on its own account.

use std::borrow::Cow;

use model::nested::NestedWriter;
use model::{Attributes, Level, Limits, SpanBatch, TextId, Value};

use crate::Decoded;
use crate::report::{Reason, Report};

/// Values nested deeper than this are refused with their whole body; between [`Limits::depth_max`] and this they become empty.
/// No lower than what prost accepts (100 levels of messages, at least two a nesting).
pub(crate) const NESTING_REFUSED: usize = 64;

/// How often the memory of the batch is looked at when spans are small; a power of two.
const LOOK_EVERY_SPANS: u64 = 16;

/// Collects a batch.
#[derive(Debug)]
pub(crate) struct Sink<'l> {
    pub(crate) batch: SpanBatch,
    pub(crate) report: Report,
    pub(crate) limits: &'l Limits,
    /// Memory that the batch may take.
    batch_bytes_max: usize,
    /// Whether it takes more.
    overfull: bool,
    /// The array or map being read.
    pub(crate) nested: NestedWriter,
    /// Whether something of it did not fit.
    nested_cut: bool,
    /// About how many bytes the span being read has, for formats that do not say.
    span_bytes: usize,
    /// What came after and with each text that is a key, at the key's number.
    habits: Vec<Habit>,
    /// The key read last.
    last_key: TextId,
    /// Whether the text table holds something that is not UTF-8, so that being in the table proves nothing.
    raw_bytes_in_table: bool,
}

/// What to expect at a key. Spans of one operation have the same keys in the same order, and many of the same values: comparing
/// with what came last time is cheaper than hashing.
#[derive(Debug, Clone, Copy, Default)]
struct Habit {
    /// The key that came after it.
    next_key: TextId,
    /// The string that came with it.
    value: TextId,
}

/// How many attributes one owner has.
#[derive(Debug)]
pub(crate) struct AttributeCount {
    pub(crate) level: Level,
    kept: usize,
    /// Dropped by a limit.
    pub(crate) dropped: u32,
}

impl AttributeCount {
    pub(crate) fn new(level: Level) -> Self {
        AttributeCount { level, kept: 0, dropped: 0 }
    }

    /// What the sender dropped and what a limit dropped.
    pub(crate) fn total_dropped(&self, by_sender: u32) -> u32 {
        by_sender.saturating_add(self.dropped)
    }
}

impl<'l> Sink<'l> {
    pub(crate) fn new(limits: &'l Limits, batch_bytes_max: usize) -> Self {
        Sink {
            batch: SpanBatch::default(),
            report: Report::default(),
            limits,
            batch_bytes_max,
            overfull: false,
            nested: NestedWriter::default(),
            nested_cut: false,
            span_bytes: 0,
            habits: vec![Habit::default()],
            last_key: TextId::EMPTY,
            raw_bytes_in_table: false,
        }
    }

    pub(crate) fn finish(self) -> Decoded {
        Decoded { batch: self.batch, report: self.report }
    }

    /// Interns a string: cut to the limit, made UTF-8.
    #[inline]
    pub(crate) fn text(&mut self, bytes: &[u8]) -> TextId {
        if bytes.is_empty() {
            return TextId::EMPTY;
        }
        if bytes.len() <= self.limits.value_bytes_max && !self.raw_bytes_in_table {
            let known = self.batch.text.len();
            let id = self.batch.text.intern(bytes);
            // Only a text that is new needs to be looked at.
            if id.index() < known || std::str::from_utf8(bytes).is_ok() {
                return id;
            }
            self.raw_bytes_in_table = true;
        }
        self.unusual_text(bytes)
    }

    #[cold]
    fn unusual_text(&mut self, bytes: &[u8]) -> TextId {
        let (text, cut) = self.readable(bytes, self.limits.value_bytes_max);
        if cut {
            self.report.add(Reason::ValueTruncated);
        }
        self.batch.text.intern(text.as_bytes())
    }

    /// The text of bytes in at most `max` bytes, and whether it had to be cut.
    fn readable<'b>(&mut self, bytes: &'b [u8], max: usize) -> (Cow<'b, str>, bool) {
        let kept = &bytes[..character_border(bytes, max)];
        let text = match std::str::from_utf8(kept) {
            Ok(text) => return (Cow::Borrowed(text), kept.len() < bytes.len()),
            Err(_) => String::from_utf8_lossy(kept),
        };
        self.report.add(Reason::InvalidUtf8);
        // Replacement characters are longer than what they replace.
        let border = text.floor_char_boundary(max);
        let cut = kept.len() < bytes.len() || border < text.len();
        (Cow::Owned(text[..border].to_owned()), cut)
    }

    /// A string value of the key read last.
    #[inline]
    pub(crate) fn string(&mut self, bytes: &[u8]) -> TextId {
        let expected = self.habits[self.last_key.index()].value;
        if self.batch.text.bytes(expected) == bytes {
            return expected;
        }
        let text = self.text(bytes);
        self.habits[self.last_key.index()].value = text;
        text
    }

    /// The number of a key.
    #[inline]
    fn key_text(&mut self, bytes: &[u8]) -> TextId {
        let expected = self.habits[self.last_key.index()].next_key;
        if self.batch.text.bytes(expected) == bytes {
            self.last_key = expected;
            return expected;
        }
        self.new_key_text(bytes)
    }

    fn new_key_text(&mut self, bytes: &[u8]) -> TextId {
        let key = self.text(bytes);
        self.habits[self.last_key.index()].next_key = key;
        if self.habits.len() <= key.index() {
            self.habits.resize(key.index() + 1, Habit::default());
        }
        self.last_key = key;
        key
    }

    /// A value of bytes, cut to the limit.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Value {
        let kept = &bytes[..bytes.len().min(self.limits.value_bytes_max)];
        if kept.len() < bytes.len() {
            self.report.add(Reason::ValueTruncated);
        }
        self.raw_bytes_in_table |= std::str::from_utf8(kept).is_err();
        Value::Bytes(self.batch.text.intern(kept))
    }

    /// The number of an attribute's key; `None`, and counted, when the owner has too many or the key is too long.
    #[inline]
    pub(crate) fn key(&mut self, count: &mut AttributeCount, key: &[u8]) -> Option<TextId> {
        if count.kept >= self.limits.attributes_max {
            self.drop_attribute(count, Reason::AttributesOverLimit);
            return None;
        }
        if key.len() > self.limits.key_bytes_max {
            self.drop_attribute(count, Reason::KeyTooLong);
            return None;
        }
        count.kept += 1;
        Some(self.key_text(key))
    }

    #[cold]
    fn drop_attribute(&mut self, count: &mut AttributeCount, reason: Reason) {
        self.report.add(reason);
        count.dropped = count.dropped.saturating_add(1);
    }

    /// Adds an attribute whose key was accepted.
    #[inline]
    pub(crate) fn push(&mut self, level: Level, key: TextId, value: Value) {
        self.pool(level).push(key, value);
    }

    #[inline]
    fn pool(&mut self, level: Level) -> &mut Attributes {
        match level {
            Level::Span => &mut self.batch.attributes,
            Level::Resource => &mut self.batch.resource_attributes,
            Level::Scope => &mut self.batch.scope_attributes,
            Level::Event => &mut self.batch.events.attributes,
            Level::Link => &mut self.batch.links.attributes,
        }
    }

    /// Begins a span.
    #[inline]
    pub(crate) fn begin_span(&mut self) {
        if self.report.received_spans & (LOOK_EVERY_SPANS - 1) == 0 {
            self.look();
        }
        self.report.received_spans += 1;
        self.span_bytes = 0;
    }

    /// Looks at the memory of the batch.
    pub(crate) fn look(&mut self) {
        self.overfull |= self.batch.heap_bytes() > self.batch_bytes_max;
    }

    /// Whether the batch takes more memory than it may, so that reading has to stop.
    #[inline]
    pub(crate) fn is_overfull(&self) -> bool {
        self.overfull
    }

    /// Adds to the size of the span being read.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.span_bytes += bytes + 2;
    }

    /// Refuses the span being read if what was charged is over the limit.
    pub(crate) fn refuse_charged_span(&mut self) -> bool {
        let too_large = self.span_bytes > self.limits.span_bytes_max;
        if too_large {
            self.refuse_large_span(self.span_bytes);
        }
        too_large
    }

    #[cold]
    pub(crate) fn refuse_large_span(&mut self, bytes: usize) {
        let max = self.limits.span_bytes_max;
        self.refuse_span(Reason::SpanTooLarge, format_args!("{bytes} bytes, at most {max} are accepted"));
    }

    /// Refuses the span being read, and forgets what it brought.
    #[cold]
    pub(crate) fn refuse_span(&mut self, reason: Reason, problem: std::fmt::Arguments<'_>) {
        self.report.refuse(reason, problem);
        self.batch.drop_open_span();
    }
}

/// Arrays and maps: their text is bounded like that of any other value, by leaving out what comes last.
impl Sink<'_> {
    pub(crate) fn begin_nested(&mut self) {
        self.nested.clear();
        self.nested_cut = false;
    }

    pub(crate) fn end_nested(&mut self) -> Value {
        if self.nested_cut {
            self.report.add(Reason::ValueTruncated);
        }
        Value::Json(self.batch.text.intern(self.nested.text().as_bytes()))
    }

    fn nested_room(&self) -> usize {
        self.limits.value_bytes_max.saturating_sub(self.nested.text().len())
    }

    /// Whether one more element or entry may begin.
    pub(crate) fn nested_has_room(&mut self) -> bool {
        let room = self.nested_room() > 0;
        self.nested_cut |= !room;
        room
    }

    /// Whether an array or map may begin at this depth (the outermost is at 1); if not it is written as empty, and counted.
    pub(crate) fn nested_may_open(&mut self, depth: usize) -> bool {
        let may = depth <= self.limits.depth_max;
        if !may {
            self.report.add(Reason::DepthOverLimit);
            self.nested.empty();
        }
        may
    }

    pub(crate) fn nested_string(&mut self, bytes: &[u8]) {
        let (text, cut) = self.readable(bytes, self.nested_room());
        self.nested_cut |= cut;
        self.nested.str(&text);
    }

    pub(crate) fn nested_key(&mut self, bytes: &[u8]) {
        let (text, cut) = self.readable(bytes, self.nested_room());
        self.nested_cut |= cut;
        self.nested.key(&text);
    }

    pub(crate) fn nested_bytes(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.nested_room());
        self.nested_cut |= kept < bytes.len();
        self.nested.bytes(&bytes[..kept]);
    }
}

/// The largest length up to `max` at which `bytes`, if UTF-8, can be cut.
fn character_border(bytes: &[u8], max: usize) -> usize {
    if bytes.len() <= max {
        return bytes.len();
    }
    // A UTF-8 character has at most three continuation bytes.
    let continues = |&&byte: &&u8| byte & 0xc0 == 0x80;
    let back = bytes[..=max].iter().rev().take(4).take_while(continues).count();
    if back < 4 { max.checked_sub(back).unwrap_or(max) } else { max }
}
