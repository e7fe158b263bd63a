//! Runs programs as named steps: says what runs, how long it took, and stops at the first that fails.
//!
//! Every step has a time limit, so that a test that hangs becomes a failure with a name instead of a build machine that waits
//! for ever. Output goes straight to the terminal; nothing is captured or reformatted here.

use anyhow::{Context, Result, bail};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The steps run so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs `work` as the step `name`. The first failure ends the whole run: print the summary and hand the error up.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n── {name}");
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        match result {
            Ok(()) => {
                println!("── {name}: done in {}", seconds(took));
                self.done.push((name.to_owned(), took));
                Ok(())
            }
            Err(error) => {
                self.print_rows();
                println!("  {:>8}  {name}: FAILED", seconds(took));
                println!("\nsteps: {} passed, 1 failed", self.done.len());
                Err(error.context(format!("step `{name}` failed")))
            }
        }
    }

    pub(crate) fn print_summary(&self) {
        self.print_rows();
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        println!("  {:>8}  in all", seconds(total));
        println!("\nsteps: {} passed, 0 failed", self.done.len());
    }

    fn print_rows(&self) {
        println!("\nsummary");
        for (name, took) in &self.done {
            println!("  {:>8}  {name}", seconds(*took));
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Runs a program to its end, at most `limit`; anything but success is an error that names the command.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let shown = display(command);
    println!("   $ {shown}");
    let child = command.spawn().with_context(|| format!("could not start `{shown}`"))?;
    let status = wait(child, limit).with_context(|| format!("`{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Waits on a thread of its own, so that the limit needs no polling.
fn wait(mut child: Child, limit: Duration) -> Result<ExitStatus> {
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // The receiver is gone only when the limit has passed, and then nobody wants the status.
        let _ = sender.send(child.wait());
    });
    if let Ok(status) = receiver.recv_timeout(limit) {
        return Ok(status?);
    }
    kill_tree(pid);
    bail!("still running after {}; stopped", seconds(limit))
}

/// Ends a process and everything it started: children first seen, then killed from the root down.
fn kill_tree(root: u32) {
    let mut tree = vec![root];
    let parents = parents();
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    let pids: Vec<String> = tree.iter().map(u32::to_string).collect();
    // A process that ended in the meantime is no failure.
    let _ = Command::new("kill").arg("-KILL").args(&pids).status();
}

/// Every process with its parent, from `/proc`.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parent_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect()
}

/// The parent's id in a `/proc/PID/stat` line: the second word after the name, which is in parentheses and may hold spaces.
fn parent_of(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

fn display(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Cargo as it was called, without the variables that describe xtask itself and would make build scripts run again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") || text.starts_with("CARGO_BIN_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(crate::files::root());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_over_its_limit_is_stopped_with_its_children() {
        // A hanging step ends as a failure, and what it started does not live on.
        let marker = format!("{}", 400_000 + std::process::id());
        let script = format!("sleep {marker} & sleep {marker}; wait");
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        let error = run(&mut command, Duration::from_millis(300)).unwrap_err();
        assert!(format!("{error:#}").contains("still running"), "{error:#}");
        let alive = || Command::new("pgrep").args(["-f", &format!("^sleep {marker}")]).output().unwrap().stdout;
        assert!((0..50).any(|_| alive().is_empty()), "{}", String::from_utf8_lossy(&alive()));
    }

    #[test]
    fn the_parent_is_read_past_a_hostile_process_name() {
        // Process names may hold spaces and parentheses; the parent is still the right field.
        assert_eq!(parent_of("12 (a) b (c) S 7 12 12 0"), Some(7));
        assert_eq!(parent_of("garbage"), None);
    }

    #[test]
    fn a_failing_program_is_named() {
        // The message says which command failed, not only that one did.
        let error = run(&mut Command::new("false"), Duration::from_secs(5)).unwrap_err();
        assert!(format!("{error:#}").contains("`false` ended with"), "{error:#}");
    }
}
