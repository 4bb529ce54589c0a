//! The parts of a running node that a configuration changes.

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
    /// Applies `new` in place of `old`, which differ only in fields that can change. `fresh` are
    /// the files that the new one names, just read. Returns the fields whose files have changed.
    /// Blocks: a group that shrinks may take seconds. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// If a part refuses what the configuration allows. All is then as it was, except
    /// certificates, which follow their files in any case.
    pub(super) fn take_over(
        &self,
        old: &Config,
        new: &Config,
        fresh: &Credentials,
    ) -> Result<Vec<&'static str>, ConfigError> {
        let mut read = Vec::new();
        // Both, even if the first has changed.
        let of_ports = self.read_again(self.credentials.tls.as_ref())?;
        let of_front_door = self.read_again(self.credentials.front_door.as_ref())?;
        if of_ports || of_front_door {
            read.push("security.tls");
        }
        if let Err(failure) = self.put(old, new) {
            if let Err(failure) = self.put(new, old) {
                error!(error = %failure, "the changes of a failed reload cannot be undone");
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
            // The watched file may be another one with the same content.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gaggle_group::{Group, Peer, Router as _};
    use gaggle_peers::{Options, Profile};
    use gaggle_telemetry::{LogOptions, logging};
    use gaggle_transport_http::{ClientOptions, HttpTransport};

    use super::*;

    fn config() -> Config {
        let text =
            "[cluster]\npeers = [\"http://127.0.0.1:1\"]\n[groups.a]\nttl = \"1h\"\n[groups.b]\n";
        toml::from_str(text).unwrap()
    }

    fn running(config: &Config, log: Log) -> Running {
        let http = HttpTransport::new(ClientOptions::default()).unwrap();
        let connect = move |name: &str, url: &str| Ok(http.peer_named(name, url)? as Arc<dyn Peer>);
        let options = Options::default();
        let peers = Peers::new("http://127.0.0.1:1", Profile::Gaggle, options, connect).unwrap();
        let group = |(name, config): (&String, &crate::config::Group)| {
            let origin = Group::builder(name)
                .origin_fn(|_| async { Ok::<_, String>(Some("value")) })
                .build()
                .unwrap();
            origin.reconfigure(groups::settings(config)).unwrap();
            origin
        };
        Running {
            groups: Groups::new(config.groups.iter().map(group)).unwrap(),
            peers,
            credentials: Credentials::default(),
            in_flight: ByteBudget::unlimited(),
            log,
        }
    }

    /// What the configuration's own check accepts can hardly be refused later. If it is refused
    /// nevertheless:
    #[tokio::test]
    async fn what_had_changed_before_a_part_refuses_is_changed_back() {
        let (_dispatch, log) = logging::queued(&LogOptions::default(), std::io::sink()).unwrap();
        let old = config();
        let running = running(&old, log);
        let group = |name: &str| running.groups.get(name).unwrap().settings();
        let (a, b) = (group("a"), group("b"));

        let mut new = config();
        new.cluster.peers.push("http://127.0.0.1:2".into());
        new.node.log_level = "debug".into();
        new.groups.get_mut("a").unwrap().ttl = None;
        let good = new.clone();
        // No group can have that.
        new.groups.get_mut("b").unwrap().capacity.0 = 0;
        let none = Credentials::default();
        let failure = running.take_over(&old, &new, &none).unwrap_err();
        assert_eq!(failure.field, "groups.b");
        assert_eq!((group("a"), group("b")), (a.clone(), b));
        assert_eq!(running.peers.members().len(), 1);
        assert_eq!(running.in_flight.limit(), u64::MAX);

        assert_eq!(running.take_over(&old, &good, &none).unwrap(), [""; 0]);
        assert_ne!(group("a"), a);
        assert_eq!(running.peers.members().len(), 2);
        assert_eq!(running.in_flight.limit(), good.node.max_in_flight.0);
    }
}
