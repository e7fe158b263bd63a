//! Text for a terminal: cleaned, measured, cut, coloured; durations as people say them.

use std::fmt::Write;

/// Colours that tell services apart on dark and light backgrounds, of the 256 that terminals have.
const SERVICE_COLOURS: [u8; 12] = [33, 71, 172, 134, 37, 142, 168, 104, 30, 130, 74, 65];

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Faint,
    Error,
    /// The colour of a service by its number.
    Service(usize),
}

/// Writes styles, or leaves them out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    pub(crate) colours: bool,
}

impl Paint {
    /// Appends `text` in a style.
    pub(crate) fn put(self, line: &mut String, text: &str, style: Style) {
        let code = match style {
            _ if !self.colours || text.is_empty() => None,
            Style::Plain => None,
            Style::Bold => Some("1".to_owned()),
            Style::Faint => Some("2".to_owned()),
            Style::Error => Some("31".to_owned()),
            Style::Service(number) => Some(format!("38;5;{}", SERVICE_COLOURS[number % SERVICE_COLOURS.len()])),
        };
        match code {
            // Writing to a string cannot fail.
            Some(code) => drop(write!(line, "\u{1b}[{code}m{text}\u{1b}[0m")),
            None => line.push_str(text),
        }
    }
}

/// Controls, and what turns the direction of the text around it, become a visible mark: a sender must not steer the terminal.
pub(crate) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Columns that a character takes: none for marks upon another, two for the wide scripts and most pictures.
fn columns_of(c: char) -> usize {
    match c as u32 {
        0x300..=0x36f
        | 0x483..=0x489
        | 0x591..=0x5bd
        | 0x610..=0x61a
        | 0x64b..=0x65f
        | 0x1ab0..=0x1aff
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns that a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The text cut to so many columns, with an ellipsis where something is missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += columns_of(c);
        if taken > most.saturating_sub(1) {
            break;
        }
        kept.push(c);
    }
    if most > 0 {
        kept.push('…');
    }
    kept
}

/// The text with spaces after it, up to so many columns.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let spaces = width.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// Three significant figures up to a minute, two units above.
pub(crate) fn duration(ns: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")];
    if ns < 0.0 {
        return format!("-{}", duration(-ns));
    }
    let seconds = ns / 1e9;
    if seconds >= 59.95 {
        return pair(seconds);
    }
    // The borders are where rounding would print 1000 of the smaller unit.
    let unit = UNITS.iter().rposition(|(factor, _)| ns >= factor * 0.9995).unwrap_or(0);
    let (factor, unit) = UNITS[unit];
    let value = ns / factor;
    let decimals = if unit == "ns" || value >= 99.95 { 0 } else { usize::from(value < 9.995) + 1 };
    let figures = format!("{value:.decimals$}");
    let figures = if figures.contains('.') { figures.trim_end_matches('0').trim_end_matches('.') } else { &figures };
    format!("{figures} {unit}")
}

fn pair(seconds: f64) -> String {
    const STEPS: [(f64, &str, f64, &str); 3] =
        [(86_400.0, "d", 3_600.0, "h"), (3_600.0, "h", 60.0, "m"), (60.0, "m", 1.0, "s")];
    let fits = |&&(large, _, small, _): &&(f64, &str, f64, &str)| (seconds / small).round() * small >= large;
    let &(large, long, small, short) = STEPS.iter().find(fits).unwrap_or(&STEPS[2]);
    let total = (seconds / small).round();
    let per = large / small;
    let (high, low) = ((total / per).floor(), total % per);
    if low < 0.5 { format!("{high} {long}") } else { format!("{high} {long} {low} {short}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_senders_steers_nothing() {
        // Escape sequences, carriage returns and bidirectional overrides of span data reach the terminal as marks only.
        let said = clean("a\u{1b}[2Jb\rc\u{202e}d\u{0}e\u{9b}31m");
        assert_eq!(said, "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}31m");
        assert!(!said.chars().any(char::is_control));
    }

    #[test]
    fn text_is_measured_and_cut_by_columns() {
        // Wide characters take two columns, marks none, and a cut text is never wider than it may be.
        assert_eq!((columns("abc"), columns("日本"), columns("e\u{301}"), columns("🚚x")), (3, 4, 1, 3));
        assert_eq!(
            (cut("日本語", 4).as_str(), cut("abc", 3).as_str(), cut("abcd", 3).as_str(), cut("abc", 0).as_str()),
            ("日…", "abc", "ab…", "")
        );
        for most in 0..12 {
            assert!(columns(&cut("ab日本🚚cde\u{301}f", most)) <= most);
        }
        assert_eq!(padded("日", 4), "日  ");
    }

    #[test]
    fn durations_are_as_on_the_page() {
        // Three figures, never 1000 of a smaller unit, two units from a minute on.
        let given = [
            (0.0, "0 ns"),
            (999.0, "999 ns"),
            (1_500.0, "1.5 µs"),
            (999_600.0, "1 ms"),
            (12_345_678.0, "12.3 ms"),
            (2.41e9, "2.41 s"),
            (59.96e9, "1 m"),
            (72e9, "1 m 12 s"),
            (7_260e9, "2 h 1 m"),
            (90_000e9, "1 d 1 h"),
            (-5e6, "-5 ms"),
        ];
        for (ns, text) in given {
            assert_eq!(duration(ns), text);
        }
    }
}
