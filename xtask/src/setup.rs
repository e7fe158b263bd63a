//! `cargo xtask setup`: installs what the tests need and says what it installs; present things are passed over.
//!
//! Needed: Node with npm, Python with venv, Chromium, RabbitMQ, Java with Maven and by it Kafka's broker, the pinned Python clients, the
//! npm packages of `tests/js` and `web`, and what the shops of `examples` run with.
//! Everything but Debian's packages stays inside the checkout (`.test-env`, `node_modules`). Toolchains are not installed, only
//! asked for: people have their own way of getting Rust, Node and Python.

use crate::{files, steps};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Whether a missing part may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    Allowed,
    Forbidden,
}

/// One install command at most: a slow mirror is waited for, a dead one is not.
const INSTALL_LIMIT: Duration = Duration::from_mins(15);
/// The oldest Node that the page's tools accept.
const NODE_AT_LEAST: (u32, u32) = (20, 19);
/// The oldest Python that the pinned packages are there for.
const PYTHON_AT_LEAST: (u32, u32) = (3, 11);

pub(crate) fn run(install: Install) -> Result<()> {
    toolchain()?;
    let missing: Vec<Part> = parts().into_iter().filter(|part| !part.present()).collect();
    if missing.is_empty() {
        println!("   everything the tests need is here");
        return Ok(());
    }
    if install == Install::Forbidden {
        let names: Vec<String> = missing.iter().map(|part| format!("  {}: {}", part.name, part.by_hand)).collect();
        bail!("missing, and --no-install forbids to install it:\n{}", names.join("\n"));
    }
    for part in missing {
        println!("   installing {}", part.name);
        (part.install)().with_context(|| format!("could not install {}; by hand: {}", part.name, part.by_hand))?;
    }
    Ok(())
}

/// Something the tests need, how to see that it is there, and how to get it.
struct Part {
    name: &'static str,
    by_hand: &'static str,
    check: fn() -> bool,
    install: fn() -> Result<()>,
}

impl Part {
    fn present(&self) -> bool {
        (self.check)()
    }
}

fn parts() -> Vec<Part> {
    programs().into_iter().chain(packages()).collect()
}

/// What the system has.
fn programs() -> Vec<Part> {
    vec![
        Part {
            name: "Python's venv module",
            by_hand: "apt-get install python3-venv",
            check: || python_works("import venv, ensurepip"),
            install: || apt(&["python3-venv"]),
        },
        Part {
            name: "Chromium",
            by_hand: "apt-get install chromium (or set LONGSPAN_CHROMIUM to its path)",
            check: || chromium().is_some(),
            install: || apt(&["chromium", "fonts-dejavu-core"]),
        },
        Part {
            name: "RabbitMQ",
            by_hand: "apt-get install rabbitmq-server",
            check: || Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").is_file(),
            install: || apt(&["rabbitmq-server"]),
        },
        Part {
            name: "Java and Maven",
            by_hand: "apt-get install openjdk-17-jre-headless maven",
            check: || output("java", &["-version"]).is_ok() && output("mvn", &["--version"]).is_ok(),
            install: || apt(&["openjdk-17-jre-headless", "maven"]),
        },
        Part {
            name: "Apache Kafka's broker (tests/brokers/kafka → .test-env/kafka)",
            by_hand: "python3 tests/brokers/kafka.py --install",
            check: || {
                is_current(
                    &files::root().join("tests/brokers/kafka/pom.xml"),
                    &files::root().join(".test-env/kafka/pom.xml"),
                )
            },
            install: || python_script(&["tests/brokers/kafka.py", "--install"]),
        },
    ]
}

/// What lies in the checkout.
fn packages() -> Vec<Part> {
    vec![
        Part {
            name: "what the examples run with (.test-env/examples, examples/node_modules)",
            by_hand: "python3 examples/launch.py --install",
            check: || {
                npm_is_current("examples")
                    && is_current(
                        &files::root().join("examples/requirements.txt"),
                        &files::root().join(".test-env/examples/installed-requirements.txt"),
                    )
            },
            install: || python_script(&["examples/launch.py", "--install"]),
        },
        Part {
            name: "the Python clients (tests/python/requirements.txt → .test-env/python)",
            by_hand: "python3 -m venv .test-env/python && .test-env/python/bin/pip install -r tests/python/requirements.txt",
            check: || is_current(&requirements(), &python_folder().join("installed-requirements.txt")),
            install: || install_python_clients(&requirements(), &python_folder()),
        },
        Part {
            name: "the older Python clients (tests/python/requirements-older.txt → .test-env/python-older)",
            by_hand: "python3 -m venv .test-env/python-older && .test-env/python-older/bin/pip install -r tests/python/requirements-older.txt",
            check: || is_current(&older_requirements(), &older_python_folder().join("installed-requirements.txt")),
            install: || install_python_clients(&older_requirements(), &older_python_folder()),
        },
        Part {
            name: "the JavaScript clients and Playwright (tests/js)",
            by_hand: "cd tests/js && npm ci",
            check: || npm_is_current("tests/js"),
            install: || npm_ci("tests/js"),
        },
        Part {
            name: "the page's packages (web)",
            by_hand: "cd web && npm ci",
            check: || npm_is_current("web"),
            install: || npm_ci("web"),
        },
    ]
}

/// The browser of the end-to-end tests.
pub(crate) fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("LONGSPAN_CHROMIUM").map(PathBuf::from);
    let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    named.into_iter().chain(usual).find(|path| path.is_file())
}

/// The interpreter that has the pinned clients.
pub(crate) fn python() -> PathBuf {
    python_folder().join("bin/python")
}

fn python_folder() -> PathBuf {
    files::root().join(".test-env/python")
}

fn requirements() -> PathBuf {
    files::root().join("tests/python/requirements.txt")
}

fn older_python_folder() -> PathBuf {
    files::root().join(".test-env/python-older")
}

fn older_requirements() -> PathBuf {
    files::root().join("tests/python/requirements-older.txt")
}

/// Fails with what to get when a toolchain is absent or too old.
fn toolchain() -> Result<()> {
    let node = output("node", &["--version"]).context("Node is missing: install Node 20.19 or newer with npm")?;
    if version(&node).is_none_or(|found| found < NODE_AT_LEAST) {
        bail!("Node {}.{} or newer is needed; found {}", NODE_AT_LEAST.0, NODE_AT_LEAST.1, node.trim());
    }
    output("npm", &["--version"]).context("npm is missing: it comes with Node")?;
    let python = output("python3", &["--version"]).context("Python is missing: install Python 3.11 or newer")?;
    if version(python.trim_start_matches("Python ")).is_none_or(|found| found < PYTHON_AT_LEAST) {
        bail!("Python {}.{} or newer is needed; found {}", PYTHON_AT_LEAST.0, PYTHON_AT_LEAST.1, python.trim());
    }
    for component in ["fmt", "clippy"] {
        let found = steps::cargo().args([component, "--version"]).stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            bail!("`cargo {component}` is missing: rustup component add rustfmt clippy");
        }
    }
    Ok(())
}

/// Major and minor of `v20.19.4` or `3.11.2`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("`{program} {}` ended with {}", args.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn python_works(code: &str) -> bool {
    output("python3", &["-c", code]).is_ok()
}

fn python_script(args: &[&str]) -> Result<()> {
    let mut python = Command::new("python3");
    python.args(args).current_dir(files::root());
    steps::run(&mut python, INSTALL_LIMIT)
}

/// Debian's packages, the list refreshed first: a fresh machine has none. Services that come with them are not started: a broker of the
/// tests runs only as long as they do.
fn apt(packages: &[&str]) -> Result<()> {
    if output("id", &["-u"])?.trim() != "0" {
        bail!(
            "not root; run: sudo apt-get update && sudo apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
    }
    let apt_get = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1")
            .args(["-q", "-y"])
            .args(args)
            .stdout(Stdio::null());
        steps::run(&mut command, INSTALL_LIMIT)
    };
    apt_get(&["update"])?;
    apt_get(&[&["install", "--no-install-recommends"], packages].concat())
}

fn install_python_clients(requirements: &Path, folder: &Path) -> Result<()> {
    let mut venv = Command::new("python3");
    venv.args([OsStr::new("-m"), OsStr::new("venv"), OsStr::new("--clear"), folder.as_os_str()]);
    steps::run(&mut venv, INSTALL_LIMIT)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    steps::run(&mut pip, INSTALL_LIMIT)?;
    std::fs::copy(requirements, folder.join("installed-requirements.txt"))?;
    Ok(())
}

fn npm_is_current(folder: &str) -> bool {
    let folder = files::root().join(folder);
    is_current(&folder.join("package-lock.json"), &folder.join("node_modules/.installed-lock.json"))
}

/// `npm ci` without install scripts: no package that we use needs one, and none gets to run one.
fn npm_ci(folder: &str) -> Result<()> {
    let folder = files::root().join(folder);
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    steps::run(&mut npm, INSTALL_LIMIT)?;
    std::fs::copy(folder.join("package-lock.json"), folder.join("node_modules/.installed-lock.json"))?;
    Ok(())
}

/// Whether what was installed is what is asked for: the copy left by the last install equals the original.
fn is_current(wanted: &Path, installed: &Path) -> bool {
    match (std::fs::read(wanted), std::fs::read(installed)) {
        (Ok(wanted), Ok(installed)) => wanted == installed,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        // 20.9 is older than 20.19, and noise is no version.
        assert!(version("v20.9.0").is_some_and(|found| found < NODE_AT_LEAST));
        assert!(version("v20.19.4\n").is_some_and(|found| found >= NODE_AT_LEAST));
        assert!(version("v22.1.0").is_some_and(|found| found >= NODE_AT_LEAST));
        assert_eq!(version("nightly"), None);
        assert!(version("3.9.18\n").is_some_and(|found| found < PYTHON_AT_LEAST));
    }
}
