//! How a client authenticates to its peers, and they to it: options that the clients of all
//! transports have.

mod authorization;
#[cfg(feature = "tls")]
mod tls;

pub use authorization::Authorization;
#[cfg(feature = "tls")]
pub use tls::{CurrentConfig, Tls};
