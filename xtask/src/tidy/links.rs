//! Links in the documents: every relative link leads to a file of the project, every anchor to a heading.
//!
//! Links to other sites are not followed. Code, in fences or in backquotes, is not looked at.

use super::{Finding, Report};
use crate::files::SourceFile;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(sources: &[SourceFile], report: &mut Report) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut headings = BTreeMap::new();
    for file in sources {
        let mut path = file.path.as_str();
        known.insert(path.to_owned());
        while let Some((folder, _)) = path.rsplit_once('/') {
            known.insert(folder.to_owned());
            path = folder;
        }
        if file.has_extension("md") {
            headings.insert(file.path.clone(), anchors(&file.text));
        }
    }
    for file in sources.iter().filter(|file| file.has_extension("md")) {
        for (line, target) in targets(&file.text) {
            if let Some(what) = broken(&file.path, &target, &known, &headings) {
                report.errors.push(Finding::new(&file.path, line, what));
            }
        }
    }
}

/// Why the link leads nowhere, if it does. Pictures are binary and not among the sources, so they are looked up on disk.
fn broken(
    from: &str,
    target: &str,
    known: &BTreeSet<String>,
    headings: &BTreeMap<String, BTreeSet<String>>,
) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.to_owned() } else { resolve(from, path) };
    if !known.contains(&path) && !crate::files::root().join(&path).is_file() {
        return Some(format!("`{target}` leads to no file"));
    }
    let no_heading = headings.get(&path).is_some_and(|found| !anchor.is_empty() && !found.contains(anchor));
    no_heading.then(|| format!("`{target}` leads to no heading"))
}

fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `[text](target)` outside code, with line numbers from 1.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        let outside_code: String = content.split('`').step_by(2).collect();
        let mut rest = outside_code.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, tail)) = after.split_once(')') else { break };
            let target = target.split_whitespace().next().unwrap_or_default();
            found.push((line, target.to_owned()));
            rest = tail;
        }
    }
    found
}

/// The lines outside code fences.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut in_fence = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        } else if !in_fence {
            lines.push((index + 1, line));
        }
    }
    lines
}

/// The anchors of a document's headings, as hosting sites make them: lower case, words joined by `-`, symbols dropped.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).into_iter().filter_map(|(_, line)| line.strip_prefix('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
        let sources =
            [file("docs/a.md", text), file("docs/b.md", "# One `two` (3)\n"), file("crates/x/src/lib.rs", "")];
        let mut report = Report::default();
        check(&sources, &mut report);
        report.errors.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn good_links_are_silent() {
        // Files, folders, anchors, other sites and code all pass.
        let text = "[b](b.md) [x](../crates/x) [h](b.md#one-two-3) [s](https://example.com/q) `[c](no.md)`\n```\n[d](no.md)\n```\n";
        assert_eq!(errors(text), Vec::<String>::new());
    }

    #[test]
    fn dead_links_are_named() {
        // A missing file and a missing heading are each one finding.
        assert_eq!(errors("[x](missing.md) [y](b.md#nowhere) [z](#here)\n").len(), 3);
    }
}
