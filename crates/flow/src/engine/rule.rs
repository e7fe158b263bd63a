//! Declarations of what is expected, as people write them: `payment consumes orders within 30s`.
//!
//! One sentence: a consumer group (or a service, where there are no groups), `consumes`, a destination, `within`, a time. The
//! destination is its name, or `system:name` where several systems have one of that name. Names with spaces stand in double quotes.
//! Errors say where, in bytes.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::destination::DestinationKey;

/// "Messages on `destination` are consumed by `group` within `within_ns`."
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// The consumer group; a service where there are no groups.
    pub group: String,
    /// The destination's name, or `system:name`.
    pub destination: String,
    /// How soon, in nanoseconds.
    pub within_ns: u64,
}

/// Why a declaration cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}, at byte {position}")]
pub struct RuleError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes.
    pub position: usize,
}

/// A day: what comes later is not worth waiting for in memory.
const WITHIN_MAX_NS: u64 = 24 * 3_600 * 1_000_000_000;
const UNITS: [(&str, u64); 5] = [
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

impl Rule {
    /// Whether it is about a destination.
    pub fn is_about(&self, key: &DestinationKey) -> bool {
        if self.destination == key.name {
            return true;
        }
        let prefixed = self.destination.strip_prefix(&*key.system).and_then(|rest| rest.strip_prefix(':'));
        prefixed == Some(&*key.name)
    }
}

/// A word with its place.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

fn error<T>(message: impl Into<String>, position: usize) -> Result<T, RuleError> {
    Err(RuleError { message: message.into(), position })
}

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Result<(&'a str, usize), RuleError> {
        let rest = &self.text[self.at..];
        let begin = self.at + rest.len() - rest.trim_start().len();
        let rest = &self.text[begin..];
        if rest.is_empty() {
            return error(format!("{what} is missing"), begin);
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let Some(length) = quoted.find('"') else { return error("the quotes are not closed", begin) };
            self.at = begin + length + 2;
            return if length == 0 { error(format!("{what} is empty"), begin) } else { Ok((&quoted[..length], begin)) };
        }
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.at = begin + length;
        Ok((&rest[..length], begin))
    }

    fn keyword(&mut self, word: &str) -> Result<(), RuleError> {
        let what = format!("`{word}`");
        match self.next(&what)? {
            (found, _) if found == word => Ok(()),
            (found, at) => error(format!("expected {what}, found {found:?}"), at),
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        let mut words = Words { text, at: 0 };
        let (group, _) = words.next("a consumer group")?;
        words.keyword("consumes")?;
        let (destination, _) = words.next("a destination")?;
        words.keyword("within")?;
        let (within, at) = words.next("a time")?;
        let within_ns = duration_ns(within);
        let Some(within_ns) = within_ns.filter(|within_ns| (1..=WITHIN_MAX_NS).contains(within_ns)) else {
            return error(format!("{within:?} is not a time of up to a day, such as 500ms, 30s or 5m"), at);
        };
        match words.next("") {
            Ok((more, at)) => error(format!("nothing is expected after the time, found {more:?}"), at),
            Err(_) => Ok(Rule { group: group.to_owned(), destination: destination.to_owned(), within_ns }),
        }
    }
}

fn duration_ns(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == &text[digits..])?;
    number.checked_mul(*unit_ns)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted =
            |name: &str| if name.contains(char::is_whitespace) { format!("\"{name}\"") } else { name.to_owned() };
        let fitting = UNITS.iter().rev().find(|(_, unit_ns)| self.within_ns.is_multiple_of(*unit_ns));
        let &(unit, unit_ns) = fitting.unwrap_or(&UNITS[0]);
        let (group, destination) = (quoted(&self.group), quoted(&self.destination));
        write!(f, "{group} consumes {destination} within {}{unit}", self.within_ns / unit_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        // Guarantees that a declaration survives being shown and read again, with names of any kind.
        for text in [
            "payment consumes orders within 30s",
            "a consumes kafka:b within 5m",
            "\"a b\" consumes \"c d\" within 500ms",
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
        }
        let rule: Rule = "payment  consumes rabbitmq:orders within 1h".parse().unwrap();
        let key = |system: &str| DestinationKey { system: system.to_owned(), name: "orders".to_owned() };
        assert!(rule.is_about(&key("rabbitmq")) && !rule.is_about(&key("kafka")));
    }

    #[test]
    fn errors_say_where() {
        // Guarantees that what cannot be read is refused with the place.
        let place = |text: &str| text.parse::<Rule>().unwrap_err().position;
        assert_eq!(place(""), 0);
        assert_eq!(place("payment eats orders within 3s"), 8);
        assert_eq!(place("payment consumes orders"), 23);
        assert_eq!(place("payment consumes orders within soon"), 31);
        assert_eq!(place("payment consumes orders within 40d"), 31);
        assert_eq!(place("payment consumes orders within 3s or so"), 34);
        assert_eq!(place("payment consumes \"orders within 3s"), 17);
    }
}
