//! `gaggle-node check`: whether a node would start with this configuration, and what the
//! configuration is in full.

use std::io::{self, Write as _};

use anyhow::Context as _;

use crate::cli::CheckArgs;
use crate::config::{self, Loaded};
use crate::node::trial;

/// Checks and prints. With `--offline` it checks what reading the configuration can show,
/// otherwise all that a start would find.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let loaded = config::load(&args.serve)?;
    if args.offline {
        loaded.check_list()?;
    } else {
        try_out(&loaded)?;
    }
    let Loaded { config, sources } = loaded;
    write!(io::stdout(), "{}", config.annotated(&sources)?)
        .context("the configuration cannot be printed")
}

fn try_out(loaded: &Loaded) -> anyhow::Result<()> {
    crate::to_the_end(async {
        let tried = trial::run(&loaded.config).await;
        Ok(tried.map_err(|failure| loaded.sources.explain(failure))?)
    })
}
