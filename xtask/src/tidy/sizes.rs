//! File sizes: aim at 250 lines, a warning over 600, an error over 1,000; tests apart.
//!
//! Counts whole lines of Rust, TypeScript and Svelte. A file's inline `#[cfg(test)]` module does not count, so nobody is tempted
//! to save on tests.

use super::mask::Masked;
use super::{Finding, Report};
use crate::files::SourceFile;

const SOFT_LINES: usize = 600;
const HARD_LINES: usize = 1_000;
/// Inline tests longer than this go to a file of their own.
const INLINE_TEST_LINES: usize = 300;

pub(super) fn check(file: &SourceFile, report: &mut Report) {
    let counted = file.is_rust() || file.has_extension("ts") || file.has_extension("svelte");
    if !counted || file.is_test() {
        return;
    }
    let lines = file.text.lines().count();
    let in_tests = if file.is_rust() { Masked::new(&file.text).test_lines() } else { 0 };
    let product = lines - in_tests;
    if product > HARD_LINES {
        report.errors.push(Finding::new(
            &file.path,
            0,
            format!("{product} lines; {HARD_LINES} is the most, 250 the aim"),
        ));
    } else if product > SOFT_LINES {
        report.warnings.push(Finding::new(
            &file.path,
            0,
            format!("{product} lines; over {SOFT_LINES} a file hides its structure"),
        ));
    }
    if in_tests > INLINE_TEST_LINES {
        let what = format!("{in_tests} lines of inline tests; over {INLINE_TEST_LINES} they go to a file of their own");
        report.warnings.push(Finding::new(&file.path, 0, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: String) -> (usize, usize) {
        let mut report = Report::default();
        check(&SourceFile { path: path.to_owned(), text }, &mut report);
        (report.errors.len(), report.warnings.len())
    }

    #[test]
    fn long_files_warn_then_fail_and_tests_do_not_count() {
        // 600 lines warn, 1,000 fail; a test file may be as long as it needs.
        assert_eq!(findings("crates/a/src/b.rs", "x\n".repeat(600)), (0, 0));
        assert_eq!(findings("crates/a/src/b.rs", "x\n".repeat(601)), (0, 1));
        assert_eq!(findings("web/src/b.svelte", "x\n".repeat(1_001)), (1, 0));
        assert_eq!(findings("crates/a/tests/b.rs", "x\n".repeat(5_000)), (0, 0));
        let inline = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(299));
        assert_eq!(findings("crates/a/src/b.rs", format!("{}{inline}", "x\n".repeat(599))), (0, 1));
    }
}
