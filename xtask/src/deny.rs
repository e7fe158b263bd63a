//! `cargo xtask deny`: licences, bans and sources of every crate in the lock file, by cargo-deny and `deny.toml`.
//!
//! Not part of `test`: building cargo-deny takes minutes. It runs offline and does not look up advisories.

use crate::setup::Install;
use crate::steps;
use anyhow::{Result, bail};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The versions that `deny.toml` is written for.
const VERSION: &str = "^0.20";

pub(crate) fn run(install: Install) -> Result<()> {
    if !installed() {
        if install == Install::Forbidden {
            bail!("cargo-deny is missing; `cargo install --locked cargo-deny@{VERSION}` brings it");
        }
        println!("installing cargo-deny {} (once; this takes some minutes)", &VERSION[1..]);
        let package = format!("cargo-deny@{VERSION}");
        steps::run(steps::cargo().args(["install", "--locked", &package]), Duration::from_mins(30))?;
    }
    if install == Install::Allowed {
        // Licences are read from the crates' own files, those of other platforms included, which a build does not fetch.
        steps::run(steps::cargo().args(["fetch", "--locked"]), Duration::from_mins(10))?;
    }
    let args = ["deny", "--offline", "check", "licenses", "bans", "sources"];
    steps::run(steps::cargo().args(args), Duration::from_mins(5))
}

fn installed() -> bool {
    let mut probe = Command::new("cargo-deny");
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
