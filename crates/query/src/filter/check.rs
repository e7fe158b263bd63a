//! A condition on one value, with its texts looked up once in the table of one batch.
//!
//! Deliberately absent: where values come from (that is `bind`).

use std::cell::RefCell;
use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{TextId, TextTable, Value};

use super::{Literal, Number, Op, Pattern};

/// A condition on one value.
#[derive(Debug)]
pub(super) enum Check {
    /// No value satisfies it.
    Never,
    /// Every value does.
    Always,
    /// The value is one of these, or, negated, none of these.
    Equal { texts: EqualTexts, negated: bool },
    /// The value compares with a number.
    Order { op: Op, number: Number },
    /// The value's text has, or, negated, has not, the pattern in it.
    Matches { pattern: Pattern, negated: bool, known: Known },
}

/// What of one batch's texts and which inline values have one of the wanted comparison texts.
#[derive(Debug, Default)]
pub(super) struct EqualTexts {
    texts: Vec<TextId>,
    bytes: Vec<TextId>,
    integers: Vec<i64>,
    doubles: Vec<f64>,
    booleans: Vec<bool>,
    empty: bool,
}

/// Answers already given for texts of the batch, so that a text is matched once however often it occurs.
#[derive(Debug, Default)]
pub(super) struct Known(RefCell<Vec<u8>>);

const MISS: u8 = 1;
const MATCH: u8 = 2;

impl Known {
    fn get(&self, text: TextId, table: &TextTable, answer: impl FnOnce() -> bool) -> bool {
        let mut known = self.0.borrow_mut();
        if known.is_empty() {
            known.resize(table.len(), 0);
        }
        let slot = &mut known[text.index()];
        if *slot == 0 {
            *slot = if answer() { MATCH } else { MISS };
        }
        *slot == MATCH
    }
}

/// The comparison texts that equal a literal.
pub(super) fn equal_texts(literal: &Literal) -> Vec<String> {
    match literal {
        Literal::Text(text) => vec![text.clone()],
        Literal::Number(number) => number.equal_texts(),
        Literal::DurationNs(_) | Literal::Pattern(_) => Vec::new(),
    }
}

impl EqualTexts {
    fn new(literal: &Literal, table: &TextTable) -> Self {
        let mut found = EqualTexts::default();
        for text in equal_texts(literal) {
            found.add(&text, table);
        }
        found
    }

    fn add(&mut self, text: &str, table: &TextTable) {
        self.texts.extend(table.find(text.as_bytes()));
        self.bytes.extend(STANDARD.decode(text).ok().and_then(|bytes| table.find(&bytes)));
        self.integers.extend(text.parse::<i64>().ok().filter(|integer| integer.to_string() == text));
        let is_text_of = |double: &f64| Value::Double(*double).resolve(table).comparison_text() == text;
        self.doubles.extend(text.parse::<f64>().ok().filter(is_text_of));
        self.booleans.extend(text.parse::<bool>().ok());
        self.empty |= text.is_empty();
    }

    fn is_impossible(&self) -> bool {
        self.texts.is_empty()
            && self.bytes.is_empty()
            && self.integers.is_empty()
            && self.doubles.is_empty()
            && self.booleans.is_empty()
            && !self.empty
    }

    fn contains(&self, value: Value) -> bool {
        match value {
            Value::Str(text) | Value::Json(text) => self.texts.contains(&text),
            Value::Int(value) => self.integers.contains(&value),
            Value::Double(value) => {
                let both_nan = |double: &f64| double.is_nan() && value.is_nan();
                let same = |double: &f64| double.partial_cmp(&value).map_or(both_nan(double), Ordering::is_eq);
                self.doubles.iter().any(same)
            }
            Value::Bool(value) => self.booleans.contains(&value),
            Value::Bytes(text) => self.bytes.contains(&text),
            Value::Empty => self.empty,
        }
    }
}

impl Check {
    /// The condition on values of one batch.
    pub(super) fn new(op: Op, literal: &Literal, table: &TextTable) -> Check {
        match (op, literal) {
            (Op::Equal | Op::NotEqual, Literal::Text(_) | Literal::Number(_)) => {
                let texts = EqualTexts::new(literal, table);
                match (texts.is_impossible(), op) {
                    (true, Op::Equal) => Check::Never,
                    (true, _) => Check::Always,
                    (false, _) => Check::Equal { texts, negated: op == Op::NotEqual },
                }
            }
            (Op::Matches | Op::NotMatches, Literal::Pattern(pattern)) => {
                Check::Matches { pattern: pattern.clone(), negated: op == Op::NotMatches, known: Known::default() }
            }
            (op, Literal::Number(number)) if op.is_ordering() => Check::Order { op, number: number.clone() },
            _ => Check::Never,
        }
    }

    /// Whether a value satisfies the condition.
    pub(super) fn holds(&self, value: Value, table: &TextTable) -> bool {
        match self {
            Check::Never => false,
            Check::Always => true,
            Check::Equal { texts, negated } => texts.contains(value) != *negated,
            Check::Order { op, number } => {
                number.order(value.resolve(table)).is_some_and(|ordering| op.accepts(ordering))
            }
            Check::Matches { pattern, negated, known } => {
                let matches = || pattern.is_match(&value.resolve(table).comparison_text());
                let found = match value {
                    Value::Str(text) | Value::Json(text) => known.get(text, table, matches),
                    _ => matches(),
                };
                found != *negated
            }
        }
    }

    /// As [`Check::holds`], for a field whose empty text means that it is absent.
    pub(super) fn holds_text(&self, text: TextId, table: &TextTable) -> bool {
        text != TextId::EMPTY && self.holds(Value::Str(text), table)
    }
}
