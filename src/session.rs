//! One run of the program: the runtime, the progress, the two Ctrl-Cs, and the exit code.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::apply::Stop;
use crate::cli::{Cli, Command};
use crate::commands::{self, Context};
use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::report::{self, Progress};
use crate::settings::Surroundings;

/// Runs what was typed.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let as_json = cli.globals.json;
    let result = runtime().and_then(|runtime| {
        let result = runtime.block_on(with_progress(cli));
        // A thread may still wait for input or for a lock; nobody waits for it any more.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report::error(&error, as_json);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|cause| Error::new(Kind::Unexpected, "cannot start").because(cause))
}

async fn with_progress(cli: Cli) -> Result<u8> {
    let (events, progress) = Progress::start(cli.globals.progress);
    let (say_stop, stop) = watch::channel(false);
    let stop = Stop::new(stop);
    let walking = stop.walking();
    // Whoever follows logs or works inside a container ends that so.
    let say = events.clone();
    let looks_on = matches!(cli.command, Command::Logs(_) | Command::Exec(_));
    let result = tokio::select! {
        result = verb(cli, events, stop) => result,
        () = interrupted(say_stop, walking, say) => if looks_on { Ok(Kind::Interrupted.exit_code()) } else { Err(Error::new(Kind::Interrupted, "stopped at once")
            .hint("`sandbox ls` shows what there is; `sandbox up TASK` goes on, `sandbox rm TASK` takes it away")) },
    };
    // What was said is shown before the error that ends it.
    progress.finish().await;
    result
}

async fn verb(cli: Cli, events: Sink, stop: Stop) -> Result<u8> {
    let surroundings = Surroundings::of_this_process(cli.globals.directory.as_deref())?;
    let context = Context { globals: cli.globals, surroundings, events, stop };
    Box::pin(commands::run(cli.command, &context)).await
}

/// The first Ctrl-C (or SIGTERM) says stop to a plan that is being walked, and this ends with the second. Where nothing is
/// being walked it ends with the first.
async fn interrupted(say_stop: watch::Sender<bool>, walking: impl Fn() -> bool, events: Sink) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if say_stop.send_replace(true) || !walking() {
            return;
        }
        events.info("stopping when what is under way has ended; again to stop at once");
    }
}
