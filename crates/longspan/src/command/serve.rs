//! `longspan serve`, and what every command that serves needs: the runtime, signals, an orderly end.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use server::run::{Running, start};
use tokio::signal::unix::{SignalKind, signal};

use crate::logging;
use crate::options::Options;
use crate::settings::Settings;

/// How long threads that are still busy may take at the very end, for example with a log that was being replayed.
const LAST_WORK_MAX: Duration = Duration::from_secs(1);

/// What shells expect of a program that was interrupted.
const EXIT_INTERRUPTED: i32 = 130;

/// Sent to a program that writes past a limit on the size of its files.
const SIGXFSZ: i32 = 25;

/// Serves until the program is told to stop.
pub(crate) fn run(options: &Options) -> Result<()> {
    let settings = Settings::read(options)?;
    logging::start(&settings.options)?;
    block_on(async {
        let mut running = start(settings.server()).await?;
        let stop = stop_signal()?;
        tokio::pin!(stop);
        tokio::select! {
            ready = running.ready() => ready?,
            () = &mut stop => return Ok(()),
        }
        announce(&running);
        stop.await;
        tracing::info!("stopping: finishing what is under way; once more to stop at once");
        exit_when_told_again();
        running.stop().await;
        Ok(())
    })
}

/// Runs a command's future to its end.
pub(crate) fn block_on(command: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let ended = runtime.block_on(async {
        // Unheard, this signal ends the program; heard, the write fails, and that is dealt with as on a full disk.
        let _write_too_large = signal(SignalKind::from_raw(SIGXFSZ)).context("cannot listen for SIGXFSZ")?;
        command.await
    });
    runtime.shutdown_timeout(LAST_WORK_MAX);
    ended
}

/// Completes when the program is told to stop, by SIGTERM or Ctrl-C.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Whoever asks twice does not want to wait. What was acknowledged is on disk at any time.
pub(crate) fn exit_when_told_again() {
    tokio::spawn(async {
        if let Ok(again) = stop_signal() {
            again.await;
            std::process::exit(EXIT_INTERRUPTED);
        }
    });
}

fn announce(running: &Running) {
    for (name, address) in running.listening() {
        tracing::info!(%address, "{name} listens");
    }
    if let Some(api) = running.listening().get("api") {
        tracing::info!("ready: the page is at http://{api}/");
    }
}
