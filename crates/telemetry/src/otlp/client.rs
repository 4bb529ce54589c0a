//! The connection to a collector.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, crypto};
use tokio::time::{Instant, timeout_at};

use super::{OtlpError, OtlpOptions};

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 64 << 10;
/// The longest file of headers or certificates, in bytes.
const MOST_FILE: u64 = 1 << 20;
const IDLE: Duration = Duration::from_secs(30);

pub(super) struct Client {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
}

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: String,
    /// Whether the same batch may be taken later.
    pub(super) again: bool,
    /// How long the collector wants to be left alone.
    pub(super) after: Option<Duration>,
}

impl Client {
    pub(super) fn new(options: &OtlpOptions) -> Result<Self, OtlpError> {
        let uri = traces_of(&options.endpoint)?;
        let https = uri.scheme_str() == Some("https");
        let mut headers = match &options.headers_file {
            Some(path) => headers(&read("headers_file", path)?)
                .map_err(|reason| OtlpError::new("headers_file", reason))?,
            None => HeaderMap::new(),
        };
        let agent = concat!("gaggle-telemetry/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(CONTENT_TYPE, protobuf);

        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(options.timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(options, https)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            client,
            uri,
            headers,
            timeout: options.timeout,
        })
    }

    /// Sends a batch; what was answered to it.
    pub(super) async fn send(&self, body: Bytes) -> Result<Bytes, Refused> {
        let later = |reason: String| Refused {
            reason,
            again: true,
            after: None,
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let until = Instant::now() + self.timeout;
        let asked = async {
            let answer = timeout_at(until, self.client.request(request)).await;
            let answer = answer
                .map_err(|_| later("it did not answer in time".to_owned()))?
                .map_err(|error| later(told(&error)))?;
            let status = answer.status();
            if !status.is_success() {
                return Err(Refused {
                    reason: format!("it answered {status}"),
                    again: matches!(
                        status,
                        StatusCode::TOO_MANY_REQUESTS
                            | StatusCode::BAD_GATEWAY
                            | StatusCode::SERVICE_UNAVAILABLE
                            | StatusCode::GATEWAY_TIMEOUT
                    ),
                    after: retry_after(status, answer.headers()),
                });
            }
            // The batch was taken, whatever becomes of the rest of the answer: it is not sent again
            // where that does not arrive in time.
            let body = Limited::new(answer.into_body(), MOST_ANSWER).collect();
            Ok(match timeout_at(until, body).await {
                Ok(Ok(body)) => body.to_bytes(),
                Ok(Err(_)) | Err(_) => Bytes::new(),
            })
        };
        asked.await
    }
}

/// How long a collector that is too busy wants to be left alone. A date is not read: it would
/// compare two machines' clocks.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let is_busy = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let value = headers.get(RETRY_AFTER).filter(|_| is_busy)?;
    let seconds = value.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error with what caused it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Where a collector of that base URL takes traces.
pub(super) fn traces_of(endpoint: &str) -> Result<Uri, OtlpError> {
    let bad = |reason: &str| OtlpError::new("endpoint", reason);
    let parsed: Uri = endpoint
        .parse()
        .map_err(|_| bad("is no URL; expected one such as http://127.0.0.1:4318"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err(bad("expected a URL that begins with http:// or https://"));
    }
    let authority = parsed.authority().map_or("", |it| it.as_str());
    if authority.contains('@') {
        return Err(bad(
            "has a user in it; credentials go into the file of headers",
        ));
    }
    if parsed.query().is_some() {
        return Err(bad("has a query; expected the base URL of the collector"));
    }
    let base = endpoint.trim_end_matches('/');
    format!("{base}/v1/traces")
        .parse()
        .map_err(|_| bad("is no URL"))
}

/// Reads lines `name: value`. Empty ones, and those that begin with `#`, are ignored.
fn headers(text: &[u8]) -> Result<HeaderMap, String> {
    let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())?;
    let mut headers = HeaderMap::new();
    for (n, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Never the line itself: it may hold a secret.
        let bad = || format!("line {n}: expected a header, as in `name: value`");
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// A configuration with a provider of its own, so that none is needed for the process.
fn tls(options: &OtlpOptions, https: bool) -> Result<ClientConfig, OtlpError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OtlpError::new("endpoint", format!("no TLS: {error}")))?;
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &options.ca {
        let text = read("ca", ca)?;
        let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|_| OtlpError::new("ca", "is not PEM"))?;
        for certificate in found {
            roots.add(certificate).map_err(|error| {
                OtlpError::new("ca", format!("is no authority's certificate: {error}"))
            })?;
        }
        if roots.is_empty() {
            return Err(OtlpError::new("ca", "has no certificate in PEM"));
        }
    } else if https {
        let found = rustls_native_certs::load_native_certs();
        let (known, _odd) = roots.add_parsable_certificates(found.certs);
        if known == 0 {
            let reason = "this machine has no root certificates; name those of the collector";
            return Err(OtlpError::new("ca", reason));
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, OtlpError> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_FILE + 1).read_to_end(&mut text));
    let told = match read {
        Err(error) => error.to_string(),
        Ok(_) if text.len() as u64 > MOST_FILE => format!("over {MOST_FILE} bytes"),
        Ok(_) => return Ok(text),
    };
    Err(OtlpError::new(field, format!("{}: {told}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_leads_to_the_traces() {
        for (endpoint, uri) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("https://c/otlp/", "https://c/otlp/v1/traces"),
        ] {
            assert_eq!(traces_of(endpoint).unwrap().to_string(), uri);
        }
        for bad in [
            "",
            "c:4318",
            "ftp://c",
            "http://",
            "http://me:s3cret@c",
            "http://c/?k=s3cret",
        ] {
            let error = traces_of(bad).unwrap_err();
            assert_eq!(error.field(), "endpoint");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_busy_collector_is_left_alone_for_as_long_as_it_says() {
        let told = |status, value: &'static str| {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
            retry_after(status, &headers)
        };
        let (busy, down) = (
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        );
        assert_eq!(told(busy, "2"), Some(Duration::from_secs(2)));
        assert_eq!(told(down, "0"), Some(Duration::ZERO));
        assert_eq!(told(StatusCode::BAD_GATEWAY, "2"), None);
        for odd in ["", "-1", "1.5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(told(busy, odd), None, "{odd}");
        }
        assert_eq!(retry_after(busy, &HeaderMap::new()), None);
    }

    #[test]
    fn headers_are_read_line_by_line_and_stay_secret() {
        let read =
            headers(b"# for the collector\n\nx-key: s3cret:1\r\nauthorization: Bearer s3cret\n");
        let read = read.unwrap();
        assert_eq!(read["x-key"], "s3cret:1");
        assert!(read.values().all(HeaderValue::is_sensitive));
        for bad in [
            &b"s3cret"[..],
            b"a b: s3cret",
            b"ok: 1\nname: s3cret\x01",
            b"\xff",
        ] {
            let error = headers(bad).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
