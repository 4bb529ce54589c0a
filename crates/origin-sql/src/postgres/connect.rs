//! A connection to PostgreSQL, and what its errors mean.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::error::said;
use crate::server::{Kind, ServerOptions, Session};

/// How often a server looks whether the client of a running statement is still there.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// The first release that does: 14.
const LOOKS_SINCE: u32 = 140_000;

pub(super) fn address(url: &str, options: &ServerOptions) -> Result<PgConnectOptions, String> {
    let read = PgConnectOptions::from_str(url);
    let mut address = read.map_err(|error| format!("the URL cannot be read: {}", said(&error)))?;
    if let Some(password) = &options.password {
        address = address.password(password);
    }
    if options.has_ca()
        && !matches!(
            address.get_ssl_mode(),
            PgSslMode::VerifyCa | PgSslMode::VerifyFull
        )
    {
        return Err("certificates of authorities need sslmode=verify-full in the URL".to_owned());
    }
    if let Some(file) = &options.ca_file {
        address = address.ssl_root_cert(file);
    }
    if let Some(pem) = &options.ca_pem {
        address = address.ssl_root_cert_from_pem(pem.clone());
    }
    if address.get_application_name().is_none() {
        address = address.application_name("gaggle");
    }
    Ok(address.disable_statement_logging())
}

pub(super) async fn connect(
    address: &PgConnectOptions,
    session: Session,
) -> Result<PgConnection, sqlx::Error> {
    let mut connection = address.connect().await?;
    // By statements, not when connecting: a pooler in between may refuse what it does not know.
    let timeout = session.statement_timeout.as_millis();
    let mut set = format!("SET statement_timeout = {timeout}");
    if looks(&connection) {
        let between = BETWEEN_LOOKS.as_millis();
        set.push_str(&format!(
            "; SET client_connection_check_interval = {between}"
        ));
    }
    sqlx::raw_sql(AssertSqlSafe(set))
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// Whether the server looks if the client of a running statement is still there.
fn looks(connection: &PgConnection) -> bool {
    connection
        .server_version_num()
        .is_some_and(|version| version >= LOOKS_SINCE)
}

pub(super) fn ends_when_closed(connection: &PgConnection) -> Option<Duration> {
    looks(connection).then_some(BETWEEN_LOOKS * 2)
}

/// By the error's SQLSTATE (PostgreSQL's documentation, appendix A).
pub(super) fn kind(error: &dyn DatabaseError) -> Kind {
    let code = error.code().unwrap_or_default();
    match code.as_ref() {
        // The statement timeout, and somebody's cancelling it.
        "57014" => Kind::TimedOut,
        "53300" => Kind::Busy,
        // No such text, as of a number or an UUID: the key, cast to the type of its column.
        "22P02" => Kind::Key,
        // The server shuts down, has crashed, or starts; the session timed out.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Kind::Broken,
        // A parameter as the driver sends it, whatever the key.
        "22P03" => Kind::Other,
        code => match code.get(..2) {
            Some("08") => Kind::Broken,
            // Cardinality, data, constraints, and what functions raise.
            Some("21" | "22" | "23" | "2F" | "38" | "39" | "P0") => Kind::Data,
            _ => Kind::Other,
        },
    }
}
