//! How far long work is, on stderr: one line that is written over on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often a terminal is written to.
const EVERY_ON_TERMINAL: Duration = Duration::from_millis(200);
/// How often a file or a pipe is.
const EVERY: Duration = Duration::from_secs(10);

/// Says how far something is.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    is_terminal: bool,
    began: Instant,
    said: Instant,
    has_said: bool,
}

impl Progress {
    /// Of work that begins now.
    pub(crate) fn new(what: &'static str) -> Progress {
        let now = Instant::now();
        Progress { what, is_terminal: stderr().is_terminal(), began: now, said: now, has_said: false }
    }

    /// Says so if it is time to; `total` is 0 when it is not known.
    pub(crate) fn tell(&mut self, bytes: u64, total: u64) {
        let every = if self.is_terminal { EVERY_ON_TERMINAL } else { EVERY };
        if self.said.elapsed() < every {
            return;
        }
        (self.said, self.has_said) = (Instant::now(), true);
        let share = if total == 0 { String::new() } else { format!(" of {}", megabytes(total)) };
        let rate = bytes as f64 / 1e6 / self.began.elapsed().as_secs_f64();
        let line = format!("{} {}{share}, {rate:.0} MB/s", self.what, megabytes(bytes));
        let end = if self.is_terminal { '\r' } else { '\n' };
        // Nobody to tell is no reason to stop.
        drop(write!(stderr(), "{line}{end}"));
    }

    /// Makes room for what comes after.
    pub(crate) fn end(&self) {
        if self.is_terminal && self.has_said {
            drop(write!(stderr(), "\r\x1b[K"));
        }
    }
}

/// Bytes for people.
pub(crate) fn megabytes(bytes: u64) -> String {
    let kilobytes = bytes as f64 / 1e3;
    if kilobytes < 100.0 { format!("{kilobytes:.1} kB") } else { format!("{:.1} MB", kilobytes / 1e3) }
}

/// A number with separators between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        // Guarantees that large counts are readable and none loses a digit.
        let all = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        assert!(all.iter().all(|&(number, text)| grouped(number) == text));
    }
}
