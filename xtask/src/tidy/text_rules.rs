//! Rules on the text of any file: nothing unfinished, no markup from data, no machine paths, no registry hosts.
//!
//! The needles are put together from halves, so that this file does not find itself.

use super::{Finding, Report};
use crate::files::SourceFile;

const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// Span data is text, never markup.
const MARKUP: [&str; 4] = ["{@html", "innerHTML", "outerHTML", "insertAdjacentHTML"];
/// Paths that exist on somebody's machine only.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "brief"), concat!("../", "shared")];
/// Names of package registries: which one is used is the business of the clients' own configuration.
const REGISTRY_HOSTS: [&str; 8] = [
    concat!("crates", ".io-index"),
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("registry.npm", "js.org"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("deb.debian", ".org"),
    concat!("proxy.go", "lang.org"),
];

pub(super) fn check(file: &SourceFile, report: &mut Report) {
    let is_code = ["rs", "ts", "js", "mjs", "svelte", "py", "toml", "css"].iter().any(|kind| file.has_extension(kind));
    let is_page = file.path.starts_with("web/src/") && !file.is_test();
    let mut rule = |applies: bool, needles: &[&str], why: &str| {
        if applies {
            report.errors.extend(find(file, needles, why));
        }
    };
    rule(is_code, &UNFINISHED, "nothing unfinished lands; open an issue");
    rule(is_page, &MARKUP, "span data is text, never markup");
    rule(true, &MACHINE_PATHS, "a path of one machine");
    rule(true, &REGISTRY_HOSTS, "a registry's host; packages are asked for by name only");
}

fn find(file: &SourceFile, needles: &[&str], why: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        // Cargo writes the index it resolved from into its lock file; that line is cargo's.
        let is_lock_source = file.path.ends_with("Cargo.lock") && line.starts_with("source = ");
        if is_lock_source {
            continue;
        }
        if let Some(needle) = needles.iter().find(|needle| line.contains(*needle)) {
            found.push(Finding::new(&file.path, index + 1, format!("`{needle}`: {why}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        let mut report = Report::default();
        check(&SourceFile { path: path.to_owned(), text: text.to_owned() }, &mut report);
        report.errors.len()
    }

    #[test]
    fn unfinished_work_is_found_in_code() {
        // A marker in code fails; a document may use the word.
        assert_eq!(count("a.py", concat!("# TO", "DO later\n")), 1);
        assert_eq!(count("a.md", concat!("a list of TO", "DO items\n")), 0);
    }

    #[test]
    fn the_page_never_makes_markup_from_data() {
        // The ways to put a string into the page as markup are closed, outside its tests.
        assert_eq!(count("web/src/a.svelte", "<p>{@html name}</p>\n"), 1);
        assert_eq!(count("web/src/a.test.ts", "host.innerHTML = ''\n"), 0);
    }

    #[test]
    fn machines_and_registries_stay_out() {
        // Paths of one machine and hosts of registries are found; cargo's own line in the lock file is not ours.
        assert_eq!(count("README.md", concat!("see /wo", "rk/main\n")), 1);
        let source = concat!("source = \"registry+https://github.com/rust-lang/crates", ".io-index\"\n");
        assert_eq!((count("Cargo.lock", source), count("deny.toml", source)), (0, 1));
    }
}
