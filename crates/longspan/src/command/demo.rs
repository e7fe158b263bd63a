//! `longspan demo`: a server on a fresh directory and, in the same process, a shop that sends to it.

use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use server::config::Listen;
use server::run::{Running, start};
use tokio::time::sleep;

use super::serve::{block_on, exit_when_told_again, stop_signal};
use crate::demo::{DemoOptions, DemoReport, Notable, Shop};
use crate::logging;
use crate::options::Options;
use crate::settings::{Origin, Settings};

/// How often the live shop's remarkable traces are told.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// How long the sealing of what the demo leaves behind may take.
const SEAL_MAX: Duration = Duration::from_mins(1);

/// What the demo does.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Send about this many spans as fast as they are taken, dated within the last hour, instead of living on
    #[arg(long, value_name = "N")]
    spans: Option<u64>,
    /// End when all spans are sent
    #[arg(long, requires = "spans")]
    exit: bool,
    /// Take so many orders a second
    #[arg(long, value_name = "RATE", default_value_t = 1.0)]
    orders_per_second: f64,
    /// Play this scenario; the same number plays the same one
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// A directory that goes when the demo ends.
struct Fresh(PathBuf);

impl Fresh {
    fn new() -> Result<Fresh> {
        let path = std::env::temp_dir().join(format!("longspan-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Fresh(path))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Not worth a word: it lies in the system's directory of temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Serves and sells until the program is told to stop, or all spans are sent.
pub(crate) fn run(options: &Options, arguments: DemoArguments) -> Result<()> {
    let mut settings = Settings::read(options)?;
    if settings.origin("log_level") == Origin::Default {
        settings.options.log_level = Some("warn".to_owned());
    }
    logging::start(&settings.options)?;
    let mut server = settings.server();
    let fresh = if settings.origin("data") == Origin::Default { Some(Fresh::new()?) } else { None };
    if let Some(fresh) = &fresh {
        server.data.clone_from(&fresh.0);
    }
    if server.otlp_grpc == Listen::Off {
        bail!("the demo sends over OTLP/gRPC, so --otlp-grpc cannot be off");
    }
    let kept = fresh.is_none().then(|| server.data.clone());
    block_on(async move {
        let mut running = start(server).await?;
        running.ready().await?;
        let ending = ending(&arguments, kept.as_deref());
        let sold = sell(&running, arguments, &ending).await;
        exit_when_told_again();
        // Whoever keeps the data wants to look at its Parquet files, too.
        if kept.is_some() && !running.seal(SEAL_MAX).await {
            tracing::warn!("not everything could be sealed; the next start goes on with it");
        }
        running.stop().await;
        sold
    })
}

/// How the demo ends, and what becomes of its data.
fn ending(arguments: &DemoArguments, kept: Option<&Path>) -> String {
    let when = if arguments.exit { "The demo ends when all spans are sent" } else { "Ctrl-C ends the demo" };
    match kept {
        Some(directory) => format!("{when}; its data stays in {}.", directory.display()),
        None => format!("{when}; its data goes with it."),
    }
}

async fn sell(running: &Running, arguments: DemoArguments, ending: &str) -> Result<()> {
    let address = |name| running.listening().get(name).with_context(|| format!("{name} does not listen"));
    let (api, otlp) = (address("api")?, address("otlp_grpc")?);
    say(&format!("\n  Longspan's page: http://{api}/\n\n{WHAT_TO_SEE}  {ending}\n\n"))?;
    let options = DemoOptions {
        otlp_endpoint: format!("http://{otlp}"),
        seed: arguments.seed,
        orders_per_second: arguments.orders_per_second,
        spans: arguments.spans,
    };
    let mut shop = Shop::start(options).await?;
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let (mut stopped, mut told) = (false, 0);
    loop {
        let mut pause = false;
        let wait = async {
            tokio::select! {
                () = stop.as_mut() => stopped = true,
                // The shop in a hurry is told of once, at its end.
                () = sleep(TELL_EVERY), if arguments.spans.is_none() => pause = true,
            }
        };
        shop.run_until(wait).await?;
        let notable = shop.notable();
        say(&addresses(api, &notable[told..]))?;
        told = notable.len();
        if !pause {
            break;
        }
    }
    let report = shop.stop().await?;
    say(&format!("\n  {}\n", summary(&report)))?;
    if arguments.exit && report.spans_failed > 0 {
        bail!("{} spans were not accepted", report.spans_failed);
    }
    if !stopped && !arguments.exit {
        say(&format!("  {ending}\n"))?;
        stop.await;
    }
    Ok(())
}

const WHAT_TO_SEE: &str = "  A small shop of ten services is taking orders now. What to search for:
    · name = \"POST /checkout\"  the customer has an answer in milliseconds, the last effect comes seconds later
    · status = error  payments that are tried again, messages that end as dead letters
    · messaging.batch.message_count > 1  consumers that take many messages at once and link to each sender
";

fn addresses(api: &SocketAddr, notable: &[Notable]) -> String {
    let line = |notable: &Notable| format!("  http://{api}/trace/{}  {}\n", notable.trace_id, notable.what);
    notable.iter().map(line).collect()
}

fn summary(report: &DemoReport) -> String {
    format!(
        "{} orders, {} spans: {} accepted, {} failed; {} dead letters, {} messages never answered",
        report.orders,
        report.spans_created,
        report.spans_exported,
        report.spans_failed,
        report.dead_letters,
        report.unanswered
    )
}

fn say(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")
}
