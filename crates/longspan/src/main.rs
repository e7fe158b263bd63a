//! The `longspan` program: reads settings, runs one subcommand, says what went wrong in one sentence.

mod client;
mod command;
mod demo;
mod logging;
mod options;
mod otlp_file;
mod progress;
mod send;
mod settings;
mod terminal;
mod witness;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
    /// Check that everything stored still is what was written, or that a running server loses nothing
    Verify(command::verify::VerifyArguments),
    /// Copy everything stored, at once, while a server runs
    Snapshot(command::snapshot::SnapshotArguments),
    /// Write everything stored as OTLP or Parquet files
    Export(command::export::ExportArguments),
    /// Send files of OTLP traces to a running server
    Import(command::import::ImportArguments),
    /// Draw a flow: a trace and everything it caused, through every queue
    Flow(command::flow::FlowArguments),
    /// Draw one trace
    Trace(command::trace::TraceArguments),
    /// Show traces as they arrive
    Tail(command::tail::TailArguments),
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
    let Arguments { command, options } = arguments();
    let ran = match command.unwrap_or(Command::Serve) {
        Command::Serve => command::serve::run(&options).map(done),
        Command::Demo(arguments) => command::demo::run(&options, arguments).map(done),
        Command::Verify(arguments) => command::verify::run(&options, &arguments),
        Command::Snapshot(arguments) => command::snapshot::run(&options, &arguments).map(done),
        Command::Export(arguments) => command::export::run(&options, &arguments).map(done),
        Command::Import(arguments) => command::import::run(&options, &arguments).map(done),
        Command::Flow(arguments) => command::flow::run(&options, &arguments).map(done),
        Command::Trace(arguments) => command::trace::run(&options, &arguments).map(done),
        Command::Tail(arguments) => command::tail::run(&options, &arguments).map(done),
        Command::Config { command: ConfigCommand::Show } => command::config::show(&options).map(done),
    };
    match ran {
        Ok(code) => code,
        Err(error) => {
            eprintln!("longspan: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Commands that do not serve: the settings of a server are not in their help.
const WITHOUT_A_SERVER: [&str; 7] = ["verify", "snapshot", "export", "import", "flow", "trace", "tail"];
/// Settings that hold for every command.
const FOR_ALL: [&str; 4] = ["config", "data", "log_level", "log_format"];

/// What is on the command line; ends the program when that is nonsense, or a question for help.
fn arguments() -> Arguments {
    let mut command = Arguments::command();
    command.build();
    for name in WITHOUT_A_SERVER {
        command = command.mut_subcommand(name, |command| {
            command.mut_args(|arg| {
                let is_of_server = arg.is_global_set() && !FOR_ALL.contains(&arg.get_id().as_str());
                arg.hide(is_of_server)
            })
        });
    }
    Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
