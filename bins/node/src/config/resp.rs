//! The `resp` table of the node: the bounds of the port for Redis' clients, and what they may do.

use serde::{Deserialize, Serialize};

use super::bounds::{room, some, timeout};
use super::units::{Size, Span};
use super::{Config, ConfigError};

/// [`gaggle_api_resp::Options`] has what each field means. Other bounds are the same as on the
/// other ports: `max-connections`, and of the `limits` table `backlog`, `stall-timeout` and
/// `min-rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Resp {
    /// Whether clients may only get values, whatever their credentials.
    pub(crate) read_only: bool,
    pub(crate) max_arguments: usize,
    pub(crate) max_request: Size,
    pub(crate) max_output: Size,
    pub(crate) batch_loads: usize,
    pub(crate) idle_timeout: Span,
    pub(crate) request_timeout: Span,
}

impl Default for Resp {
    fn default() -> Self {
        let options = gaggle_api_resp::Options::default();
        Self {
            read_only: false,
            max_arguments: options.max_arguments,
            max_request: options.max_request.into(),
            max_output: options.max_output.into(),
            batch_loads: options.batch_loads,
            idle_timeout: Span(options.idle_timeout),
            request_timeout: Span(options.request_timeout),
        }
    }
}

/// The largest request there can be: its positions are kept in 32 bits.
const LARGEST: u64 = 1 << 30;

impl Config {
    pub(super) fn validate_resp(&self) -> Result<(), ConfigError> {
        if let Some(group) = &self.node.resp_group
            && !self.groups.contains_key(group)
        {
            return Err(ConfigError::new(
                "node.resp-group",
                format!("there is no group {group:?}"),
            ));
        }
        let resp = &self.node.resp;
        let field = |name: &str| format!("node.resp.{name}");
        some(&field("max-arguments"), resp.max_arguments as u64)?;
        some(&field("batch-loads"), resp.batch_loads as u64)?;
        room(&field("max-output"), resp.max_output)?;
        room(&field("max-request"), resp.max_request)?;
        if resp.max_request.0 > LARGEST {
            return Err(ConfigError::new(
                field("max-request"),
                "expected 1GiB or less",
            ));
        }
        timeout(&field("idle-timeout"), resp.idle_timeout)?;
        timeout(&field("request-timeout"), resp.request_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Given, read};
    use super::*;

    fn load(node: &str, tables: &str) -> Result<Config, String> {
        let origin = "[groups.scores.origin]\nkind = \"files\"\nroot = \"data\"\n";
        let text = format!("[node]\n{node}\n{origin}{tables}");
        let given = Given {
            file: Some(("gaggle.toml".into(), text)),
            ..Given::default()
        };
        let loaded = read(&given).map_err(|failure| failure.to_string())?;
        Ok(loaded.config)
    }

    #[test]
    fn the_port_is_off_unless_it_has_an_address() {
        assert_eq!(load("", "").unwrap().node.resp_addr, None);
        let on = load(
            "resp-addr = \"127.0.0.1:6379\"\nresp-group = \"scores\"",
            "",
        )
        .unwrap();
        assert_eq!(on.node.resp_addr.as_deref(), Some("127.0.0.1:6379"));
        let options = gaggle_api_resp::Options::default();
        assert_eq!(on.node.resp.max_request, options.max_request.into());
        assert_eq!(on.node.resp.idle_timeout.0, options.idle_timeout);
    }

    #[test]
    fn beyond_this_machine_it_needs_a_proof_as_the_other_ports_do() {
        let open = "resp-addr = \"0.0.0.0:6379\"";
        let refused = load(open, "").unwrap_err();
        assert!(refused.contains("node.resp-addr"), "{refused}");
        for security in ["token = \"sixteen-bytes-at-least\"", "insecure = true"] {
            load(open, &format!("[security]\n{security}\n")).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (node, field) in [
            ("resp-addr = \"127.0.0.1:9999\"", "node.resp-addr"),
            ("resp-addr = \"x\"", "node.resp-addr"),
            ("resp-group = \"other\"", "node.resp-group"),
            ("[node.resp]\nmax-arguments = 0", "node.resp.max-arguments"),
            (
                "[node.resp]\nmax-request = \"2GiB\"",
                "node.resp.max-request",
            ),
            ("[node.resp]\nmax-output = \"0B\"", "node.resp.max-output"),
            ("[node.resp]\nbatch-loads = 0", "node.resp.batch-loads"),
            (
                "[node.resp]\nidle-timeout = \"0s\"",
                "node.resp.idle-timeout",
            ),
            (
                "[node.resp]\nrequest-timeout = \"0s\"",
                "node.resp.request-timeout",
            ),
        ] {
            let refused = load(node, "").unwrap_err();
            assert!(refused.contains(field), "{node}: {refused}");
        }
    }
}
