//! In what the databases differ.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::Key;
use sqlx::error::DatabaseError;

use crate::KeyType;

use super::ServerOptions;

/// What a statement brings for one key.
#[derive(Debug)]
pub(crate) struct Row {
    /// Which of the keys it is for.
    pub(crate) of: usize,
    /// The bytes of the value, whether or not it has come; `None` where it is `NULL`.
    pub(crate) len: Option<u64>,
    /// The value, where it is no longer than was allowed.
    pub(crate) value: Option<Bytes>,
    /// For how many seconds it is fresh, if the query says so.
    pub(crate) seconds: Option<f64>,
    /// Whether the server could not bring the value, though it was allowed to.
    pub(crate) unreadable: bool,
}

/// What each connection is set to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) connect_timeout: Duration,
    /// Of the next statements.
    pub(crate) statement_timeout: Duration,
    pub(crate) read_only: bool,
}

/// What an error of the database means for those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The connection is of no use any more.
    Broken,
    /// The server ended the statement as it took too long.
    TimedOut,
    /// The server takes no more connections.
    Busy,
    /// Something is wrong with what a row holds. The text may tell keys and values.
    Data,
    /// The key is of a form that the query cannot use. The text tells the key.
    Key,
    /// What came is not what was asked for.
    Unusable,
    /// Something is wrong with the statement, or with the server: it concerns all keys. The text
    /// tells names of the statement.
    All,
    /// Anything else. It may concern one key alone, and the text may tell it.
    Other,
}

/// Why a query cannot be used, or could not be looked at.
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
    /// To which server, as whom, with which certificates.
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

    /// Looks one key up from now on, since several at once do not work.
    fn without_batches(&mut self);

    /// Looks keys up in one statement: at most a row for each, with the value if it has at most
    /// `room` bytes.
    fn look_up(
        &self,
        connection: &mut Self::Connection,
        keys: &[Key],
        room: u64,
    ) -> impl Future<Output = Result<Vec<Row>, sqlx::Error>> + Send;

    /// What an error of the database means.
    fn kind(error: &dyn DatabaseError) -> Kind;

    /// Whether the server refuses what is configured: the user, the password or the database.
    fn refuses(error: &dyn DatabaseError) -> bool;

    /// The numbers that an error is known by, for the log.
    fn code(error: &dyn DatabaseError) -> String;

    /// How soon the server ends a statement whose connection is closed; `None` where it does not.
    fn ends_when_closed(connection: &Self::Connection) -> Option<Duration>;
}
