//! What can go wrong.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::lsn::Lsn;

/// An option that cannot be used. Its text shows neither the URL nor the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct OptionsError {
    option: String,
    problem: String,
}

impl OptionsError {
    pub(crate) fn new(option: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            option: option.into(),
            problem: problem.into(),
        }
    }
}

/// Why a feed of PostgreSQL cannot continue. It is the source of the
/// [`FeedError`](gaggle_follow::FeedError), unless that is [`SlotInUse`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The server could not be reached.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// Which server: user, host, port and database.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("{server} did not take the connection within {limit:?}")]
    ConnectTimeout {
        /// Which server: user, host, port and database.
        server: String,
        /// The limit that has passed.
        limit: Duration,
    },
    /// TLS or the authentication failed.
    #[error("cannot log in to {server}: {problem}")]
    Login {
        /// Which server: user, host, port and database.
        server: String,
        /// What is wrong.
        problem: String,
    },
    /// The server refused a statement.
    #[error("PostgreSQL: {0}")]
    Server(ServerError),
    /// The server, its tables or the slot are not set up for following.
    #[error("{0}")]
    Setup(String),
    /// The connection broke.
    #[error("the connection to PostgreSQL broke: {0}")]
    Broken(io::Error),
    /// A message to the server cannot be written, as when a name contains a zero byte.
    #[error("a message to PostgreSQL cannot be written: {0}")]
    Unsendable(io::Error),
    /// The server ended the connection.
    #[error("PostgreSQL closed the connection")]
    Closed,
    /// The server is shutting down, and waits for confirmations that do not arrive.
    #[error("PostgreSQL shuts down")]
    ShuttingDown,
    /// Nothing arrived from the server, although it was asked to answer.
    #[error("PostgreSQL has not answered for {0:?}")]
    Silent(Duration),
    /// The server sent something that cannot be parsed.
    #[error("PostgreSQL sent {0}")]
    Protocol(String),
    /// The table has changed so that the options no longer fit.
    #[error("at {at}: {problem}")]
    Changed {
        /// Where in the server's log.
        at: String,
        /// What does not fit.
        problem: String,
    },
    /// The publication was changed while it was followed: changes may be missing.
    #[error("the publication {0} was changed while it was followed: changes may have been missed")]
    Republished(String),
    /// The feed was asked for changes before it was opened.
    #[error("the feed is not open")]
    NotOpen,
}

impl PostgresError {
    pub(crate) fn changed(at: Lsn, problem: impl Into<String>) -> Self {
        Self::Changed {
            at: at.to_string(),
            problem: problem.into(),
        }
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol(what.into())
    }
}

/// The error of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// Five characters for its kind, such as `55006`
    /// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
    pub code: String,
    /// The server's sentence.
    pub message: String,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Another connection, usually that of another node, holds the replication slot.
///
/// It is the source of a [`FeedError`](gaggle_follow::FeedError):
///
/// ```
/// use std::error::Error as _;
/// use gaggle_follow::FeedError;
/// use gaggle_follow_postgres::SlotInUse;
///
/// fn is_in_use(error: &FeedError) -> bool {
///     error.source().is_some_and(|source| source.is::<SlotInUse>())
/// }
/// # assert!(!is_in_use(&FeedError::new("another")));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotInUse {
    /// The name of the slot.
    pub slot: String,
    /// The server process that holds it, if known.
    pub pid: Option<i32>,
    /// The `application_name` of that process, if the server shows it: a user sees that of its own
    /// connections, and with the role `pg_read_all_stats` that of others. A feed's is `gaggle/`
    /// and its group, unless the URL names another one.
    pub application: Option<String>,
    /// The address that it is connected from, if the server shows it.
    pub address: Option<String>,
    /// Whether the slot is being created, which waits for the running transactions.
    pub is_being_created: bool,
}

impl fmt::Display for SlotInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_being_created {
            "being created, which waits for the transactions that run,"
        } else {
            "in use"
        };
        write!(f, "the slot {} is {state}", self.slot)?;
        match self.pid {
            Some(pid) => write!(f, " by pid {pid}")?,
            None if self.is_being_created => write!(f, " by another connection")?,
            None => {}
        }
        if let Some(application) = &self.application {
            write!(f, ", application {application:?}")?;
        }
        if let Some(address) = &self.address {
            write!(f, ", from {address}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SlotInUse {}
