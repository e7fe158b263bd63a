//! Declarations of what is expected, as people write them: `payment consumes orders within 30s`.
//!
//! One sentence: a consumer group (or a service, where there are no groups), `consumes`, a destination, `within`, a time. The
//! destination is its name, or `system:name` where several systems have one of that name. Names with spaces stand in double quotes.
//! Or `after`, the name of a span up to a comma, and then such a sentence or a destination and `is sent within`: what is to follow in
//! the flow of each such span. Errors say where, in bytes.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::promise::is_named;
use crate::destination::DestinationKey;

/// Something that is expected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Of each message at a destination.
    Consumes(Consumes),
    /// In the flow of each span of a name.
    Follows(Follows),
}

/// "Messages on `destination` are consumed by `group` within `within_ns`."
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Consumes {
    /// The consumer group; a service where there are no groups.
    pub group: String,
    /// The destination's name, or `system:name`.
    pub destination: String,
    /// How soon, in nanoseconds.
    pub within_ns: u64,
}

/// "After a span named `after`, `effect` happens in its flow within `within_ns`."
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Follows {
    /// The name of a span that serves, or that begins a trace.
    pub after: String,
    /// What is to happen.
    pub effect: Effect,
    /// How soon, in nanoseconds.
    pub within_ns: u64,
}

/// What is to happen in a flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A message is sent to this destination.
    Sent(String),
    /// A message is received.
    Consumed {
        /// By this group.
        group: String,
        /// From this destination.
        destination: String,
    },
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

impl Consumes {
    /// Whether it is about a destination.
    pub fn is_about(&self, key: &DestinationKey) -> bool {
        is_named(&self.destination, key)
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

impl Words<'_> {
    /// The name of a span: in quotes, or up to the next comma.
    fn span_name(&mut self) -> Result<String, RuleError> {
        let rest = &self.text[self.at..];
        let begin = self.at + rest.len() - rest.trim_start().len();
        let name = if self.text[begin..].starts_with('"') {
            let (name, _) = self.next("the name of a span")?;
            name.to_owned()
        } else {
            let Some(length) = self.text[begin..].find(',') else {
                return error("a comma is missing after the name of the span", self.text.len());
            };
            self.at = begin + length;
            self.text[begin..self.at].trim_end().to_owned()
        };
        if name.is_empty() {
            return error("the name of a span is missing", begin);
        }
        match self.text[self.at..].strip_prefix(',') {
            Some(_) => self.at += 1,
            None => return error("a comma is missing after the name of the span", self.at),
        }
        Ok(name)
    }

    /// `within` a time, and nothing more.
    fn within(&mut self) -> Result<u64, RuleError> {
        self.keyword("within")?;
        let (within, at) = self.next("a time")?;
        let within_ns = duration_ns(within);
        let Some(within_ns) = within_ns.filter(|within_ns| (1..=WITHIN_MAX_NS).contains(within_ns)) else {
            return error(format!("{within:?} is not a time of up to a day, such as 500ms, 30s or 5m"), at);
        };
        match self.next("") {
            Ok((more, at)) => error(format!("nothing is expected after the time, found {more:?}"), at),
            Err(_) => Ok(within_ns),
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        let mut words = Words { text, at: 0 };
        let is_after =
            text.trim_start().strip_prefix("after").is_some_and(|rest| rest.starts_with(char::is_whitespace));
        let second = Words { text, at: 0 };
        if is_after && second.tell_of_more() {
            return follows(words).map(Rule::Follows);
        }
        let (group, _) = words.next("a consumer group")?;
        words.keyword("consumes")?;
        let (destination, _) = words.next("a destination")?;
        let (group, destination) = (group.to_owned(), destination.to_owned());
        Ok(Rule::Consumes(Consumes { group, destination, within_ns: words.within()? }))
    }
}

impl Words<'_> {
    /// Whether the second word is another one than `consumes`: a group may be called `after`.
    fn tell_of_more(mut self) -> bool {
        drop(self.next(""));
        self.next("").is_ok_and(|(word, _)| word != "consumes")
    }
}

fn follows(mut words: Words<'_>) -> Result<Follows, RuleError> {
    words.keyword("after")?;
    let after = words.span_name()?;
    let (first, _) = words.next("a destination or a consumer group")?;
    let effect = match words.next("`is sent` or `consumes`")? {
        ("is", _) => {
            words.keyword("sent")?;
            Effect::Sent(first.to_owned())
        }
        ("consumes", _) => {
            let (destination, _) = words.next("a destination")?;
            Effect::Consumed { group: first.to_owned(), destination: destination.to_owned() }
        }
        (found, at) => return error(format!("expected `is sent` or `consumes`, found {found:?}"), at),
    };
    Ok(Follows { after, effect, within_ns: words.within()? })
}

fn duration_ns(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == &text[digits..])?;
    number.checked_mul(*unit_ns)
}

fn quoted(name: &str) -> String {
    if name.contains(char::is_whitespace) { format!("\"{name}\"") } else { name.to_owned() }
}

fn time(within_ns: u64) -> String {
    let fitting = UNITS.iter().rev().find(|(_, unit_ns)| within_ns.is_multiple_of(*unit_ns));
    let &(unit, unit_ns) = fitting.unwrap_or(&UNITS[0]);
    format!("{}{unit}", within_ns / unit_ns)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Consumes(rule) => {
                let (group, destination) = (quoted(&rule.group), quoted(&rule.destination));
                write!(f, "{group} consumes {destination} within {}", time(rule.within_ns))
            }
            Rule::Follows(rule) => rule.fmt(f),
        }
    }
}

impl fmt::Display for Follows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_odd = self.after.contains(',') || self.after.trim() != self.after;
        let after = if is_odd { format!("\"{}\"", self.after) } else { self.after.clone() };
        write!(f, "after {after}, ")?;
        match &self.effect {
            Effect::Sent(destination) => write!(f, "{} is sent", quoted(destination))?,
            Effect::Consumed { group, destination } => {
                write!(f, "{} consumes {}", quoted(group), quoted(destination))?;
            }
        }
        write!(f, " within {}", time(self.within_ns))
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
            "after consumes b within 1s",
            "after POST /order, email is sent within 5m",
            "after \"GET /a,b\", stock consumes kafka:orders within 1h",
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
        }
        let Ok(Rule::Consumes(rule)) = "payment  consumes rabbitmq:orders within 1h".parse() else { panic!("a rule") };
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
        assert_eq!(place("after POST /order email is sent within 5m"), 41);
        assert_eq!(place("after , email is sent within 5m"), 6);
        assert_eq!(place("after POST /order, email goes out within 5m"), 25);
        assert_eq!(place("after POST /order, email is sent in 5m"), 33);
        assert_eq!(place("after POST /order"), 17);
    }
}
