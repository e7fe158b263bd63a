//! The allowed arrows between the crates, read from their `Cargo.toml` files.
//!
//! The borders exist so that the compiler forbids something: no sockets or async below `server`, no protobuf below `wire`, test
//! parts only in tests. This checks the manifests; what a crate does with what it may use is not looked at.

use super::{Finding, Report};
use crate::files::SourceFile;

/// Who may use which of our crates; `testkit` is for tests and is handled apart.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("model", &[]),
    ("wire", &["model"]),
    ("flow", &["model"]),
    ("store", &["model"]),
    ("query", &["model", "flow", "store"]),
    ("server", &["model", "wire", "flow", "store", "query"]),
    ("longspan", &["model", "wire", "flow", "store", "query", "server"]),
    ("testkit", &["model", "wire", "flow", "store", "query"]),
    ("xtask", &[]),
];
/// Only `server` and `longspan` may touch the network or be async.
const ASYNC: [&str; 12] = [
    "tokio",
    "axum",
    "tonic",
    "hyper",
    "hyper-util",
    "tower",
    "tower-http",
    "http",
    "http-body",
    "http-body-util",
    "async-trait",
    "reqwest",
];
/// Protobuf as generated structs: `wire` and above.
const PROTOBUF: [&str; 4] = ["prost", "prost-types", "tonic-prost", "opentelemetry-proto"];

/// One `key = value` of a TOML text with the section it stands in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// The entries of a manifest as people write them: one per line; values over several lines keep their first line.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim_matches(['[', ']']).clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let key = key.trim().trim_matches('"').to_owned();
            found.push(Entry { section: section.clone(), key, value: value.trim().to_owned(), line: index + 1 });
        }
    }
    found
}

pub(super) fn check(sources: &[SourceFile], report: &mut Report) {
    for file in sources {
        if let Some(name) = crate_of(&file.path) {
            report.errors.extend(check_manifest(&file.path, name, &file.text));
        }
    }
}

/// `crates/NAME/Cargo.toml` and `xtask/Cargo.toml`.
fn crate_of(path: &str) -> Option<&str> {
    let folder = path.strip_suffix("/Cargo.toml")?;
    let name = folder.strip_prefix("crates/").unwrap_or(folder);
    (name == "xtask" || folder.starts_with("crates/")).then_some(name)
}

fn check_manifest(path: &str, name: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        return vec![Finding::new(path, 0, format!("the crate `{name}` has no place in the arrows; add it to tidy"))];
    };
    let entries = entries(text);
    let lints = entries.iter().any(|entry| entry.section == "lints" && entry.key == "workspace");
    if !lints {
        findings.push(Finding::new(path, 0, "does not take the workspace's lints: [lints] workspace = true"));
    }
    for (entry, dependency, for_tests) in entries.iter().filter_map(dependency) {
        if let Some(what) = refuse(name, allowed, &dependency, for_tests) {
            findings.push(Finding::new(path, entry.line, what));
        }
    }
    findings
}

/// The crate that an entry brings in, and whether only for tests. Handles `[dependencies]`, `[dependencies.NAME]` and targets.
fn dependency(entry: &Entry) -> Option<(&Entry, String, bool)> {
    let for_tests = entry.section.contains("dev-dependencies");
    let (_, below) = entry.section.split_once("dependencies")?;
    let name = match below.strip_prefix('.') {
        Some(name) => name,
        None => entry.key.split('.').next()?,
    };
    Some((entry, name.to_owned(), for_tests))
}

/// Why `name` may not use `dependency`, if so. Tests may use anything.
fn refuse(name: &str, allowed: &[&str], dependency: &str, for_tests: bool) -> Option<String> {
    if for_tests {
        return None;
    }
    let ours = ALLOWED.iter().any(|(known, _)| *known == dependency);
    let may_be_async = matches!(name, "server" | "longspan");
    let may_use_protobuf = matches!(name, "wire" | "server" | "longspan" | "testkit");
    if dependency == "testkit" {
        Some("testkit is for tests: dev-dependencies only".to_owned())
    } else if ours && !allowed.contains(&dependency) {
        Some(format!("`{name}` may not use `{dependency}`"))
    } else if ASYNC.contains(&dependency) && !may_be_async {
        Some(format!("`{dependency}`: no sockets and no async below server"))
    } else if PROTOBUF.contains(&dependency) && !may_use_protobuf {
        Some(format!("`{dependency}`: no protobuf below wire"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[lints]\nworkspace = true\n{dependencies}");
        let path = format!("crates/{name}/Cargo.toml");
        check_manifest(&path, name, &text).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn arrows_against_the_pipe_are_refused() {
        // A lower crate never uses a higher one, in any of the ways a manifest can say it.
        assert_eq!(findings("model", "[dependencies]\nstore.workspace = true\n").len(), 1);
        assert_eq!(findings("flow", "[dependencies.store]\npath = \"../store\"\n").len(), 1);
        assert_eq!(findings("store", "[target.'cfg(unix)'.dependencies]\nwire = { path = \"../wire\" }\n").len(), 1);
        assert_eq!(
            findings("query", "[dependencies]\nstore.workspace = true\nflow.workspace = true\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_network_and_protobuf_stay_above_their_borders() {
        // No async below server and no generated protobuf below wire, except in tests.
        assert_eq!(findings("store", "[dependencies]\ntokio.workspace = true\n").len(), 1);
        assert_eq!(findings("model", "[dependencies]\nprost = \"0.14\"\n").len(), 1);
        assert_eq!(findings("wire", "[dependencies]\nprost = \"0.14\"\n"), Vec::<String>::new());
        assert_eq!(findings("store", "[dev-dependencies]\ntokio = \"1\"\n"), Vec::<String>::new());
    }

    #[test]
    fn test_parts_stay_in_tests() {
        // What ships never contains the simulated disk or the generators.
        assert_eq!(findings("server", "[dependencies]\ntestkit.workspace = true\n").len(), 1);
        assert_eq!(findings("server", "[dev-dependencies]\ntestkit.workspace = true\n"), Vec::<String>::new());
    }

    #[test]
    fn a_new_crate_needs_a_place() {
        // A crate nobody drew an arrow for is an error, and so is one without the lints.
        assert_eq!(findings("extra", "").len(), 1);
        assert_eq!(check_manifest("crates/model/Cargo.toml", "model", "[package]\n").len(), 1);
    }
}
