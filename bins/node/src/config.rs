//! The configuration: one structure that the file, the environment and the flags all end in.
//!
//! Reading is a pure function of the file's text, the variables and the flags ([`read`]); the file
//! and the environment are read in [`load`] only. Every error is one line that names the field,
//! and where its value came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cli::{LogFormat, ServeArgs};

mod addresses;
mod bounds;
mod client;
mod cluster;
mod credentials;
mod discovery;
mod drain;
mod environment;
mod error;
mod example;
mod follow;
mod found;
mod group;
mod loads;
mod log_level;
mod mask;
mod members;
mod node;
mod origin;
mod print;
mod resp;
mod secret;
mod security;
mod sources;
mod tracing;
mod units;
mod validate;

pub(crate) use addresses::{Place, is_own};
pub(crate) use cluster::{Cluster, Profile, Transport};
pub(crate) use credentials::Credentials;
pub(crate) use discovery::Discovery;
pub(crate) use drain::Drain;
pub(crate) use error::{ConfigError, one_line};
pub(crate) use follow::Follow;
pub(crate) use group::{Group, HotCopies, Store};
pub(crate) use loads::OriginLoads;
pub(crate) use members::HTTPS;
pub(crate) use node::Node;
pub(crate) use origin::{Origin, Sqlite, refused};
pub(crate) use security::{Port, Security};
pub(crate) use sources::{Given, Source, Sources};
pub(crate) use tracing::{Tracing, refused as tracing_refused};
use units::Span;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) node: Node,
    pub(crate) cluster: Cluster,
    pub(crate) security: Security,
    pub(crate) tracing: Tracing,
    pub(crate) groups: BTreeMap<String, Group>,
}

/// A configuration, and where its values were set.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) sources: Sources,
}

impl Loaded {
    /// Whether this node is in its list of members, so far as the list alone can tell: a name in
    /// it may be one for this machine.
    pub(crate) fn check_list(&self) -> Result<(), ConfigError> {
        let listed = self.config.listed()?;
        if listed.iter().any(|place| place.ip().is_none()) {
            return Ok(());
        }
        let found = self.config.find_self(&listed, |_| false);
        found.map_err(|failure| self.sources.explain(failure))
    }
}

/// Reads the file, if one is named, and lays the environment and the flags over it.
pub(crate) fn load(args: &ServeArgs) -> Result<Loaded, ConfigError> {
    read(&given(args)?)
}

/// The input: the one place that opens the file and reads the environment.
fn given(args: &ServeArgs) -> Result<Given, ConfigError> {
    let file = match &args.config {
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|failure| ConfigError::new("--config", format!("{name}: {failure}")))?;
            Some((name, text))
        }
        None => None,
    };
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        let is_meant = |name: &&str| environment::is_meant(name) || tracing::is_meant(name);
        let Some(name) = name.to_str().filter(is_meant) else {
            continue;
        };
        // Not its text: it may be a secret.
        let value = value
            .into_string()
            .map_err(|_| ConfigError::new(name, "is not UTF-8"))?;
        environment.push((name.to_owned(), value));
    }
    Ok(Given {
        file,
        environment,
        flags: args.overrides.clone(),
    })
}

/// The configuration that is given, checked.
pub(crate) fn read(given: &Given) -> Result<Loaded, ConfigError> {
    let layers = sources::Layers::of(given)?;
    let config = layers.read()?;
    let sources = layers.sources;
    match config.validate() {
        Ok(()) => Ok(Loaded { config, sources }),
        Err(failure) => Err(sources.explain(failure)),
    }
}

/// What is needed to ask a node that runs with this configuration: where its admin port is, and
/// what that port requires. The rest of the configuration may be invalid.
pub(crate) fn load_for_asking(args: &ServeArgs) -> Result<Config, ConfigError> {
    let layers = sources::Layers::of(&given(args)?)?;
    layers.read_for_asking()
}

impl From<LogFormat> for gaggle_telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
