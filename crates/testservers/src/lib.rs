//! Private database servers for tests: [`Postgres`] and [`Mariadb`].
//!
//! Each is a process of its own with a fresh data directory, on a free TCP port of 127.0.0.1. It
//! ends when its value is dropped, or when the test process has ended.
//!
//! ```no_run
//! use gaggle_testservers::{Postgres, PostgresOptions};
//!
//! let server = Postgres::start(PostgresOptions { wal_level_logical: true, ..Default::default() });
//! server.psql("CREATE TABLE scores (key text PRIMARY KEY, value text)");
//! assert_eq!(server.psql("SELECT count(*) FROM scores"), "0");
//! server.restart();
//! ```
//!
//! All methods block the thread, and panic with the end of the server's log if something fails:
//! they are for tests.
//!
//! # Trade-offs
//!
//! * A free port is found by binding and releasing it. Another process can take it before the
//!   server does, so a start is tried with several ports, and a restart several times with its
//!   own.
//! * Nothing is synced to disk: a start is quick, but durability cannot be tested.
//! * The test process must be able to run `sh`, for the watchdog.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot have its server has failed"
)]

mod mariadb;
mod postgres;
mod process;
mod user;

pub use mariadb::{Mariadb, MariadbOptions};
pub use postgres::{Postgres, PostgresOptions};

/// The user in the servers' URLs. It has all privileges.
pub const USER: &str = "gaggle";
/// The password of [`USER`].
pub const PASSWORD: &str = "correct-horse";
/// The database that exists from the start.
pub const DATABASE: &str = "gaggle";

/// A server's certificate and key, in PEM. With them the server accepts connections with and
/// without TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate, with its intermediate certificates.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}
