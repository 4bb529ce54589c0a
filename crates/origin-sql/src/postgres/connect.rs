//! A connection to PostgreSQL, and the meaning of its errors.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::server::place::{Known, Place, cache_capacity, wrong};
use crate::server::{Kind, ServerOptions, Session};

/// How often a server checks whether the client of a running statement is still connected.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// The first release that does so: 14.
const LOOKS_SINCE: u32 = 140_000;

/// The parameters that a URL may have.
const KNOWN: &[Known] = &[
    ("sslmode", &["ssl-mode"]),
    ("sslrootcert", &["ssl-root-cert", "ssl-ca"]),
    ("sslcert", &["ssl-cert"]),
    ("sslkey", &["ssl-key"]),
    ("application_name", &[]),
    ("host", &[]),
    ("options", &[]),
    ("options[", &[]),
    ("statement-cache-capacity", &[]),
];

const SSL_MODES: &str = "disable, allow, prefer, require, verify-ca or verify-full";

/// Each field is set here, since the driver takes unset ones from the environment.
pub(super) fn address(url: &str, options: &ServerOptions) -> Result<PgConnectOptions, String> {
    let place = Place::read(url, KNOWN)?;
    let ssl_mode = place.parsed("sslmode", SSL_MODES, |mode| mode.parse().ok())?;
    let ssl_mode = ssl_mode.unwrap_or(PgSslMode::Prefer);
    let password = options.password.as_deref().or(place.password.as_deref());
    let mut address = PgConnectOptions::new_without_pgpass()
        .host(&place.host)
        .port(place.port.unwrap_or(5432))
        .username(&place.user)
        // The server treats no password and an empty one alike.
        .password(password.unwrap_or_default())
        // The server's default if none is named.
        .database(place.database.as_deref().unwrap_or(&place.user))
        .ssl_mode(ssl_mode)
        .application_name(place.parameter("application_name").unwrap_or("gaggle"));
    if let Some(directory) = place.parameter("host") {
        if !directory.starts_with('/') {
            return Err(wrong("host", "the directory of a socket"));
        }
        address = address.host(directory);
    }
    let capacity = place.parsed("statement-cache-capacity", "1 to 1000", cache_capacity)?;
    if let Some(capacity) = capacity {
        address = address.statement_cache_capacity(capacity);
    }
    address = with_authorities(address, &place, options)?;
    address = with_certificate(address, &place)?;
    Ok(with_settings(address, &place)?.disable_statement_logging())
}

/// The authorities of the server's certificate.
fn with_authorities(
    address: PgConnectOptions,
    place: &Place,
    options: &ServerOptions,
) -> Result<PgConnectOptions, String> {
    let in_url = place.parameter("sslrootcert");
    let verifies = matches!(
        address.get_ssl_mode(),
        PgSslMode::VerifyCa | PgSslMode::VerifyFull
    );
    if (options.has_ca() || in_url.is_some()) && !verifies {
        return Err("certificates of authorities need sslmode=verify-full in the URL".to_owned());
    }
    Ok(match (&options.ca_file, &options.ca_pem, in_url) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            return Err("ca_file and ca_pem exclude sslrootcert in the URL".to_owned());
        }
        (Some(file), ..) => address.ssl_root_cert(file),
        (_, Some(pem), _) => address.ssl_root_cert_from_pem(pem.clone()),
        (.., Some(file)) => address.ssl_root_cert(file),
        // None, in place of the file that PGSSLROOTCERT names.
        _ => address.ssl_root_cert_from_pem(Vec::new()),
    })
}

/// The client's certificate.
fn with_certificate(address: PgConnectOptions, place: &Place) -> Result<PgConnectOptions, String> {
    match (place.parameter("sslcert"), place.parameter("sslkey")) {
        (Some(certificate), Some(key)) => {
            Ok(address.ssl_client_cert(certificate).ssl_client_key(key))
        }
        (None, None) => {
            // The driver has read these variables, and cannot be made to drop them.
            for name in ["PGSSLCERT", "PGSSLKEY"] {
                if std::env::var_os(name).is_some() {
                    return Err(ambient(name));
                }
            }
            Ok(address)
        }
        _ => Err("the URL's parameters sslcert and sslkey need each other".to_owned()),
    }
}

/// The server's settings for the session.
fn with_settings(address: PgConnectOptions, place: &Place) -> Result<PgConnectOptions, String> {
    if address.get_options().is_some() {
        return Err(ambient("PGOPTIONS"));
    }
    let mut settings: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &place.parameters {
        if let Some(setting) = name.strip_prefix("options[") {
            settings.push((setting.trim_end_matches(']'), value));
        }
    }
    if let Some(text) = place.parameter("options") {
        let mut words = text.split_ascii_whitespace();
        while let Some(word) = words.next() {
            let setting = match word.strip_prefix("-c") {
                Some("") => words.next(),
                Some(setting) => Some(setting),
                None => word.strip_prefix("--"),
            };
            let setting = setting.filter(|setting| !setting.contains('\\'));
            let setting = setting.and_then(|setting| setting.split_once('='));
            settings.push(setting.ok_or_else(|| wrong("options", "settings as -c name=value"))?);
        }
    }
    // The options set these.
    if settings.iter().any(|(name, _)| {
        ["statement_timeout", "client_encoding"].contains(&name.to_ascii_lowercase().as_str())
    }) {
        return Err(wrong(
            "options",
            "without statement_timeout and client_encoding",
        ));
    }
    Ok(address.options(settings))
}

fn ambient(name: &str) -> String {
    format!("the environment variable {name} is set, and the driver would use it: unset it")
}

pub(super) async fn connect(
    address: &PgConnectOptions,
    session: Session,
    password: Option<&str>,
) -> Result<PgConnection, sqlx::Error> {
    let mut connection = match password {
        Some(password) => address.clone().password(password).connect().await?,
        None => address.connect().await?,
    };
    // By statements, not when connecting: a pooler in between may refuse unknown settings.
    let timeout = session.statement_timeout.as_millis();
    let mut set = format!("SET statement_timeout = {timeout}");
    if session.read_only {
        set.push_str("; SET default_transaction_read_only = on");
    }
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

pub(super) async fn limit(
    connection: &mut PgConnection,
    statement_timeout: Duration,
) -> Result<(), sqlx::Error> {
    let set = format!("SET statement_timeout = {}", statement_timeout.as_millis());
    sqlx::raw_sql(AssertSqlSafe(set))
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether the server checks that the client of a running statement is still connected.
fn looks(connection: &PgConnection) -> bool {
    connection
        .server_version_num()
        .is_some_and(|version| version >= LOOKS_SINCE)
}

pub(super) fn ends_when_closed(connection: &PgConnection) -> Option<Duration> {
    looks(connection).then_some(BETWEEN_LOOKS * 2)
}

/// Whether the server refuses the user, the password or the database.
pub(super) fn refuses(error: &dyn DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    // 42501: the right to connect to the database.
    ["28000", "28P01", "3D000", "42501"].contains(&code.as_ref())
}

pub(super) fn code(error: &dyn DatabaseError) -> String {
    format!("SQLSTATE {}", error.code().unwrap_or_default())
}

/// By the error's SQLSTATE (PostgreSQL's documentation, appendix A).
pub(super) fn kind(error: &dyn DatabaseError) -> Kind {
    let code = error.code().unwrap_or_default();
    let told = error.try_downcast_ref::<PgDatabaseError>();
    // An error about the statement's text has a position in it. The statement is checked before it
    // runs, so other syntax errors are those of a key that is read as a pattern, a search…
    let in_statement = told.is_some_and(|error| error.position().is_some());
    let of_plan = told.and_then(PgDatabaseError::routine) == Some("RevalidateCachedQuery");
    match code.as_ref() {
        // The statement timeout, or a cancel by another session.
        "57014" => Kind::TimedOut,
        "53300" => Kind::Busy,
        // The server is shutting down, has crashed, or is starting; the session timed out.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Kind::Broken,
        // A prepared statement no longer fits the tables, or is missing.
        "0A000" if of_plan => Kind::Broken,
        "26000" => Kind::Broken,
        // The format of a parameter from the driver, whatever the key.
        "22P03" => Kind::All,
        "42501" => Kind::All,
        // Syntax, an invalid name, a name that is too long.
        "42601" | "42602" | "42622" if !in_statement => Kind::Key,
        code => match code.get(..2) {
            Some("08") => Kind::Broken,
            // Data that cannot be cast or computed with; a limit such as that of nesting.
            Some("22" | "54") => Kind::Key,
            // Cardinality, constraints, and errors that functions raise.
            Some("21" | "23" | "2F" | "38" | "39" | "P0") => Kind::Data,
            Some("0A" | "42") if in_statement => Kind::All,
            // The user, the database, the transaction, resources, the operator, the system.
            Some("25" | "28" | "3D" | "53" | "55" | "57" | "58" | "XX") => Kind::All,
            _ => Kind::Other,
        },
    }
}
