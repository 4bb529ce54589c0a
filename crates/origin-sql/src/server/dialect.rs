//! The differences between the databases.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::Key;
use sqlx::error::DatabaseError;

use crate::KeyType;

use super::ServerOptions;

/// The result of a statement for one key.
#[derive(Debug)]
pub(crate) struct Row {
    /// Which of the keys it is for.
    pub(crate) of: usize,
    /// The length of the value, whether or not it was returned; `None` if it is `NULL`.
    pub(crate) len: Option<u64>,
    /// The value, if it is within the limit.
    pub(crate) value: Option<Bytes>,
    /// For how many seconds it is fresh, if the query says so.
    pub(crate) seconds: Option<f64>,
    /// Whether the server could not return the value, although it is within the limit.
    pub(crate) unreadable: bool,
}

/// The settings of each connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) connect_timeout: Duration,
    /// Of the next statements.
    pub(crate) statement_timeout: Duration,
    pub(crate) read_only: bool,
}

/// The meaning of a database error for the waiting loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The connection can no longer be used.
    Broken,
    /// The server ended the statement since it took too long.
    TimedOut,
    /// The server accepts no more connections.
    Busy,
    /// The data of a row is at fault. The text may contain keys and values.
    Data,
    /// The key has a form that the query cannot use. The text contains the key.
    Key,
    /// The result is not the requested one.
    Unusable,
    /// The statement or the server is at fault, which affects all keys. The text contains names of
    /// the statement.
    All,
    /// Any other error. It may be about one key only, and the text may contain it.
    Other,
}

/// Why a query cannot be used, or could not be checked.
#[derive(Debug)]
pub(crate) enum Unusable {
    Query(String),
    Failed(sqlx::Error),
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self::Query(reason)
    }
}

/// A query that was checked, for one kind of database.
pub(crate) trait Dialect: Send + Sync + Sized + 'static {
    type Connection: sqlx::Connection + Send + 'static;
    /// The server, the user, and the certificates.
    type Address: Send + Sync + 'static;

    /// Reads a URL. `Err` is why it cannot be used, without secrets.
    fn address(url: &str, options: &ServerOptions) -> Result<Self::Address, String>;

    /// Connects, with a password in place of the address's if there is one, and sets the session
    /// up.
    fn connect(
        address: &Self::Address,
        session: Session,
        password: Option<&str>,
    ) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Sets after how long the server ends each of the next statements.
    fn limit(
        connection: &mut Self::Connection,
        statement_timeout: Duration,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Checks a query. `Err` is what is wrong with it.
    fn check(
        connection: &mut Self::Connection,
        query: &str,
        key_type: KeyType,
        max_batch: usize,
    ) -> impl Future<Output = Result<Self, Unusable>> + Send;

    /// How many keys a statement can look up.
    fn max_batch(&self) -> usize;

    /// From now on looks up one key at a time, since batches do not work.
    fn without_batches(&mut self);

    /// Looks up keys in one statement: at most a row for each, with the value if it has at most
    /// `room` bytes.
    fn look_up(
        &self,
        connection: &mut Self::Connection,
        keys: &[Key],
        room: u64,
    ) -> impl Future<Output = Result<Vec<Row>, sqlx::Error>> + Send;

    /// The meaning of a database error.
    fn kind(error: &dyn DatabaseError) -> Kind;

    /// Whether the server refuses the configuration: the user, the password or the database.
    fn refuses(error: &dyn DatabaseError) -> bool;

    /// The codes of an error, for the log.
    fn code(error: &dyn DatabaseError) -> String;

    /// How soon the server ends a statement whose connection is closed; `None` if it does not.
    fn ends_when_closed(connection: &Self::Connection) -> Option<Duration>;
}
