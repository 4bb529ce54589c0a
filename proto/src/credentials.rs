//! What a client shows to its peers, and how it knows them: options that the clients of all
//! transports have.

mod authorization;
#[cfg(feature = "tls")]
mod tls;

pub use authorization::Authorization;
#[cfg(feature = "tls")]
pub use tls::{CurrentConfig, Tls};
