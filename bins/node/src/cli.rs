//! The command line. Flags override the environment, which overrides the file, which overrides defaults.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// One node of a Gaggle cluster: a read-through cache that a whole cluster shares.
#[derive(Debug, Parser)]
#[command(name = "gaggle-node", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a cluster of three nodes in this process, on an embedded SQLite database (the default)
    Demo,
    /// Runs one node
    Serve(ServeArgs),
    /// Asks a running node whether it is ready; exits with 0 if it is and 1 if not
    Health(HealthArgs),
    /// Checks a configuration and prints it in full, secrets masked; exits with 0 if it is good and 2 if not
    Check(ServeArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// The configuration file, in TOML
    #[arg(long, value_name = "FILE", env = "GAGGLE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// What the command line and the environment may say over the file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Overrides {
    /// Where peers reach this node [default: 127.0.0.1:8001]
    #[arg(long, value_name = "HOST:PORT", env = "GAGGLE_PEER_ADDR")]
    pub(crate) peer_addr: Option<String>,
    /// The base URL that peers use for this node [default: http:// and the peer address]
    #[arg(long, value_name = "URL", env = "GAGGLE_ADVERTISE")]
    pub(crate) advertise: Option<String>,
    /// Where programs reach the front door [default: 127.0.0.1:9999]
    #[arg(long, value_name = "HOST:PORT", env = "GAGGLE_API_ADDR")]
    pub(crate) api_addr: Option<String>,
    /// Where operators reach the admin endpoints [default: 127.0.0.1:9990]
    #[arg(long, value_name = "HOST:PORT", env = "GAGGLE_ADMIN_ADDR")]
    pub(crate) admin_addr: Option<String>,
    /// The base URLs of the cluster's nodes, with commas between them; this node is in the ring, listed or not
    #[arg(
        long,
        value_name = "URL,URL",
        env = "GAGGLE_PEERS",
        value_delimiter = ','
    )]
    pub(crate) peers: Option<Vec<String>>,
    /// How log lines are written [default: text]
    #[arg(long, value_name = "FORMAT", env = "GAGGLE_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Which log lines are written: a level, or directives such as info,gaggle_group=debug [default: info]
    #[arg(long, value_name = "LEVEL", env = "GAGGLE_LOG_LEVEL")]
    pub(crate) log_level: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The admin address of the node to ask
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "GAGGLE_ADMIN_ADDR",
        default_value = "127.0.0.1:9990"
    )]
    pub(crate) admin_addr: String,
}

#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}
