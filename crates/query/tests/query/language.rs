//! The language: what is read, what is refused, and that what is shown is read again.

use model::Level;
use proptest::prelude::*;
use query::{Field, Filter, Op, parse};

use crate::generate;

fn compare(field: Field, op: Op, text: &str) -> Filter {
    Filter::compare(field, op, text, false).expect("the condition is sensible")
}

#[test]
fn the_documented_queries_are_read() {
    // Guarantees the meaning of every example of the API's documentation.
    let read = parse("service = order and duration > 100ms").unwrap();
    let want = [compare(Field::Service, Op::Equal, "order"), compare(Field::Duration, Op::Greater, "100ms")];
    assert_eq!(read, Filter::And(want.to_vec()));

    let read =
        parse(r#"service = "order" and (name =~ "POST.*" or status = error) and not resource.host.name = web-1"#);
    let either = [compare(Field::Name, Op::Matches, "POST.*"), compare(Field::Status, Op::Equal, "error")];
    let host = Field::attribute(Some(Level::Resource), "host.name");
    let want = [
        compare(Field::Service, Op::Equal, "order"),
        Filter::Or(either.to_vec()),
        Filter::negate(compare(host, Op::Equal, "web-1")),
    ];
    assert_eq!(read.unwrap(), Filter::And(want.to_vec()));

    let read = parse("messaging.message.id exists and link.messaging.batch.message_count > 1").unwrap();
    let count = Field::attribute(Some(Level::Link), "messaging.batch.message_count");
    let want = [Filter::Exists(Field::attribute(None, "messaging.message.id")), compare(count, Op::Greater, "1")];
    assert_eq!(read, Filter::And(want.to_vec()));
}

#[test]
fn spellings_that_mean_the_same_are_read_the_same() {
    // Guarantees implied `and`, precedence, keywords in any case, free spacing, quoted keys, names of any case, short ids.
    let same = [
        ("a=1 b=2", "a = 1 and b = 2"),
        ("a=1 or b=2 c=3", "a = 1 or (b = 2 and c = 3)"),
        ("NOT a=1 AND b Exists", "(not a = 1) and b exists"),
        ("not a=1 b=2", "(not (a = 1)) and b = 2"),
        ("((a=1))", "a = 1"),
        ("", "()"),
        ("  ", "() and ()"),
        (r#"span."a" = "x""#, "span.a = x"),
        ("kind = SERVER", "kind = 2"),
        ("trace_id = AB", "trace_id = 000000000000000000000000000000ab"),
        (r#"a =~ "\d+""#, r#"a =~ "\\d+""#),
        ("duration > 1500ms", "duration > 1.5s"),
        (r#"a > "5""#, "a > 5"),
    ];
    for (one, other) in same {
        assert_eq!(parse(one).unwrap(), parse(other).unwrap(), "{one}");
    }
    let key = |key: &str| Filter::Exists(Field::attribute(None, key));
    assert_eq!(parse(r#""service" exists"#).unwrap(), key("service"));
    assert_eq!(parse(r#""span.x" exists"#).unwrap(), key("span.x"));
    assert_ne!(parse(r#"a = "5""#).unwrap(), parse("a = 5").unwrap());
}

#[test]
fn refusals_say_where_and_what_to_do() {
    // Guarantees position, message and hint of every kind of mistake.
    let refused = [
        ("service", 7, "an operator is missing after `service`"),
        ("service =", 9, "a value is missing after `service =`"),
        ("service = and", 10, "a value is missing after `service =`"),
        ("a = 1 or", 8, "a condition is missing at the end"),
        ("(a = 1", 0, "this parenthesis is not closed"),
        ("a = 1)", 5, "unexpected `)`"),
        ("a = \"x", 4, "this quoted text does not end"),
        ("a = 1 && b = 2", 6, "unexpected `&`"),
        ("a == 1", 2, "unexpected `==`"),
        ("!a = 1", 0, "unexpected `!`"),
        ("= 1", 0, "unexpected `=`"),
        ("a = 1 or or b = 1", 9, "unexpected `or`"),
        ("kind = sever", 7, "`sever` is not a kind"),
        ("status = bad", 9, "`bad` is not a status"),
        ("duration > long", 11, "`long` is not a duration"),
        ("duration =~ 1", 12, "a duration has no text to match"),
        ("name > 5", 7, "`name` cannot be ordered with `>`"),
        ("a > x", 4, "`>` compares numbers, and `x` is not one"),
        ("a =~ \"(\"", 5, "not a regular expression: unclosed group"),
        ("trace_id = xyz", 11, "`xyz` is not a trace_id"),
        ("foo.\"x\" = 1", 0, "`foo.` is not a level"),
        ("span. = 1", 5, "a key is missing after `span.`"),
        ("größe = ½ € 1", 13, "unexpected `€`"),
        ("a = 'x'", 4, "unexpected `'`"),
    ];
    for (query, position, message) in refused {
        let error = parse(query).unwrap_err();
        assert_eq!((error.position, error.message.as_str()), (position, message), "{query}");
        assert!(!error.hint.is_empty() && query.is_char_boundary(position), "{query}");
    }
}

#[test]
fn hostile_queries_are_refused() {
    // Guarantees bounds on depth, length and number of conditions, without overflow of the stack.
    for deep in ["(".repeat(60_000), "not ".repeat(16_000), "(not ".repeat(12_000)] {
        assert!(parse(&deep).unwrap_err().message.contains("nest deeper"));
    }
    assert!(parse(&"a = 1 ".repeat(257)).unwrap_err().message.contains("more than 256 conditions"));
    assert!(parse(&" ".repeat(70_000)).unwrap_err().message.contains("70000 bytes"));
    assert!(parse(&format!("{}a = 1{}", "(".repeat(64), ")".repeat(64))).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_is_read_again(filter in generate::filter()) {
        // Guarantees that a filter's text, parsed, is the same filter.
        let text = filter.to_string();
        prop_assert_eq!(parse(&text), Ok(filter), "{}", text);
    }

    #[test]
    fn any_key_and_value_can_be_written(level in proptest::option::of(proptest::sample::select(&Level::ALL[..])), key in ".{0,6}", text in ".{0,6}") {
        // Guarantees that every key and value, however spelled, survives being shown and read.
        let filter = Filter::equals(Field::attribute(level, &key), &text).unwrap();
        prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn no_text_panics(text in "[ a-z=!<>~\"\\\\().5€]{0,40}") {
        // Guarantees that whatever is typed is read or refused at a place within it.
        match parse(&text) {
            Ok(filter) => prop_assert_eq!(parse(&filter.to_string()), Ok(filter)),
            Err(error) => prop_assert!(text.is_char_boundary(error.position)),
        }
    }
}
