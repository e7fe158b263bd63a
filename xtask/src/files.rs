//! The checkout: where it is and which files belong to it.
//!
//! Every check of `tidy` reads through here, so all of them agree on what is part of the project: what git tracks plus what is
//! new and not ignored. It does not look into `target`, `node_modules` or anything else that git ignores.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file of the project; text only.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Relative to the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    pub(crate) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// Whether the whole file is test or bench code: a folder `tests` or `benches` in its path, or a name that says so.
    pub(crate) fn is_test(&self) -> bool {
        let folder = self.path.split('/').any(|part| matches!(part, "tests" | "benches" | "fuzz_targets"));
        let stem = Path::new(&self.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        folder || stem == "tests" || stem.ends_with("_tests") || self.path.contains(".test.")
    }
}

/// The root of the checkout that `cargo xtask` was called in. What was compiled in is second best: two checkouts may share a
/// folder for what they build.
pub(crate) fn root() -> PathBuf {
    let called_in = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = called_in.filter(|path| path.ends_with("xtask")).unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    here.parent().expect("xtask lies directly under the root").to_path_buf()
}

/// All text files of the project, in path order.
pub(crate) fn sources() -> Result<Vec<SourceFile>> {
    let root = root();
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .context("could not run git")?;
    ensure!(listing.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listing.stderr));
    let listing = String::from_utf8(listing.stdout).context("a path in the checkout is not UTF-8")?;
    let mut files = Vec::new();
    for path in listing.split_terminator('\0') {
        // A file that was deleted but is still in the index, and binary files, are passed over.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            files.push(SourceFile { path: path.to_owned(), text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
