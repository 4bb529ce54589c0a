//! The HTTP client: connections, their bounds, and TLS where it is compiled in.

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::{HttpOptions, OptionsError};

#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;

pub(crate) type Client = legacy::Client<Connector, Empty<Bytes>>;

pub(crate) fn client(options: &HttpOptions, https: bool) -> Result<Client, OptionsError> {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(options.connect_timeout));
    http.set_nodelay(true);
    let connector = with_tls(http, https).map_err(|reason| OptionsError {
        field: "url",
        reason,
    })?;
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(options.max_idle_connections)
        .pool_idle_timeout(options.idle_timeout)
        .pool_timer(TokioTimer::new())
        .build(connector))
}

/// A provider and roots of one's own, so that neither a process-wide provider nor the machine's certificates are needed.
#[cfg(feature = "tls")]
fn with_tls(mut http: HttpConnector, _https: bool) -> Result<Connector, String> {
    use std::sync::Arc;

    use rustls::{ClientConfig, RootCertStore, crypto};

    http.enforce_http(false);
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

#[cfg(not(feature = "tls"))]
fn with_tls(http: HttpConnector, https: bool) -> Result<Connector, String> {
    if https {
        return Err("https needs the feature `tls` of gaggle-origin-http, which is off".to_owned());
    }
    Ok(http)
}
