//! The port for Redis' clients.

use std::time::Duration;

use gaggle_api_resp::{Access, Grant, Monitor, Options, RespServer, Rights, Serving, Tls};
use gaggle_telemetry::{Families, Source};
use gaggle_token::Tokens;
use tracing::warn;

use super::access;
use crate::config::{Config, ConfigError, Credentials, Port};

/// Binds the port, if there is to be one.
pub(super) async fn bind(
    config: &Config,
    credentials: &Credentials,
    max_connections: usize,
    drain: Duration,
) -> Result<Option<RespServer>, ConfigError> {
    let (node, resp) = (&config.node, &config.node.resp);
    let Some(addr) = &node.resp_addr else {
        return Ok(None);
    };
    let rights = if resp.read_only {
        Rights::Read
    } else {
        Rights::Write
    };
    let tls = access::server_tls(&config.security, credentials, Port::Resp)?;
    let options = Options {
        group: node.resp_group.clone(),
        access: match &credentials.tokens {
            Some(tokens) => by_token(tokens.clone(), rights),
            None => Access::open(rights),
        },
        tls: tls.map(|(server, plain)| Tls::new(move || server.config()).accept_plain(plain)),
        max_connections,
        backlog: node.limits.backlog,
        max_arguments: resp.max_arguments,
        max_request: resp.max_request.length(),
        max_output: resp.max_output.length(),
        batch_loads: resp.batch_loads,
        idle_timeout: resp.idle_timeout.0,
        request_timeout: resp.request_timeout.0,
        stall_timeout: node.limits.stall_timeout.0,
        min_rate: u32::try_from(node.limits.min_rate.0).unwrap_or(u32::MAX),
        drain,
    };
    RespServer::bind(addr.as_str(), options)
        .await
        .map(Some)
        .map_err(|failure| ConfigError::new(Port::Resp.field(), failure))
}

/// The password is a token of the cluster, for as long as it is one.
fn by_token(tokens: Tokens, rights: Rights) -> Access {
    Access::password(move |given| {
        let admission = tokens.admit(given)?;
        Some(Grant::new(rights).until(move || !admission.holds()))
    })
}

/// Serves until `stop` completes, if there is such a port.
pub(super) async fn serve(serving: Option<Serving>, stop: impl Future<Output = ()> + Send) {
    let Some(serving) = serving else {
        return;
    };
    let drained = serving.serve(stop).await;
    if drained.cut > 0 {
        warn!(
            port = "resp",
            connections = drained.cut,
            "connections were cut when the drain timeout passed"
        );
    }
}

/// What the port has done, on the metrics page.
pub(super) struct Counted(pub(super) Monitor);

impl Source for Counted {
    fn collect(&self, families: &mut Families) {
        let counts = self.0.counts();
        families.gauge(
            "gaggle_resp_connections",
            "Connections of Redis' clients that are open.",
            [],
            [([], counts.open as u64)],
        );
        families.counter(
            "gaggle_resp_connections_accepted",
            "Connections of Redis' clients that were served.",
            [],
            [([], counts.accepted)],
        );
        families.counter(
            "gaggle_resp_connections_refused",
            "Connections of Redis' clients that were refused, as the limit was reached.",
            [],
            [([], counts.refused)],
        );
        families.counter(
            "gaggle_resp_connections_timed_out",
            "Connections of Redis' clients that were closed as a timeout had passed.",
            [],
            [([], counts.timed_out)],
        );
        families.counter(
            "gaggle_resp_commands",
            "Commands of Redis' clients: those that read values (read), that put or remove some (write), all others (other).",
            ["class"],
            [
                (["read"], counts.reads),
                (["write"], counts.writes),
                (["other"], counts.others),
            ],
        );
        families.counter(
            "gaggle_resp_errors",
            "Errors that Redis' clients were answered.",
            [],
            [([], counts.errors)],
        );
        families.counter(
            "gaggle_resp_denied",
            "Passwords of Redis' clients that were wrong.",
            [],
            [([], counts.denied)],
        );
    }
}
