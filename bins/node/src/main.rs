//! `gaggle-node`: one node of a Gaggle cluster, or a demo cluster in one process.
//!
//! Reads top to bottom: command line, configuration, logging, runtime, start, run, drain. The
//! parts of a node are in [`node`]; everything that answers requests is in the library crates.

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use gaggle_telemetry::{Exporter, Log, logging, otlp};

use crate::cli::{Cli, Command, ServeArgs};
use crate::config::{Config, ConfigError, Loaded, Sources};
use crate::node::reload::{Load, Source};
use crate::node::{Node, Surroundings};
use crate::systemd::Systemd;

mod check;
mod cli;
mod config;
mod demo;
mod descriptors;
mod follow_sql;
mod generate;
mod health;
mod node;
mod signals;
mod systemd;

/// The exit code of a configuration that cannot be used; clap's own for a command line that
/// cannot.
const BAD_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(failure) => return unparsed(&failure),
    };
    let result = match cli.command.unwrap_or(Command::Demo) {
        Command::Demo => demo::run(),
        Command::Serve(args) => serve(args),
        Command::Health(args) => return health::run(&args),
        Command::Check(args) => check::run(&args),
        Command::FollowSql(args) => follow_sql::run(&args),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man(args) => generate::man(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&format!("{failure:#}"));
            match failure.downcast_ref::<ConfigError>() {
                Some(failure) if !failure.is_transient => ExitCode::from(BAD_CONFIG),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let load: Load = Arc::new(move || config::load(&args));
    let Loaded { config, sources } = load()?;
    let (log, exporter) = start_telemetry(&config).map_err(|failure| sources.explain(failure))?;
    let result = run(&config, load, &log, exporter);
    log.flush(signals::LAST_LINES);
    result.map_err(|failure| explained(failure, &sources))
}

/// The failure of a start, with the source of the value that it is about.
fn explained(failure: anyhow::Error, sources: &Sources) -> anyhow::Error {
    match failure.downcast::<ConfigError>() {
        Ok(failure) => sources.explain(failure).into(),
        Err(other) => other,
    }
}

/// How long an ending node waits for its last spans to be exported. It has drained by then.
const LAST_SPANS: Duration = Duration::from_secs(1);

fn run(config: &Config, load: Load, log: &Log, exporter: Option<Exporter>) -> anyhow::Result<()> {
    // Before any port listens: an early signal must stop the node and not kill it.
    let (stop, hangups) = signals::listen(config.node.drain().whole(), log.clone())?;
    let systemd = Systemd::from_env();
    to_the_end(async {
        // Ends with the runtime.
        tokio::spawn(systemd.clone().keep_alive());
        let traces = exporter.as_ref().map(Exporter::traces);
        let starting = Node::start(config, log, traces.as_ref());
        let Some(node) = stop.before(starting).await else {
            systemd.stopping();
            return Ok(());
        };
        let node = node?;
        if let Some(exporter) = exporter {
            tokio::spawn(exporter.run(node.named()));
        }
        let surroundings = Surroundings {
            systemd,
            source: Some(Source { load, hangups }),
        };
        let stopping = stop.clone();
        let stopped = async move { stopping.received().await };
        let running = Box::pin(async {
            let ended = Box::pin(node.run(surroundings, stopped)).await;
            if let Some(traces) = traces {
                traces.finish(LAST_SPANS).await;
            }
            ended
        });
        let ended = stop.bound(running).await;
        Ok(ended.unwrap_or(Ok(()))?)
    })
}

/// The log, and the exporter of traces, if there is one.
fn start_telemetry(config: &Config) -> Result<(Log, Option<Exporter>), ConfigError> {
    let Some(options) = config.tracing.options() else {
        return Ok((start_log(config)?, None));
    };
    let (layer, exporter) =
        otlp::layer(&options).map_err(|failure| config::tracing_refused(&failure))?;
    let log = logging::init_with(&config.node.log_options(), layer)
        .map_err(|failure| ConfigError::new("node.log-level", failure))?;
    Ok((log, Some(exporter)))
}

fn start_log(config: &Config) -> Result<Log, ConfigError> {
    logging::init(&config.node.log_options())
        .map_err(|failure| ConfigError::new("node.log-level", failure))
}

/// Runs it on a separate runtime, and does not wait for tasks that remain: a thread that a
/// database or a disk blocks must not delay the exit.
fn to_the_end<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")
}

/// The output for a request such as `--help`, or the error of the command line: one line, like an
/// error of the file.
fn unparsed(answer: &clap::Error) -> ExitCode {
    if !answer.use_stderr() {
        answer.exit();
    }
    let text = answer.to_string();
    let said = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let line = said
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect::<Vec<_>>()
        .join(" ");
    complain(line.trim_start_matches("error: "));
    ExitCode::from(BAD_CONFIG)
}

/// How long the program waits for its output to be written. Its reader may have gone.
const TELLING: Duration = Duration::from_millis(250);

/// The last line of a program that fails.
fn complain(line: &str) {
    let line = config::one_line(line);
    // A failure of this cannot be reported anywhere.
    let _ = tell(io::stderr(), format!("gaggle-node: {line}\n"));
}

/// Writes it, and waits no longer than [`TELLING`]. `println!` would panic if standard output is
/// closed.
fn tell(mut to: impl io::Write + Send + 'static, text: String) -> io::Result<()> {
    let (told, result) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("gaggle-tell".into())
        .spawn(move || {
            let written = to.write_all(text.as_bytes()).and_then(|()| to.flush());
            // An error means that the caller no longer waits for it.
            let _ = told.send(written);
        })?;
    result
        .recv_timeout(TELLING)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::task::spawn_blocking;

    use super::*;

    #[test]
    fn a_thread_that_blocks_does_not_hold_up_the_end() {
        let (go_on, blocked) = mpsc::channel::<()>();
        let (ended, end) = mpsc::channel();
        thread::spawn(move || {
            let result = to_the_end(async {
                let (began, beginning) = oneshot::channel();
                spawn_blocking(move || {
                    let _ = began.send(());
                    // Until the test releases it.
                    let _ = blocked.recv();
                });
                Ok(beginning.await?)
            });
            ended.send(result.is_ok())
        });
        // Far above what it takes, so that it only ends a test that would hang.
        let ended = end.recv_timeout(Duration::from_secs(60));
        assert_eq!(ended, Ok(true));
        drop(go_on);
    }

    #[test]
    fn telling_reports_a_failure_and_does_not_wait_for_a_reader() {
        let (reader, writer) = io::pipe().unwrap();
        tell(writer.try_clone().unwrap(), "read\n".into()).unwrap();
        // More than a pipe holds.
        let unread = tell(writer.try_clone().unwrap(), "x".repeat(16 << 20));
        assert_eq!(unread.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(reader);
        let closed = tell(writer, "x".into());
        assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
