//! Rules on Rust files: module comments, function lengths, forbidden attributes and calls, what tests say first.
//!
//! Works on the masked text (`mask`), so comments and strings never count as code.

use super::mask::Masked;
use super::settings::Settings;
use super::{Finding, Report};
use crate::files::SourceFile;

const FUNCTION_LINES: usize = 70;

/// Code that may not appear anywhere, with what to do instead.
const FORBIDDEN: [(&str, &str); 7] = [
    ("#[allow(", "say #[expect(…, reason = \"…\")] instead of allow"),
    ("#![allow(", "say #![expect(…, reason = \"…\")] instead of allow"),
    ("#[ignore", "a test that does not run guarantees nothing"),
    ("#[cfg_attr(test, ignore", "a test that does not run guarantees nothing"),
    ("todo!", "nothing unfinished lands"),
    ("unimplemented!", "nothing unfinished lands"),
    ("dbg!", "left over from debugging"),
];

pub(super) fn check(file: &SourceFile, masked: &Masked, settings: &Settings, report: &mut Report) {
    if !file.text.trim_start().starts_with("//!") {
        let what = "starts without a `//!` comment that says what the module is for";
        report.errors.push(Finding::new(&file.path, 1, what));
    }
    for (code, instead) in FORBIDDEN {
        for (at, _) in masked.code.match_indices(code) {
            report.errors.push(Finding::new(&file.path, masked.line_of(at), format!("`{code}`: {instead}")));
        }
    }
    report.errors.extend(sleeps(file, masked, settings));
    report.errors.extend(silent_tests(file, masked));
}

/// `thread::sleep` outside tests, unless the settings give a reason; a reason that is not needed any more is an error too.
fn sleeps(file: &SourceFile, masked: &Masked, settings: &Settings) -> Vec<Finding> {
    if file.is_test() {
        return Vec::new();
    }
    let blocks = masked.test_blocks();
    let in_test = |at: &usize| blocks.iter().any(|block| block.contains(at));
    let places: Vec<usize> =
        masked.code.match_indices("thread::sleep").map(|(at, _)| at).filter(|at| !in_test(at)).collect();
    match (settings.sleeps.contains_key(&file.path), places.is_empty()) {
        (true, true) => {
            vec![Finding::new(&file.path, 0, "is listed under [sleeps] and does not sleep; take it off the list")]
        }
        (true, false) => Vec::new(),
        (false, _) => places
            .into_iter()
            .map(|at| Finding::new(&file.path, masked.line_of(at), "sleeps; await the event instead"))
            .collect(),
    }
}

/// Functions whose body has more lines of code than allowed; blank lines and comments do not count.
pub(super) fn long_functions(file: &SourceFile, masked: &Masked) -> Vec<Finding> {
    let mut found = Vec::new();
    for at in functions(masked) {
        let Some(block) = masked.block_from(at) else { continue };
        let lines = masked.code[block].lines().filter(|line| !line.trim().is_empty()).count().saturating_sub(2);
        if lines > FUNCTION_LINES {
            let what = format!("a function of {lines} lines; {FUNCTION_LINES} is the most, 25 the aim");
            found.push(Finding::new(&file.path, masked.line_of(at), what));
        }
    }
    found
}

/// Where the word `fn` stands before a name.
fn functions(masked: &Masked) -> impl Iterator<Item = usize> {
    let bytes = masked.code.as_bytes();
    masked.code.match_indices("fn ").map(|(at, _)| at).filter(move |&at| {
        let starts_word = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        starts_word && bytes.get(at + 3).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
    })
}

/// Tests whose body does not begin with a comment that states the guarantee.
fn silent_tests(file: &SourceFile, masked: &Masked) -> Vec<Finding> {
    let marks = ["#[test]", "#[tokio::test"].into_iter().flat_map(|mark| masked.code.match_indices(mark));
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (at, _) in marks {
        let Some(function) = functions(masked).find(|&place| place > at) else { continue };
        let Some(block) = masked.block_from(function) else { continue };
        let opens = masked.line_of(block.start);
        let first = lines.get(opens).map_or("", |line| line.trim_start());
        if !first.starts_with("//") {
            let what = "the test's first line is no comment that states the guarantee";
            found.push(Finding::new(&file.path, masked.line_of(function), what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        let mut report = Report::default();
        check(&file, &Masked::new(text), &Settings::default(), &mut report);
        report.errors.into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    fn over_long(text: &str) -> usize {
        let file = SourceFile { path: "a.rs".to_owned(), text: text.to_owned() };
        long_functions(&file, &Masked::new(text)).len()
    }

    #[test]
    fn a_module_says_what_it_is_for() {
        // Every Rust file begins with a module comment.
        assert_eq!(findings("a.rs", "//! What.\nfn a() {}\n"), Vec::<String>::new());
        assert_eq!(findings("a.rs", "use b;\n").len(), 1);
    }

    #[test]
    fn forbidden_code_is_found_in_code_only() {
        // An attribute is an error; the same words in a comment or a string are not.
        assert_eq!(findings("a.rs", "//! A.\n#[allow(dead_code)]\nfn a() {}\n").len(), 1);
        assert_eq!(
            findings("a.rs", "//! A.\n// #[allow(x)] todo!\nconst A: &str = \"#[ignore]\";\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn only_tests_may_sleep() {
        // Product code awaits events; tests and listed files may block.
        let sleep = "fn a() { std::thread::sleep(x) }\n";
        assert_eq!(findings("crates/a/src/b.rs", &format!("//! A.\n{sleep}")).len(), 1);
        assert_eq!(findings("crates/a/tests/b.rs", &format!("//! A.\n{sleep}")), Vec::<String>::new());
        assert_eq!(findings("a.rs", &format!("//! A.\n#[cfg(test)]\nmod tests {{\n{sleep}}}\n")), Vec::<String>::new());
    }

    #[test]
    fn a_test_states_its_guarantee_first() {
        // The line after the opening brace is a comment, for plain, async and property tests.
        let silent = "//! A.\n#[test]\nfn a() {\n    assert!(true);\n}\n";
        let spoken = "//! A.\n#[test]\n#[should_panic]\nfn a() {\n    // It holds.\n    assert!(true);\n}\n";
        let property = "//! A.\nproptest! {\n #[test]\n fn a(x in 0..9) {\n  let y = x;\n }\n}\n";
        assert_eq!(findings("a.rs", silent).len(), 1);
        assert_eq!(findings("a.rs", spoken), Vec::<String>::new());
        assert_eq!(findings("a.rs", property).len(), 1);
    }

    #[test]
    fn long_functions_are_counted_without_blanks_and_comments() {
        // 70 lines of code are allowed, 71 are not; comments are free.
        let body = |lines: usize| format!("fn a() {{\n{}\n\n// why\n}}\n", "x();\n".repeat(lines));
        assert_eq!((over_long(&body(70)), over_long(&body(71))), (0, 1));
        assert_eq!(over_long("trait A { fn b(); }\ntype C = fn (u8);\n"), 0);
    }
}
