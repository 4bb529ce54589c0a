//! Why an origin could not be set up, and why a load failed.

/// Why a database could not be made an origin. The text names the database and contains its
/// answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database could not be opened or connected to.
    #[error("cannot open {database}: {reason}")]
    Open {
        /// Which database, such as `sqlite` and its path, or `postgres` and its place.
        database: String,
        /// The reason.
        reason: String,
    },
    /// No connection can be made now, with TLS or without, or none is free: a later try may
    /// succeed.
    #[error("cannot open {database}: {reason}")]
    Unavailable {
        /// Which database, such as `postgres` and its place.
        database: String,
        /// What was said about it.
        reason: String,
    },
    /// The query cannot be run, or is not one `SELECT` with one parameter and one or two columns.
    #[error("{database}: the query cannot be used: {reason}")]
    Query {
        /// Which database, such as `sqlite` and its path, or `postgres` and its place.
        database: String,
        /// What is wrong with the query.
        reason: String,
    },
}

#[cfg(any(feature = "sqlite", feature = "_server"))]
/// A failure of a load. The text includes the cause.
#[derive(Debug, thiserror::Error)]
#[error("{database}: {reason}")]
pub(crate) struct Failure {
    pub(crate) database: String,
    pub(crate) reason: String,
    pub(crate) source: Option<sqlx::Error>,
}

#[cfg(any(feature = "sqlite", feature = "_server"))]
/// The text of the database or the driver, without the driver's preamble.
pub(crate) fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.to_string(),
        other => other.to_string(),
    }
}
