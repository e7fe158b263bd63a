//! The loose forms in which senders write simple things: numbers as text, a header as an array of one, an instant in any unit.
//!
//! Everything borrows and nothing fails: what cannot be read is absent. Deliberately absent: which attribute is meant.

use std::fmt;

use model::ValueRef;

/// A name that some senders write as text and some as a number: a partition, a message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word<'a> {
    /// As text.
    Text(&'a str),
    /// As a number.
    Number(i64),
}

impl Word<'_> {
    /// Whether nothing was written.
    pub fn is_empty(self) -> bool {
        self == Word::Text("")
    }
}

impl Default for Word<'_> {
    fn default() -> Self {
        Word::Text("")
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Text(text) => f.write_str(text),
            Word::Number(number) => number.fmt(f),
        }
    }
}

/// The text of a value; of an array the first item, as captured headers are arrays of one.
pub(super) fn first_text(value: ValueRef<'_>) -> &str {
    match value {
        ValueRef::Str(text) => text,
        ValueRef::Json(json) => first_of_array(json).unwrap_or(json),
        _ => "",
    }
}

/// The first item of a JSON array if it is a string without escapes.
fn first_of_array(json: &str) -> Option<&str> {
    let rest = json.strip_prefix("[\"")?;
    let end = rest.find(['"', '\\'])?;
    rest[end..].starts_with('"').then(|| &rest[..end])
}

/// Before this a number of seconds since 1970, later milliseconds, then micro- and nanoseconds: all mean years 1973 to 5138.
const SECONDS_BELOW: i64 = 100_000_000_000;

/// A Unix instant in seconds, milli-, micro- or nanoseconds, told apart by its size, as Unix nanoseconds.
pub(super) fn unix_nano(instant: i64) -> Option<u64> {
    let mut instant = u64::try_from(instant).ok().filter(|&instant| instant > 0)?;
    let mut steps = 0;
    let mut below = SECONDS_BELOW as u64;
    while steps < 3 && instant >= below {
        below = below.saturating_mul(1_000);
        steps += 1;
    }
    for _ in steps..3 {
        instant = instant.checked_mul(1_000)?;
    }
    Some(instant)
}

/// What stands behind `key` in a map that was printed by some language: `{queue=a, …}`, `{"queue":"a"}`, `{'queue': 'a'}`.
pub(super) fn printed_field<'a>(printed: &'a str, key: &str) -> &'a str {
    const QUOTES: [char; 3] = ['"', '\'', '\\'];
    let mut rest = printed;
    // Most spans have no such map, and making a searcher costs more than all else here.
    while !rest.is_empty()
        && let Some(at) = rest.find(key)
    {
        let (before, after) = (&rest[..at], &rest[at + key.len()..]);
        rest = after;
        let starts = before.is_empty() || before.ends_with(['{', ' ', ',', '"', '\'']);
        let value = after.trim_start_matches(QUOTES).trim_start();
        let Some(value) = value.strip_prefix(['=', ':']).filter(|_| starts) else { continue };
        let value = value.trim_start().trim_start_matches(QUOTES);
        let end = value.find([',', '}', ']', '"', '\'', '\\']).unwrap_or(value.len());
        return value[..end].trim();
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_any_unit() {
        // Guarantees that seconds, milliseconds, microseconds and nanoseconds of one instant are the same instant.
        let expected = Some(1_700_000_000_000_000_000);
        for instant in [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000, 1_700_000_000_000_000_000] {
            assert_eq!(unix_nano(instant), expected, "{instant}");
        }
        assert_eq!((unix_nano(0), unix_nano(-5)), (None, None));
        assert!(unix_nano(i64::MAX).is_some());
    }

    #[test]
    fn printed_maps_are_read() {
        // Guarantees that maps printed by Java, JSON and Python give the value, and a longer key is not taken for a shorter one.
        let java = "{reason=rejected, count=2, exchange=orders, routing-keys=[order.created], queue=payment}";
        assert_eq!((printed_field(java, "queue"), printed_field(java, "reason")), ("payment", "rejected"));
        assert_eq!(printed_field(r#"[{"count":1,"queue":"payment"}]"#, "queue"), "payment");
        assert_eq!(printed_field("{'exchange': '', 'redelivered': True}", "redelivered"), "True");
        assert_eq!(printed_field("{'exchange': '', 'redelivered': True}", "exchange"), "");
        assert_eq!(printed_field("{my-queue=a, queue=b}", "queue"), "b");
        assert_eq!(printed_field("queue", "queue"), "");
    }

    #[test]
    fn headers_are_arrays_of_one() {
        // Guarantees that the first item of an array of texts is its text, and that anything else is left whole.
        assert_eq!(first_text(ValueRef::Json(r#"["3"]"#)), "3");
        assert_eq!(first_text(ValueRef::Json(r#"["a","b"]"#)), "a");
        assert_eq!(first_text(ValueRef::Json("[3]")), "[3]");
        assert_eq!(first_text(ValueRef::Int(3)), "");
    }
}
