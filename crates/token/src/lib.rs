//! A cluster's shared token: read, rotated, sent, and required of requests.
//!
//! [`Tokens`] holds one token or two: the first is sent, each is accepted. So a token is replaced
//! without a request that fails: every node is first told to accept the new one beside the old
//! one, then to send it, and then to forget the old one. [`Require`] is the layer that lets only
//! requests with one of them in, and, where that is wanted, only connections with a client
//! certificate.
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
//! empty lines do not count, and [`PLACEHOLDER`] is no token. [`Tokens::watch`] reads it again and again and takes over what has
//! changed; a file that cannot be used changes nothing. It must be a regular file, or a link to
//! one, as Kubernetes mounts a Secret.
//!
//! # Trade-offs
//!
//! * A token says that a request comes from the cluster, not from which node. It is as good as the
//!   channel that it travels on: whoever can read the network reads it, unless that is TLS.
//! * The texts are compared by their SHA-256 in constant time, each with all tokens, so that how
//!   long a refusal takes says nothing about how much of it was right, or which one it was near.
//! * A token is never in an error, a log or a `Debug`. It is in memory as it is, and is not erased
//!   from there.

mod refusal;
mod require;
mod token;
mod tokens;

pub use refusal::Refused;
pub use require::{Guarded, Require};
pub use token::{PLACEHOLDER, Token, TokenError, TokenProblem};
pub use tokens::Tokens;
