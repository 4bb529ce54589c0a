//! The command line. Flags override the environment, which overrides defaults.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::addr::Addr;

mod bench;
mod change;
mod cluster;

pub(crate) use bench::{BenchArgs, BenchKeyArgs, LoadArgs, OriginArgs};
pub(crate) use change::{PutArgs, RemoveArgs, ValueArgs};
pub(crate) use cluster::{ClusterArgs, TopArgs};

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the key is unknown, some nodes were missed or have different rings, or some requests of a bench failed; 2 the command line \
cannot be used, or a node refused what it asks for; 3 no answer: a node cannot be reached, or it failed.";

/// Asks a running Gaggle cluster for values, owners and statistics, shows it live, puts values and
/// removes keys, and measures it under load.
#[derive(Debug, Parser)]
#[command(name = "gagglectl", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Shared {
    /// How long one request may take
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// Prints more, on stderr
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// How this program authenticates to nodes, and nodes to it.
#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// The file whose first line is the cluster's token, which admin endpoints may require;
    /// GAGGLECTL_TOKEN may hold the token
    #[arg(long, global = true, value_name = "PATH", env = "GAGGLECTL_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Sends the token without TLS to other machines, too: anyone who can read the network between
    /// can read it
    #[arg(long, global = true, env = "GAGGLECTL_PLAIN", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) plain: bool,
    /// The certificates (PEM) of the authorities that sign those of nodes at https:// addresses,
    /// in place of the public authorities
    #[arg(long, global = true, value_name = "PATH", env = "GAGGLECTL_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// The client certificate (PEM) to present
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "GAGGLECTL_CERT",
        requires = "key_file"
    )]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(
        long = "key",
        id = "key_file",
        global = true,
        value_name = "PATH",
        env = "GAGGLECTL_KEY",
        requires = "cert"
    )]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints the value of a key, byte for byte
    Get(GetArgs),
    /// Prints the base URL of the node that owns a key
    Owner(OwnerArgs),
    /// Prints the statistics of each node's groups, and the sums
    Stats(StatsArgs),
    /// Finds every node of the cluster from one of them, and prints their state
    Cluster(ClusterArgs),
    /// Shows the cluster live on the terminal: traffic, loads, memory and the hottest keys
    Top(TopArgs),
    /// Removes keys, or all of a group, on every node
    Remove(RemoveArgs),
    /// Gives the owner of a key a value to keep, and removes the key on all other nodes
    Put(PutArgs),
    /// Puts load on the front doors and prints throughput, latencies and errors
    Bench(BenchArgs),
    /// Prints a script that completes this program's command line in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints this program's manual page, or writes the pages of all its commands
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Writes the pages into this directory, one for each command
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The front door to ask
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "GAGGLECTL_API_ADDR",
        default_value = "127.0.0.1:9999"
    )]
    pub(crate) api_addr: Addr,
    /// Prints the answer's status and headers on stderr
    #[arg(long)]
    pub(crate) headers: bool,
    /// The largest value to take
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub(crate) max_value: ByteSize,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

/// The nodes of which one is to be asked.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The admin address to ask; of several, the first that can be reached
    #[arg(
        long = "admin-addr",
        value_name = "HOST:PORT",
        env = "GAGGLECTL_ADMIN_ADDR",
        default_value = "127.0.0.1:9990",
        value_delimiter = ','
    )]
    pub(crate) addrs: Vec<Addr>,
}

#[derive(Debug, Args)]
pub(crate) struct OwnerArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// The admin addresses of the nodes to ask, separated by commas
    #[arg(
        long = "admin-addr",
        value_name = "HOST:PORT",
        env = "GAGGLECTL_ADMIN_ADDR",
        default_value = "127.0.0.1:9990",
        value_delimiter = ','
    )]
    pub(crate) admin_addrs: Vec<Addr>,
    /// Prints this group alone
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Prints one JSON document in place of the table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The group; may be left out where the node has only one
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// How KEY is written
    #[arg(long, value_name = "ENCODING", default_value = "text")]
    pub(crate) key_encoding: KeyEncoding,
    /// The key; one that begins with a dash goes after --
    #[arg(value_name = "KEY")]
    pub(crate) key: OsString,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyEncoding {
    /// As it is
    Text,
    /// The standard alphabet, with or without padding
    Base64,
    /// Two digits a byte
    Hex,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("it must be more than 0".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
