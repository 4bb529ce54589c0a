//! `gagglectl`: asks a running Gaggle cluster for values, owners and statistics, shows it live,
//! puts values and removes keys, and measures it under load.
//!
//! A client of the node's front door and admin endpoints only: it shares no code with the node.
//! Each command is a module. They share the [`client`], which bounds every request in time and
//! bytes, [`access`], which authenticates, the [`key`], which is bytes, and [`outcome`], which
//! decides the exit code.

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Command};
use crate::client::Client;
use crate::outcome::{Failure, Outcome};

mod access;
mod addr;
mod bench;
mod cli;
mod client;
mod cluster;
mod connect;
mod generate;
mod get;
mod key;
mod outcome;
mod output;
mod owner;
mod put;
mod removal;
mod remove;
mod stats;
mod status;
mod table;
mod top;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = runtime(&cli.command).and_then(|runtime| runtime.block_on(run(cli)));
    match result {
        Ok(outcome) => outcome.exit_code(),
        Err(failure) => {
            if !failure.is_silent() {
                output::note(&failure.to_string());
            }
            failure.exit_code()
        }
    }
}

async fn run(cli: Cli) -> Result<Outcome, Failure> {
    let access = &cli.shared.access;
    let token = match cli.command {
        // Front doors require no token, and these two commands ask no node.
        Command::Get(_) | Command::Completions { .. } | Command::Man(_) => None,
        _ => access::token(access)?,
    };
    let client =
        Client::new(cli.shared.timeout, access::tls(access)?).with_token(token, access.plain);
    let verbose = cli.shared.verbose;
    match cli.command {
        Command::Get(args) => get::run(&client, &args, verbose).await,
        Command::Owner(args) => owner::run(&client, &args, verbose).await,
        Command::Stats(args) => stats::run(&client, &args).await,
        Command::Cluster(args) => cluster::run(&client, &args).await,
        Command::Top(args) => top::run(&client, &args).await,
        Command::Remove(args) => remove::run(&client, &args).await,
        Command::Put(args) => put::run(&client, &args).await,
        Command::Bench(args) => bench::run(&client, &args, cli.shared.timeout).await,
        Command::Completions { shell } => generate::completions(shell),
        Command::Man(args) => generate::man(&args),
    }
}

/// One thread, unless a bench asks for more.
fn runtime(command: &Command) -> Result<Runtime, Failure> {
    let mut builder = match command {
        Command::Bench(args) if args.load.threads > 1 => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(args.load.threads.into());
            builder
        }
        _ => Builder::new_current_thread(),
    };
    builder
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("the runtime could not be started: {error}")))
}
