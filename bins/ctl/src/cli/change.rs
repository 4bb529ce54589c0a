//! The arguments of what changes values: `remove` and `put`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{ArgGroup, Args};

use super::{AdminArgs, KeyArgs, KeyEncoding};

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// The group; may be left out where the node has only one
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// How KEY is written
    #[arg(long, value_name = "ENCODING", default_value = "text")]
    pub(crate) key_encoding: KeyEncoding,
    /// Removes every key of the group
    #[arg(long, conflicts_with = "keys")]
    pub(crate) all: bool,
    /// The keys; one that begins with a dash goes after --
    #[arg(value_name = "KEY", required_unless_present = "all")]
    pub(crate) keys: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) value: ValueArgs,
    /// How long the value is fresh, in whole seconds; the group decides unless given
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    pub(crate) max_age: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true))]
pub(crate) struct ValueArgs {
    /// The value as it is; - takes it from standard input
    #[arg(value_name = "VALUE", group = "source")]
    pub(crate) value: Option<OsString>,
    /// Takes the value from a file
    #[arg(long, value_name = "PATH", group = "source")]
    pub(crate) file: Option<PathBuf>,
    /// The largest value to take from a file or standard input
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub(crate) max_value: ByteSize,
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("it must be more than 0".to_owned()),
        Ok(time) if time.subsec_nanos() > 0 => Err("it must be whole seconds".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
