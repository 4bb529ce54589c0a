//! Authentication on the port for peers, and the credentials that this program sends to others.

use std::fmt;

use axum::Router;
#[cfg(feature = "token")]
use gaggle_proto::credentials::Authorization;
use gaggle_transport_http::ClientOptions;
use tokio::task::JoinSet;

use super::ClusterError;

/// The credentials of a cluster. Both are read again when their files change, as long as the
/// cluster exists.
#[derive(Clone, Default)]
pub(super) struct Security {
    #[cfg(feature = "token")]
    pub(super) tokens: Option<gaggle_token::Tokens>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
    /// Whether plain HTTP is accepted as well as TLS.
    #[cfg(feature = "tls")]
    pub(super) accept_plain: bool,
}

/// TLS between the members.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) tls: gaggle_tls::Tls,
    pub(super) clients: gaggle_tls::ClientCerts,
}

/// How often the files are checked.
#[cfg(feature = "token")]
const WATCH_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

impl Security {
    /// The scheme of this program's own address.
    pub(super) fn scheme(&self) -> &'static str {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return "https";
        }
        "http"
    }

    /// Refuses an address without TLS if the members use TLS: an attacker who can add such an
    /// address to a list would receive the token, and would be trusted without a certificate.
    pub(super) fn check(&self, address: &str) -> Result<(), String> {
        #[cfg(feature = "tls")]
        if self.tls.is_some() && !self.accept_plain {
            let scheme = address.split_once("://").map(|(scheme, _)| scheme);
            if scheme.is_none_or(|scheme| !scheme.eq_ignore_ascii_case("https")) {
                return Err("it is not reached over TLS; expected https://HOST:PORT".to_owned());
            }
        }
        let _ = address;
        Ok(())
    }

    /// Adds the credentials to each request to another member.
    pub(super) fn show(&self, client: ClientOptions) -> ClientOptions {
        #[cfg(any(feature = "token", feature = "tls"))]
        let mut client = client;
        #[cfg(feature = "token")]
        if let Some(tokens) = self.tokens.clone() {
            client.authorization = Some(Authorization::new(move || tokens.header()));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let tls = tls.tls.client();
            client.tls = Some(gaggle_proto::credentials::Tls::new(move |name| {
                let peer = tls.peer(name);
                move || peer.config()
            }));
        }
        client
    }

    /// Makes the port use TLS.
    pub(super) fn serve(
        &self,
        options: gaggle_serve::Options,
    ) -> Result<gaggle_serve::Options, ClusterError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let server = tls.tls.server(tls.clients)?;
            let served = gaggle_serve::Tls::new(move || server.config());
            return Ok(gaggle_serve::Options {
                tls: Some(served.accept_plain(self.accept_plain)),
                ..options
            });
        }
        Ok(options)
    }

    /// Admits only requests that carry the token.
    pub(super) fn require_token(&self, routes: Router) -> Router {
        #[cfg(feature = "token")]
        if let Some(tokens) = self.tokens.clone() {
            return routes.layer(gaggle_token::Require::new("peers").token(tokens));
        }
        routes
    }

    /// Follows the files until the tasks are aborted.
    pub(super) fn watch(&self, tasks: &mut JoinSet<()>) {
        #[cfg(feature = "token")]
        if let Some(tokens) = self.tokens.clone() {
            tasks.spawn(tokens.watch(WATCH_EVERY));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            tasks.spawn(tls.tls.clone().watch(gaggle_tls::Tls::WATCH_EVERY));
        }
        let _ = tasks;
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Security");
        #[cfg(feature = "token")]
        shown.field("token", &self.tokens.is_some());
        #[cfg(feature = "tls")]
        shown.field("tls", &self.tls.is_some());
        shown.finish()
    }
}
