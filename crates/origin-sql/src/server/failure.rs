//! Why a load from a server failed.

use std::time::Duration;

use gaggle_group::{OriginError, OriginFault};

use super::{Dialect, Kind};
use crate::error::{Failure, said};

/// Why a statement returned no rows.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No connection was free in time.
    AllInUse { waited: Duration, connections: u32 },
    /// No connection could be made.
    Unreachable(String),
    /// No connection could be made, since the server refuses the configuration.
    Refused(String),
    /// The statement failed.
    Failed(sqlx::Error),
    /// The server did not end the statement when it should have.
    TooLong(Duration),
    /// The runtime is shutting down.
    Ended,
}

impl Trouble {
    /// The meaning for the waiting loads.
    pub(super) fn kind<D: Dialect>(&self) -> Kind {
        match self {
            Self::AllInUse { .. } => Kind::Busy,
            Self::Unreachable(_) | Self::Refused(_) | Self::Ended => Kind::Broken,
            Self::TooLong(_) => Kind::TimedOut,
            Self::Failed(error) => kind::<D>(error),
        }
    }

    /// The error for the group.
    pub(super) fn told<D: Dialect>(&self, database: &str) -> OriginError {
        let kind = self.kind::<D>();
        let (fault, reason) = match self {
            Self::AllInUse {
                waited,
                connections,
            } => (
                OriginFault::Busy,
                format!("no connection within {waited:?}: all {connections} are in use"),
            ),
            Self::Unreachable(reason) | Self::Refused(reason) => (
                OriginFault::Unreachable,
                format!("cannot be reached: {reason}"),
            ),
            Self::TooLong(after) => (OriginFault::TimedOut, format!("no answer within {after:?}")),
            Self::Ended => (
                OriginFault::BrokeOff,
                "the runtime is shutting down".to_owned(),
            ),
            Self::Failed(error) => (fault_of(kind), text::<D>(error)),
        };
        failed(database, reason).known_as(fault)
    }
}

fn fault_of(kind: Kind) -> OriginFault {
    match kind {
        Kind::Broken => OriginFault::BrokeOff,
        Kind::TimedOut => OriginFault::TimedOut,
        Kind::Busy => OriginFault::Busy,
        Kind::Key => OriginFault::Key,
        Kind::Unusable => OriginFault::Unusable,
        Kind::Data | Kind::All | Kind::Other => OriginFault::Other,
    }
}

/// A failure of this database.
pub(super) fn failed(database: &str, reason: String) -> OriginError {
    OriginError::failed(Failure {
        database: database.to_owned(),
        reason,
        source: None,
    })
}

pub(super) fn kind<D: Dialect>(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::Database(error) => D::kind(error.as_ref()),
        // The state of the connection is unknown.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => Kind::Broken,
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Kind::Unusable,
        _ => Kind::Other,
    }
}

/// The database's text, without parts that may contain keys and values.
pub(super) fn text<D: Dialect>(error: &sqlx::Error) -> String {
    let kind = kind::<D>(error);
    let (Kind::Data | Kind::Key | Kind::Other, Some(told)) = (kind, error.as_database_error())
    else {
        return said(error);
    };
    tracing::debug!(%error, "the database cannot use a key or a row");
    format!(
        "it cannot use a key or what a row holds: {} (its message is logged at debug)",
        D::code(told)
    )
}
