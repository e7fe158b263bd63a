//! The `longspan` program: reads settings, runs one subcommand, says what went wrong in one sentence.

mod command;
mod demo;
mod logging;
mod options;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::options::Options;

/// Distributed tracing for work that outlives the request.
///
/// Without a command, longspan serves: it takes OTLP and Zipkin spans, keeps them in a directory, and shows them on a page.
/// Nothing has to be set. Every option can also be set in the environment (as shown) or, in snake_case, in longspan.toml.
#[derive(Debug, Parser)]
#[command(name = "longspan", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive, keep and show traces (what longspan does without a command)
    Serve,
    /// Serve a fresh directory, with a small event-driven shop that sends living traces
    Demo(command::demo::DemoArguments),
    /// Look at the settings
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum ConfigCommand {
    /// Print every setting with where it comes from, as a longspan.toml
    Show,
}

fn main() -> ExitCode {
    let Arguments { command, options } = Arguments::parse();
    let ran = match command.unwrap_or(Command::Serve) {
        Command::Serve => command::serve::run(&options),
        Command::Demo(arguments) => command::demo::run(&options, arguments),
        Command::Config { command: ConfigCommand::Show } => command::config::show(&options),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("longspan: {error:#}");
            ExitCode::FAILURE
        }
    }
}
