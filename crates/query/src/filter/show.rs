//! A filter as text of the language: reading it again gives the same filter, for every filter made by the constructors.

use std::fmt::{self, Display, Formatter, Write};

use crate::language::{is_bare_letter, is_keyword};

use super::literal::show_duration;
use super::{Field, Filter, Literal, Number, Op};

/// The empty text for [`Filter::All`].
impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if *self == Filter::All { Ok(()) } else { show(self, f, Place::Top) }
    }
}

/// What a filter stands in, which decides whether it needs parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Place {
    Top,
    Or,
    And,
    Not,
}

fn show(filter: &Filter, f: &mut Formatter<'_>, place: Place) -> fmt::Result {
    match filter {
        Filter::All => f.write_str("()"),
        Filter::And(parts) if parts.is_empty() => f.write_str("()"),
        Filter::Or(parts) if parts.is_empty() => f.write_str("not ()"),
        Filter::And(parts) => join(parts, " and ", Place::And, f, place),
        Filter::Or(parts) => join(parts, " or ", Place::Or, f, place),
        Filter::Not(inner) => {
            f.write_str("not ")?;
            show(inner, f, Place::Not)
        }
        Filter::Compare { field, op, value } => {
            write!(f, "{field} {op} ")?;
            show_literal(value, f)
        }
        Filter::Exists(field) => write!(f, "{field} exists"),
    }
}

fn join(parts: &[Filter], word: &str, own: Place, f: &mut Formatter<'_>, place: Place) -> fmt::Result {
    let parentheses = place >= own;
    if parentheses {
        f.write_char('(')?;
    }
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        show(part, f, own)?;
    }
    if parentheses { f.write_char(')') } else { Ok(()) }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Field::Attribute { level, key } = self else {
            return f.write_str(self.own_name().expect("a field is an attribute or has a name"));
        };
        let bare = is_bare(key) && (level.is_some() || Field::from_name(key) == *self);
        if let Some(level) = level {
            write!(f, "{}.", level.name())?;
        }
        if bare { f.write_str(key) } else { quote(key, f) }
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

fn show_literal(literal: &Literal, f: &mut Formatter<'_>) -> fmt::Result {
    match literal {
        Literal::Text(text) if is_bare(text) && Number::parse(text).is_none() => f.write_str(text),
        Literal::Text(text) => quote(text, f),
        Literal::Number(number) => f.write_str(number.text()),
        Literal::DurationNs(duration_ns) => show_duration(*duration_ns, f),
        Literal::Pattern(pattern) => quote(pattern.source(), f),
    }
}

/// Whether a text can stand without quotes. One that ends with a point could be taken for a level before a quoted key.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_bare_letter) && !is_keyword(text) && !text.ends_with('.')
}

fn quote(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(letter)?;
    }
    f.write_char('"')
}
