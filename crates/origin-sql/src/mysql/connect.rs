//! A connection to MySQL or MariaDB, and what its errors mean.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::error::said;
use crate::server::{Kind, ServerOptions, Session};

pub(super) fn address(url: &str, options: &ServerOptions) -> Result<MySqlConnectOptions, String> {
    let read = MySqlConnectOptions::from_str(url);
    let mut address = read.map_err(|error| format!("the URL cannot be read: {}", said(&error)))?;
    if let Some(password) = &options.password {
        address = address.password(password);
    }
    if options.has_ca()
        && !matches!(
            address.get_ssl_mode(),
            MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity
        )
    {
        return Err(
            "certificates of authorities need ssl-mode=VERIFY_IDENTITY in the URL".to_owned(),
        );
    }
    if let Some(file) = &options.ca_file {
        address = address.ssl_ca(file);
    }
    if let Some(pem) = &options.ca_pem {
        address = address.ssl_ca_from_pem(pem.clone());
    }
    // The query means what it means in the server's own mode.
    let address = address.pipes_as_concat(false).no_engine_substitution(false);
    Ok(address.disable_statement_logging())
}

pub(super) async fn connect(
    address: &MySqlConnectOptions,
    session: Session,
) -> Result<MySqlConnection, sqlx::Error> {
    let mut connection = address.connect().await?;
    let version: String = sqlx::query_scalar("SELECT VERSION()")
        .fetch_one(&mut connection)
        .await?;
    let timeout = session.statement_timeout;
    let set = if version.contains("MariaDB") {
        format!("SET SESSION max_statement_time = {}", timeout.as_secs_f64())
    } else {
        format!("SET SESSION max_execution_time = {}", timeout.as_millis())
    };
    sqlx::raw_sql(AssertSqlSafe(set))
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// The server sees that a connection is closed when it writes to it, after the statement.
pub(super) fn ends_when_closed(_: &MySqlConnection) -> Option<Duration> {
    None
}

/// By the error's number, and where that tells nothing its SQLSTATE.
pub(super) fn kind(error: &dyn DatabaseError) -> Kind {
    let number = error
        .try_downcast_ref::<MySqlDatabaseError>()
        .map(MySqlDatabaseError::number);
    match number {
        // max_statement_time (MariaDB), max_execution_time (MySQL), the wait for a lock.
        Some(1969 | 3024 | 1205) => Kind::TimedOut,
        // Too many connections, of all users or of this one.
        Some(1040 | 1203 | 1226) => Kind::Busy,
        // The server shuts down, the connection was killed or timed out.
        Some(1053 | 1927 | 4031) => Kind::Broken,
        _ => match error.code().as_deref().and_then(|code| code.get(..2)) {
            Some("08") => Kind::Broken,
            // Cardinality, data, constraints, and what functions signal.
            Some("21" | "22" | "23" | "45") => Kind::Data,
            _ => Kind::Other,
        },
    }
}
