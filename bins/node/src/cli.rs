//! The command line. Flags override the environment, which overrides the file, which overrides
//! defaults.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{
    ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
};
use clap_complete::Shell;
use toml::Value;

use crate::config::Source;

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
    /// Checks a configuration as a start would and prints it in full, with where each value was
    /// set and secrets masked; exits with 0 if it is good and 2 if not
    Check(CheckArgs),
    /// Prints the SQL that sets a PostgreSQL database up, so that groups can follow its changes
    FollowSql(FollowSqlArgs),
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

#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// The configuration file, in TOML; every field can be set by GAGGLE_TABLE__FIELD as well,
    /// such as GAGGLE_GROUPS__SCORES__TTL
    #[arg(long, value_name = "FILE", env = "GAGGLE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Opens no file but the configuration, asks no name server and tries no port: for another
    /// machine than the one that is to run it
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FollowSqlArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// The group whose source is to be followed [default: all that follow one]
    pub(crate) group: Option<String>,
}

/// What the command line and the environment may say over the file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Overrides {
    /// Where peers reach this node [default: 127.0.0.1:8001]
    #[arg(long, value_name = "HOST:PORT", env = "GAGGLE_PEER_ADDR")]
    pub(crate) peer_addr: Option<String>,
    /// The base URL that peers use for this node [default: the peer address, by https if that port
    /// speaks TLS]
    #[arg(long, value_name = "URL", env = "GAGGLE_ADVERTISE")]
    pub(crate) advertise: Option<String>,
    /// Where programs reach the front door [default: 127.0.0.1:9999]
    #[arg(long, value_name = "HOST:PORT", env = "GAGGLE_API_ADDR")]
    pub(crate) api_addr: Option<String>,
    /// Where operators reach the admin endpoints [default: 127.0.0.1:9990]
    #[arg(long, value_name = "HOST:PORT", env = "GAGGLE_ADMIN_ADDR")]
    pub(crate) admin_addr: Option<String>,
    /// Where Redis' clients reach this node [default: nowhere]
    #[arg(long, value_name = "HOST:PORT", env = "GAGGLE_RESP_ADDR")]
    pub(crate) resp_addr: Option<String>,
    /// The addresses of the cluster's nodes, separated by commas: base URLs, or HOST:PORT
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
    /// Which log lines are written: a level, or directives such as info,gaggle_group=debug
    /// [default: info]
    #[arg(long, value_name = "LEVEL", env = "GAGGLE_LOG_LEVEL")]
    pub(crate) log_level: Option<String>,
    /// The ids of those that the command line itself has; the others come from the environment.
    #[arg(skip)]
    pub(crate) flags: Vec<String>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct HealthArgs {
    /// The configuration file of the node to ask, which has its admin address and TLS
    #[arg(long, value_name = "FILE", env = "GAGGLE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The admin address of the node to ask [default: that of the configuration, 127.0.0.1:9990
    /// without one]
    #[arg(long, value_name = "HOST:PORT", env = "GAGGLE_ADMIN_ADDR")]
    pub(crate) admin_addr: Option<String>,
}

impl HealthArgs {
    /// The same as a node's arguments.
    pub(crate) fn serve(&self) -> ServeArgs {
        ServeArgs {
            config: self.config.clone(),
            overrides: Overrides {
                admin_addr: self.admin_addr.clone(),
                ..Overrides::default()
            },
        }
    }
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

/// A value that stands over the file's.
pub(crate) struct Override {
    pub(crate) path: Vec<String>,
    pub(crate) value: Value,
    pub(crate) source: Source,
}

impl Cli {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        let mut cli = Self::from_arg_matches(&matches)?;
        if let Some((_, matches)) = matches.subcommand() {
            match &mut cli.command {
                Some(Command::Serve(args)) => args.overrides.note_flags(matches),
                Some(Command::Check(args)) => args.serve.overrides.note_flags(matches),
                _ => {}
            }
        }
        Ok(cli)
    }
}

impl Overrides {
    fn note_flags(&mut self, matches: &ArgMatches) {
        let ids = matches.ids().map(clap::Id::as_str);
        self.flags = ids
            .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
            .map(str::to_owned)
            .collect();
    }

    /// What is given, and by which flag or variable.
    pub(crate) fn given(&self) -> Vec<Override> {
        let text = |text: &Option<String>| text.clone().map(Value::String);
        let format = self.log_format.map(|format| match format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        });
        // `GAGGLE_PEERS=` is how an environment says "none".
        let peers = self.peers.as_ref().map(|peers| {
            let peers = peers
                .iter()
                .map(|peer| peer.trim())
                .filter(|peer| !peer.is_empty());
            Value::Array(peers.map(|peer| Value::String(peer.into())).collect())
        });
        let all = [
            ("node", "peer_addr", text(&self.peer_addr)),
            ("node", "advertise", text(&self.advertise)),
            ("node", "api_addr", text(&self.api_addr)),
            ("node", "admin_addr", text(&self.admin_addr)),
            ("node", "resp_addr", text(&self.resp_addr)),
            ("cluster", "peers", peers),
            (
                "node",
                "log_format",
                format.map(|format| Value::String(format.into())),
            ),
            ("node", "log_level", text(&self.log_level)),
        ];
        let given = all.into_iter().filter_map(|(table, id, value)| {
            let field = id.replace('_', "-");
            let source = if self.flags.iter().any(|flag| flag == id) {
                Source::Flag(format!("--{field}"))
            } else {
                Source::Environment(format!("GAGGLE_{}", id.to_ascii_uppercase()))
            };
            Some(Override {
                path: vec![table.into(), field],
                value: value?,
                source,
            })
        });
        given.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_made() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_value_is_told_by_its_flag_or_its_variable() {
        let overrides = Overrides {
            api_addr: Some("a:1".into()),
            log_format: Some(LogFormat::Json),
            flags: vec!["api_addr".into()],
            ..Overrides::default()
        };
        let given = overrides.given();
        let told: Vec<_> = given
            .iter()
            .map(|given| format!("{} {}", given.path.join("."), given.source))
            .collect();
        assert_eq!(
            told,
            [
                "node.api-addr --api-addr",
                "node.log-format GAGGLE_LOG_FORMAT"
            ]
        );
    }
}
