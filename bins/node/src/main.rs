//! `gaggle-node`: one node of a Gaggle cluster, or a demo cluster in one process.
//!
//! Reads top to bottom: command line, configuration, logging, runtime, start, run, drain. What a node is made of is in
//! [`node`]; everything that answers requests is in the library crates.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::cli::{Cli, Command, ServeArgs};
use crate::config::{Config, ConfigError};
use crate::node::Node;

mod cli;
mod config;
mod demo;
mod health;
mod node;
mod signals;

/// The exit code of a configuration that cannot be used; clap's own for a command line that cannot.
const BAD_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(failure) => return unparsed(&failure),
    };
    let result = match cli.command.unwrap_or(Command::Demo) {
        Command::Demo => demo::run(),
        Command::Serve(args) => serve(&args),
        Command::Health(args) => return health::run(&args),
        Command::Check(args) => check(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&format!("{failure:#}"));
            match failure.downcast_ref::<ConfigError>() {
                Some(_) => ExitCode::from(BAD_CONFIG),
                None => ExitCode::FAILURE,
            }
        }
    }
}

fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let config = config::load(args)?;
    start_log(&config)?;
    runtime()?.block_on(async {
        // Before anything listens: a signal that comes early must stop the node and not kill it.
        let stop = signals::listen()?;
        let node = Node::start(&config).await?;
        node.run(stop.received()).await;
        Ok(())
    })
}

fn check(args: &ServeArgs) -> anyhow::Result<()> {
    let config = config::load(args)?;
    config::check_log_level(&config.node.log_level)?;
    print(&config.masked()?);
    Ok(())
}

fn start_log(config: &Config) -> Result<(), ConfigError> {
    let options = gaggle_telemetry::LogOptions {
        format: config.node.log_format.into(),
        level: config.node.log_level.clone(),
        ..Default::default()
    };
    gaggle_telemetry::logging::init(&options)
        .map_err(|failure| ConfigError::new("node.log-level", failure))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")
}

/// What was asked of the command line itself (`--help`), or what is wrong with it: one line, as of the file.
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

/// The last line of a program that fails.
#[allow(clippy::print_stderr)]
fn complain(line: &str) {
    eprintln!("gaggle-node: {line}");
}

/// What a person or a script asked to see.
#[allow(clippy::print_stdout)]
fn print(text: &str) {
    println!("{text}");
}
