//! A cluster's shared token: read, rotated, sent, and required of requests.
//!
//! [`Tokens`] holds one token or two: the first is sent, each is accepted. A token can therefore
//! be replaced without a failed request: every node first accepts the new one beside the old one,
//! then sends it, and then drops the old one. [`Require`] is the layer that admits only requests
//! with one of them and, if configured so, only connections with a client certificate.
//! [`Tokens::admit`] is for protocols whose clients give the token once and stay connected: the
//! [`Admission`] tells when that token is withdrawn.
//!
//! ```
//! use gaggle_token::{Require, Tokens};
//! use http::HeaderMap;
//! use http::header::AUTHORIZATION;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The new one, which is sent, and the old one.
//! let tokens = Tokens::parse("new-token-of-32-random-bytes-1\nold-token-of-32-random-bytes-0")?;
//! let mut headers = HeaderMap::new();
//! headers.extend(tokens.header().map(|value| (AUTHORIZATION, value)));
//! assert!(tokens.accepts(&headers));
//!
//! // On any tower or axum service:
//! let layer = Require::new("peers").token(tokens.clone()).exempt(["/livez"]);
//! # let _ = layer;
//! # Ok(()) }
//! ```
//!
//! # The file
//!
//! One or two lines of 16 bytes or more of visible ASCII, without spaces; blanks around a line and
//! empty lines do not count, and [`PLACEHOLDER`] is no token. [`Tokens::watch`] rereads the file
//! at intervals and uses what has changed; a file that cannot be used changes nothing. It must be
//! a regular file, or a link to one, as Kubernetes mounts a Secret.
//!
//! # Trade-offs
//!
//! * A token says that a request comes from the cluster, not from which node. It is as
//!   confidential as the channel that carries it: without TLS, anyone who can read the network
//!   traffic can read it.
//! * The SHA-256 of the given token is compared with those of all tokens in constant time, so that
//!   the time of a refusal does not show how much of it was right, or which token it resembled.
//! * An [`Admission`] ends when [`Tokens::set`] or a reload has put other tokens in place: after a
//!   change of the file, up to the interval of [`Tokens::watch`] later.
//! * A token is never in an error, a log or a `Debug`. It is in memory in plain text, and is not
//!   erased from there.

mod refusal;
mod require;
mod token;
mod tokens;

pub use refusal::Refused;
pub use require::{Guarded, Require};
pub use token::{PLACEHOLDER, Token, TokenError, TokenProblem};
pub use tokens::{Admission, Tokens};
