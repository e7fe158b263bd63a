//! Instants as loggers write them: RFC 3339 and its relatives, and numbers since 1970 whose unit their size tells.

const NS: u64 = 1_000_000_000;

/// Unix nanoseconds of a number of seconds, milliseconds, microseconds or nanoseconds since 1970; it tells them apart by its size,
/// which is right for instants from 1973 on.
pub(super) fn of_number(number: f64) -> Option<u64> {
    // To the microsecond: a double of seconds holds no more.
    let micros = match number {
        n if !(1e8..1e19).contains(&n) => return None,
        n if n < 1e11 => n * 1e6,
        n if n < 1e14 => n * 1e3,
        n if n < 1e17 => n,
        n => n / 1e3,
    };
    (micros.round() as u64).checked_mul(1_000)
}

/// The same of an integer, exactly.
pub(super) fn of_integer(number: u64) -> Option<u64> {
    let factor = match number {
        0..100_000_000 => return None,
        100_000_000..100_000_000_000 => NS,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(factor)
}

/// Unix nanoseconds of a date and time, with the rest of the text behind them: `2026-11-20T18:00:00.123Z`, `2026-11-20 18:00:00,123`,
/// with or without an offset. Without one it is taken to be UTC.
pub(super) fn of_prefix(text: &str) -> Option<(u64, &str)> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse().ok()
    };
    let separator = |at: usize, allowed: &[u8]| bytes.get(at).filter(|byte| allowed.contains(byte));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    separator(4, b"-/")?;
    separator(7, b"-/")?;
    separator(10, b"Tt ")?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    separator(13, b":")?;
    separator(16, b":")?;
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let mut rest = &text[19..];
    let mut nanos = 0;
    if rest.starts_with(['.', ',']) {
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        let fraction = rest[1..].get(..digits.min(9))?;
        nanos = fraction.parse::<u64>().ok()? * 10_u64.pow(9 - fraction.len() as u32);
        rest = &rest[1 + digits..];
    }
    let (offset_s, rest) = offset(rest);
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
    let seconds = u64::try_from(seconds).ok().filter(|_| in_range)?;
    Some((seconds.checked_mul(NS)?.checked_add(nanos)?, rest))
}

/// Seconds of an offset such as `Z`, `+02:00`, ` +0200`, and what stands behind it.
fn offset(text: &str) -> (i64, &str) {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return (0, rest);
    }
    let trimmed = text.strip_prefix(' ').unwrap_or(text);
    let sign = match trimmed.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (0, text),
    };
    let digits = |from: usize, to: usize| -> Option<i64> {
        let digits = trimmed.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse().ok()
    };
    let colon = usize::from(trimmed.as_bytes().get(3) == Some(&b':'));
    match (digits(1, 3), digits(3 + colon, 5 + colon)) {
        (Some(hours), Some(minutes)) => (sign * (hours * 3_600 + minutes * 60), &trimmed[5 + colon..]),
        _ => (0, text),
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that leap days are their last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_as_loggers_write_them() {
        // Guarantees one reading of the forms that loggers use, to the nanosecond, and that other texts are none.
        let at = 1_763_661_600_123_000_000;
        for text in [
            "2025-11-20T18:00:00.123Z",
            "2025-11-20 18:00:00,123",
            "2025-11-20T20:00:00.123+02:00",
            "2025/11/20 18:00:00.123000000",
            "2025-11-20T13:00:00.123-0500",
            "2025-11-20 19:00:00.123 +0100",
        ] {
            assert_eq!(of_prefix(text), Some((at, "")), "{text}");
        }
        assert_eq!(of_prefix("2025-11-20 18:00:00.123 [info] x"), Some((at, " [info] x")));
        assert_eq!(of_prefix("2024-02-29T00:00:00Z"), Some((1_709_164_800_000_000_000, "")));
        for text in ["", "2025-11-20", "2025-13-20 18:00:00", "é025-11-20 18:00:00", "1900-01-01 00:00:00"] {
            assert_eq!(of_prefix(text), None, "{text}");
        }
        assert_eq!(of_number(1_763_661_600.123).map(|ns| ns / 1_000_000), Some(at / 1_000_000));
        for number in [1_763_661_600, 1_763_661_600_000, 1_763_661_600_000_000, 1_763_661_600_000_000_000] {
            assert_eq!(of_integer(number), Some(1_763_661_600_000_000_000));
        }
        assert_eq!((of_integer(17), of_number(f64::NAN)), (None, None));
    }
}
