//! Destinations that are for messages nobody could handle, recognised by their names.
//!
//! A name is a convention, not a proof: what is found here is a reason to look closer, and where a message says that it died
//! (`x-death`, a DLT header) that counts, not the name.

/// Ends of names that mean a dead-letter destination, as brokers, frameworks and people write them, in lower case.
const ENDINGS: [&str; 16] = [
    "$deadletterqueue",
    "dead-letter-queue",
    "dead_letter_queue",
    "dead.letter.queue",
    "deadletterqueue",
    "dead-letters",
    "dead-letter",
    "dead_letter",
    "dead.letter",
    "deadletters",
    "deadletter",
    "dead",
    "dlq",
    "dlt",
    "dlx",
    "error",
];

/// The name before the ending of a dead-letter destination, which by convention is where its messages died; nothing for others.
pub fn dead_letter_of(name: &str) -> Option<&str> {
    let bare = name.strip_suffix(".fifo").unwrap_or(name);
    let rest = ENDINGS.iter().find_map(|ending| without_ending(bare, ending))?;
    let separated = rest.is_empty() || rest.ends_with(['.', '-', '_', '/', ':']);
    let camel_case = || bare[rest.len()..].starts_with(|c: char| c.is_ascii_uppercase());
    // An exchange named `error` is about errors; only frameworks write `orders_error`.
    let is_error = bare.len() >= 5 && bare[rest.len()..].eq_ignore_ascii_case("error");
    let accepted = if is_error { rest.ends_with('_') } else { separated || camel_case() };
    accepted.then(|| rest.trim_end_matches(['.', '-', '_', '/', ':']))
}

fn without_ending<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(ending.len())?;
    let tail = name.get(at..)?;
    tail.eq_ignore_ascii_case(ending).then(|| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dead_letter_destinations() {
        // Guarantees that usual names are recognised with what they belong to, and that words which merely end alike are not.
        for (name, of) in [
            ("payment.dead", "payment"),
            ("orders-dlt", "orders"),
            ("orders-dlq.fifo", "orders"),
            ("OrdersDLQ", "Orders"),
            ("orders.DLT", "orders"),
            ("payments-dead-letter-queue", "payments"),
            ("DeadLetter", ""),
            ("billing_error", "billing"),
        ] {
            assert_eq!(dead_letter_of(name), Some(of), "{name}");
        }
        assert_eq!(dead_letter_of("orders/$DeadLetterQueue"), Some("orders"));
        for name in ["orders", "undead", "error", "app.error", "adlt", "größedlq", ""] {
            assert_eq!(dead_letter_of(name), None, "{name}");
        }
    }
}
