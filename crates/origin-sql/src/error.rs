//! Why an origin could not be set up.

/// Why a database could not be made an origin. The text names the database and says what it answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database could not be opened or connected to.
    #[error("cannot open {database}: {reason}")]
    Open {
        /// Which database, as `sqlite` and its path.
        database: String,
        /// What was said about it.
        reason: String,
    },
    /// The query cannot be run, or is not one `SELECT` with one parameter and one column.
    #[error("{database}: the query cannot be used: {reason}")]
    Query {
        /// Which database, as `sqlite` and its path.
        database: String,
        /// What is wrong with the query.
        reason: String,
    },
}
