//! TLS certificates from files, as configurations for [rustls] that follow the files.
//!
//! [`Tls::load`] reads a certificate chain, its key and the trusted CAs. [`Tls::server`] and
//! [`Tls::client`] give the configuration for the next connection. When the files change,
//! [`Tls::reload`] or [`Tls::watch`] makes new configurations: existing connections continue
//! unchanged, and each new one uses the new files.
//!
//! ```no_run
//! use std::time::Duration;
//! use gaggle_tls::{ClientCerts, Tls, TlsError, TlsFiles};
//!
//! # fn main() -> Result<(), TlsError> {
//! let tls = Tls::load(TlsFiles {
//!     cert: Some("tls.crt".into()),
//!     key: Some("tls.key".into()),
//!     client_ca: Some("ca.crt".into()),
//!     ..TlsFiles::default()
//! })?;
//! let server = tls.server(ClientCerts::Required)?;
//! let client = tls.client().peer("cache-0.cache:8001");
//! // ... for each connection: server.config(), client.config(). And in the background:
//! let watch = tls.clone().watch(Duration::from_secs(5));
//! # drop(watch);
//! # Ok(())
//! # }
//! ```
//!
//! # What is checked
//!
//! - Files, when they are read: whether there is a certificate and a key, whether they belong
//!   together, and whether the certificate is valid now. A CA file with nothing valid in it is an
//!   error as well. Each error is one line that names the file. An intermediate certificate that
//!   is not valid now is a warning in the log.
//! - Servers, by a client: a chain to [`TlsFiles::ca`] or its default, and a certificate that is
//!   valid for one of the host that was dialled, the peer's name, and [`TlsFiles::peer_name`].
//! - Clients, by a server that requests a certificate: a chain to [`TlsFiles::client_ca`]. Every
//!   certificate by this CA is accepted, whatever its name.
//!
//! TLS 1.2 and 1.3 are supported, with the cipher suites of rustls's *ring* provider. No
//! process-wide provider is installed or needed.
//!
//! # Sessions
//!
//! A session belongs to the configuration that it was made with: after a reload none is resumed,
//! so that no client skips the check by a new CA. If clients have to present certificates,
//! sessions are never resumed, since a resumed session would outlive its certificate.
//!
//! # Trade-offs
//!
//! - There is no revocation: neither lists nor OCSP. Use short-lived certificates, or replace the
//!   CA.
//! - Files are watched by reading them, some kilobytes each time, and not by notifications of the
//!   system. These differ between systems, and miss the changed target of a symbolic link, which
//!   is how Kubernetes replaces secrets.
//! - A certificate that expires while its file is unchanged is still presented. Clients refuse it,
//!   and say so. [`Tls::not_after`] returns that time.
//! - Encrypted private keys are not supported.

mod error;
mod files;
mod material;
mod validity;

mod tls;
mod watch;

mod client;
mod server;
mod verifier;

pub use client::{ClientTls, PeerTls};
pub use error::TlsError;
pub use files::TlsFiles;
pub use server::{ClientCerts, ServerTls};
pub use tls::Tls;
