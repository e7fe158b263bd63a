//! What values are compared with: texts, numbers, durations, patterns.

use std::cmp::Ordering;
use std::fmt;

use model::ValueRef;
use regex::{Regex, RegexBuilder};

use super::FilterError;

/// Bytes a compiled pattern may take, and as much again for the automaton it builds while it runs.
pub const PATTERN_BYTES_MAX: usize = 1 << 20;

/// How deep the groups of a pattern may nest.
const PATTERN_NEST_MAX: u32 = 64;

/// What values are compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// A number.
    Number(Number),
    /// Nanoseconds, for `duration`.
    DurationNs(u64),
    /// A regular expression.
    Pattern(Pattern),
}

/// A number as somebody wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    text: String,
    value: f64,
    /// Exact where a double would not be.
    integer: Option<i64>,
}

impl Number {
    /// Reads decimal notation; words such as `inf` and `nan`, and what a double cannot hold, are not numbers.
    pub fn parse(text: &str) -> Option<Number> {
        if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.')) {
            return None;
        }
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
        if text.contains(|letter: char| letter.is_ascii_alphabetic() && !matches!(letter, 'e' | 'E')) {
            return None;
        }
        let integer = text.parse().ok().or_else(|| exact_integer(value));
        Some(Number { text: text.to_owned(), value, integer })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The comparison texts of everything that equals this number: as written, as an integer, as a double.
    pub fn equal_texts(&self) -> Vec<String> {
        let mut texts = vec![self.text.clone()];
        let integer = self.integer.map(|integer| integer.to_string());
        let exact = self.integer.is_none_or(|integer| exact_integer(self.value) == Some(integer));
        let double = exact.then(|| ValueRef::Double(self.value).comparison_text().into_owned());
        for text in integer.into_iter().chain(double) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }

    /// How a value compares with this number; nothing if the value is not a number.
    pub fn order(&self, value: ValueRef<'_>) -> Option<Ordering> {
        if let (ValueRef::Int(value), Some(integer)) = (value, self.integer) {
            return Some(value.cmp(&integer));
        }
        value.as_number()?.partial_cmp(&self.value)
    }
}

fn exact_integer(value: f64) -> Option<i64> {
    let limit = 2f64.powi(63);
    (value.fract() == 0.0 && value >= -limit && value < limit).then_some(value as i64)
}

/// A regular expression that is looked for anywhere in a text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression within bounds of memory and depth; matching takes time linear in the text.
    pub fn new(source: &str) -> Result<Pattern, FilterError> {
        let built = RegexBuilder::new(source)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .nest_limit(PATTERN_NEST_MAX)
            .build();
        built.map(Pattern).map_err(|error| refusal(&error))
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn refusal(error: &regex::Error) -> FilterError {
    const HINT: &str = "a regular expression in Rust's syntax, without look-around and back references";
    match error {
        regex::Error::CompiledTooBig(_) => {
            FilterError::new("the regular expression is too large", "use fewer or smaller repetitions")
        }
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            FilterError::new(format!("not a regular expression: {reason}"), HINT)
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

/// Units of durations, largest first, in nanoseconds.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `120ns`, `35us`, `10ms`, `1.5s`, `2m`, `1h`, several of them in a row (`1h30m`), or a plain number of nanoseconds. The
/// one reading of durations, in queries and in parameters.
pub fn parse_duration_ns(text: &str) -> Option<u64> {
    if let Some((total_ns, "")) = number_ns(text, 1) {
        return Some(total_ns);
    }
    let mut total_ns: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (part_ns, after) = duration_part(rest)?;
        total_ns = total_ns.checked_add(part_ns)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total_ns)
}

/// A number with its unit, and what comes after it.
fn duration_part(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let unit = &text[digits..];
    let unit = &unit[..unit.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(unit.len())];
    let unit_ns = match unit {
        "µs" | "μs" => 1_000,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    let (part_ns, _) = number_ns(text, unit_ns)?;
    Some((part_ns, &text[digits + unit.len()..]))
}

/// The number a text begins with, in units of `unit_ns`, and what comes after it.
fn number_ns(text: &str, unit_ns: u64) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (whole, fraction) = text[..end].split_once('.').unwrap_or((&text[..end], ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let total_ns = whole.checked_mul(unit_ns)?.checked_add(fraction_ns(fraction, unit_ns))?;
    Some((total_ns, &text[end..]))
}

/// The nanoseconds in the digits behind the point; what is finer is cut off.
fn fraction_ns(digits: &str, unit_ns: u64) -> u64 {
    let mut rest = u128::from(unit_ns) * 1_000_000_000_000_000_000;
    let mut total = 0;
    for digit in digits.bytes().take(18) {
        rest /= 10;
        total += rest * u128::from(digit - b'0');
    }
    (total / 1_000_000_000_000_000_000) as u64
}

/// A duration as the language writes it: in the largest unit that leaves nothing over.
pub(super) fn show_duration(duration_ns: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fits = |&&(_, unit_ns): &&(&str, u64)| duration_ns != 0 && duration_ns.is_multiple_of(unit_ns);
    let (unit, unit_ns) = UNITS.iter().find(fits).copied().unwrap_or(("ns", 1));
    write!(f, "{}{unit}", duration_ns / unit_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        // Guarantees every documented spelling of a duration, and that nonsense and overflow are refused.
        let good = [
            ("120ns", 120),
            ("35us", 35_000),
            ("35µs", 35_000),
            ("10ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("42", 42),
            (".5us", 500),
            ("0.000000001s", 1),
            ("1h30m", 5_400_000_000_000),
            ("1m0.5s", 60_500_000_000),
            ("1s500ms20us", 1_500_020_000),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, want) in good {
            assert_eq!(parse_duration_ns(text), Some(want), "{text}");
        }
        for bad in [
            "",
            "ms",
            ".",
            "1.2.3s",
            "-5ms",
            "5 ms",
            "5d",
            "18446744073709551616",
            "99999999999h",
            "1e3",
            "1s5",
            "5s-1ms",
            "1hh",
            "1h 30m",
            "18446744073s18446744073s",
        ] {
            assert_eq!(parse_duration_ns(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_number_knows_its_texts() {
        // Guarantees that a number equals integers and doubles of its value, and never a neighbouring integer.
        let texts = |text: &str| Number::parse(text).unwrap().equal_texts();
        assert_eq!(texts("5"), ["5"]);
        assert_eq!(texts("5.0"), ["5.0", "5"]);
        assert_eq!(texts("1e3"), ["1e3", "1000"]);
        assert_eq!(texts("1e16"), ["1e16", "10000000000000000"]);
        assert_eq!(texts("-0"), ["-0", "0"]);
        assert_eq!(texts("9007199254740993"), ["9007199254740993"]);
        assert_eq!(texts("0.10"), ["0.10", "0.1"]);
        for word in ["inf", "nan", "-inf", "infinity", "1e999", "0x10", "", "-", "five"] {
            assert_eq!(Number::parse(word), None, "{word}");
        }
    }

    #[test]
    fn large_patterns_are_refused() {
        // Guarantees that a pattern cannot take more memory than its bound, and that the refusal says why.
        assert!(Pattern::new("(a{1000}){1000}").unwrap_err().message.contains("too large"));
        assert!(Pattern::new("(").unwrap_err().message.contains("unclosed group"));
        assert!(Pattern::new(&"(".repeat(100_000)).is_err());
    }
}
