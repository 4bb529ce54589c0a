//! What of a running node a configuration changes.

use gaggle_group::{ByteBudget, Groups};
use gaggle_peers::Peers;
use gaggle_telemetry::Log;
use tracing::error;

use crate::config::{Config, ConfigError, Credentials};
use crate::node::groups;

/// The parts of a node that can change while it runs, as handles.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) groups: Groups,
    pub(crate) peers: Peers,
    pub(crate) credentials: Credentials,
    pub(crate) in_flight: ByteBudget,
    pub(crate) log: Log,
}

impl Running {
    /// Makes `new` hold in place of `old`, which differ in nothing but what can change. `fresh` is what the new one names,
    /// just read. Returns the fields whose files have changed. Blocks: a group that shrinks may take seconds. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// If a part refuses what the configuration allows. All is then as it was, but for certificates, which follow their files
    /// in any case.
    pub(super) fn take_over(
        &self,
        old: &Config,
        new: &Config,
        fresh: &Credentials,
    ) -> Result<Vec<&'static str>, ConfigError> {
        let mut read = Vec::new();
        // Both, even if the first has news.
        let of_ports = self.read_again(self.credentials.tls.as_ref())?;
        let of_front_door = self.read_again(self.credentials.front_door.as_ref())?;
        if of_ports || of_front_door {
            read.push("security.tls");
        }
        if let Err(failure) = self.put(old, new) {
            if let Err(failure) = self.put(new, old) {
                error!(error = %failure, "what a reload had changed cannot be changed back");
            }
            return Err(failure);
        }
        self.in_flight.set_limit(new.node.max_in_flight.0);
        if let (Some(tokens), Some(fresh)) = (&self.credentials.tokens, &fresh.tokens) {
            if tokens.all() != fresh.all() {
                read.push(match new.security.token_file {
                    Some(_) => "security.token-file",
                    None => "security.token",
                });
            }
            // The file that is watched may be another one, though the same is in it.
            tokens.set(fresh);
        }
        Ok(read)
    }

    fn read_again(&self, tls: Option<&gaggle_tls::Tls>) -> Result<bool, ConfigError> {
        tls.map_or(Ok(false), gaggle_tls::Tls::reload)
            .map_err(|failure| ConfigError::new("security.tls", failure))
    }

    /// What can fail.
    fn put(&self, old: &Config, new: &Config) -> Result<(), ConfigError> {
        if new.node.log_level != old.node.log_level {
            self.log
                .set_level(&new.node.log_level)
                .map_err(|failure| ConfigError::new("node.log-level", failure))?;
        }
        if new.cluster.peers != old.cluster.peers {
            self.peers
                .update(new.peer_urls())
                .map_err(|failure| ConfigError::new("cluster.peers", failure))?;
        }
        for (name, new) in &new.groups {
            let (Some(old), Some(group)) = (old.groups.get(name), self.groups.get(name)) else {
                continue;
            };
            let settings = groups::settings(new);
            if settings != groups::settings(old) {
                group
                    .reconfigure(settings)
                    .map_err(|failure| ConfigError::new(format!("groups.{name}"), failure))?;
            }
            if new.hot_copies != old.hot_copies {
                group.set_hot_copies(groups::hot_copies(new.hot_copies));
            }
        }
        Ok(())
    }
}
