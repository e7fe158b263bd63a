//! Builds the page into `OUT_DIR/web`, from where it is embedded.
//!
//! Needs Node and npm. `LONGSPAN_SKIP_WEB=1` embeds a one-page notice instead, for machines without them and for work on
//! anything but the page.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const SKIP: &str = "LONGSPAN_SKIP_WEB";
/// What the page is made of; everything else in its folder is output or tests.
const SOURCES: [&str; 9] = [
    "src",
    "public",
    "scripts",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "svelte.config.js",
    "tsconfig.json",
];
/// A copy of the lock file that the installed packages are of.
const INSTALLED_LOCK: &str = "node_modules/.longspan-installed-lock.json";

const NOTICE: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Longspan</title>\n\
    <h1>Longspan runs, without its page</h1>\n<p>This binary was built with LONGSPAN_SKIP_WEB=1. Build it again without that \
    variable, with Node 20.19 or later and npm installed, to get the page. The same data is at \
    <a href=\"/api/traces\">/api/traces</a>.</p></html>\n";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            for line in problem.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={SKIP}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("web");
    fs::create_dir_all(&out).map_err(|error| format!("cannot make {}: {error}", out.display()))?;
    if env::var_os(SKIP).is_some_and(|value| value == "1") {
        return write_notice(&out);
    }
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?);
    let web = manifest.join("../../web");
    for source in SOURCES.iter().map(|source| web.join(source)).filter(|source| source.exists()) {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    if !packages_are_installed(&web) {
        npm(&web, &["ci", "--no-audit", "--no-fund"])?;
        let copied = fs::copy(web.join("package-lock.json"), web.join(INSTALLED_LOCK));
        copied.map_err(|error| format!("cannot note which packages are installed: {error}"))?;
    }
    let out = out.to_str().ok_or("the target directory's path is not UTF-8, which npm needs")?;
    npm(&web, &["run", "build", "--", "--outDir", out, "--emptyOutDir"])
}

fn write_notice(out: &Path) -> Result<(), String> {
    for entry in fs::read_dir(out).into_iter().flatten().flatten() {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
    }
    fs::write(out.join("index.html"), NOTICE).map_err(|error| format!("cannot write the notice: {error}"))
}

/// Either by our own note, or because npm's own note is younger than the lock file.
fn packages_are_installed(web: &Path) -> bool {
    let wanted = fs::read(web.join("package-lock.json")).ok();
    if let Ok(installed) = fs::read(web.join(INSTALLED_LOCK)) {
        return wanted.is_some_and(|wanted| wanted == installed);
    }
    let changed = |path: &str| fs::metadata(web.join(path)).and_then(|about| about.modified()).ok();
    changed("node_modules/.package-lock.json") >= changed("package-lock.json") && wanted.is_some()
}

fn npm(web: &Path, arguments: &[&str]) -> Result<(), String> {
    let command = format!("npm {}", arguments.join(" "));
    let ran = Command::new("npm").args(arguments).current_dir(web).stdin(Stdio::null()).output();
    let output = ran.map_err(|error| {
        format!(
            "npm could not be run ({error}). The page is built with Node 20.19 or later and npm: install them \
             (nodejs.org, or your system's packages nodejs and npm) and build again. {SKIP}=1 builds without the page."
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let last: Vec<&str> = said.lines().rev().take(25).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!("`{command}` failed in {}. {SKIP}=1 builds without the page.\n{}", web.display(), last.join("\n")))
}
