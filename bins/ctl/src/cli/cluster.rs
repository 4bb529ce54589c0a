//! The arguments of what looks at the whole cluster: `cluster` and `top`.

use std::time::Duration;

use clap::Args;

use super::{AdminArgs, timeout};

/// A node is asked no more often, so that a terminal left open costs it nothing that counts.
const MIN_EVERY: Duration = Duration::from_millis(500);

/// Whoever waits longer looks at a stale picture.
const MAX_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Prints the node's JSON document in place of the table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// The group to show first; without it the sums of all
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// How often the node is asked, from 500ms to 1m
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = every)]
    pub(crate) every: Duration,
}

fn every(text: &str) -> Result<Duration, String> {
    let time = timeout(text)?;
    if (MIN_EVERY..=MAX_EVERY).contains(&time) {
        Ok(time)
    } else {
        Err("it must be from 500ms to 1m".to_owned())
    }
}
