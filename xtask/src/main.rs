//! What people run: `cargo xtask setup | test | nightly | soak | fuzz | bench | tidy | deny`.
//!
//! Beside the pipe, not in it: everything that must hold before a change lands is started from here, so that a person and a
//! build machine run the same commands. It deliberately knows nothing of how Longspan works inside; it runs other programs
//! and reads source files as text.

mod bench;
mod deny;
mod files;
mod fuzz;
mod nightly;
mod setup;
mod soak;
mod steps;
mod suite;
mod tidy;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test  [--no-install] [--fast]   everything that must pass; --fast leaves out the page, the foreign clients and the browser
  nightly [--seed N] [--soak-minutes N] [--fuzz-minutes N] [--no-install]
                                  the full counts of docs/reliability.md, the fuzzers, the instruction counts and a soak: hours
  soak [--seed N] [--minutes N]   the last part of that alone: a server under load, watched from outside
  fuzz [NAME [--minutes N] [--seed N]]
                                  one of the fuzzers; without a name, which there are
  setup [--no-install]            install what the tests need (announced, skipped when present)
  bench [--traces N] [--runs N] [--quick]
                                  the real server under load, as a table beside other systems' figures
  bench --times N [--traces N] [--quick]
                                  the same load once, then N times in all in one directory, and what that changes
  bench --micro                   the benches of all crates, in the release profile
  bench --instructions [--accept] instruction counts of the hot paths against the recorded ones; --accept records
  tidy                            house rules that no other tool checks
  deny  [--no-install]            licences, duplicate and banned crates, sources (needs cargo-deny)

--no-install never installs anything; what is missing is an error that says how to get it.
";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let Some((command, flags)) = args.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    if command == "bench" {
        return bench::run(flags);
    }
    if command == "nightly" {
        return nightly::run(flags);
    }
    if command == "soak" {
        return nightly::soak_only(flags);
    }
    if command == "fuzz" {
        return fuzz::run(flags);
    }
    let allowed: &[&str] = match command.as_str() {
        "test" => &["--no-install", "--fast"],
        "setup" | "deny" => &["--no-install"],
        _ => &[],
    };
    if let Some(unknown) = flags.iter().find(|flag| !allowed.contains(&flag.as_str())) {
        bail!("`{command}` does not know `{unknown}`\n\n{HELP}");
    }
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    let install = if has("--no-install") { setup::Install::Forbidden } else { setup::Install::Allowed };
    match command.as_str() {
        "test" => suite::run(install, has("--fast")),
        "setup" => setup::run(install),
        "tidy" => tidy::run(),
        "deny" => deny::run(install),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no `{other}`\n\n{HELP}"),
    }
}
