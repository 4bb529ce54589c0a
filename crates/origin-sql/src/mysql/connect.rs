//! A connection to MySQL or MariaDB, and the meaning of its errors.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::server::place::{Known, Place, cache_capacity, wrong};
use crate::server::{Kind, ServerOptions, Session};

/// The parameters that a URL may have.
const KNOWN: &[Known] = &[
    ("ssl-mode", &["sslmode"]),
    ("ssl-ca", &["sslca"]),
    ("ssl-cert", &["sslcert"]),
    ("ssl-key", &["sslkey"]),
    ("charset", &[]),
    ("collation", &[]),
    ("socket", &[]),
    ("time-zone", &["timezone"]),
    ("statement-cache-capacity", &[]),
];

const SSL_MODES: &str = "DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";

pub(super) fn address(url: &str, options: &ServerOptions) -> Result<MySqlConnectOptions, String> {
    let place = Place::read(url, KNOWN)?;
    let ssl_mode = place.parsed("ssl-mode", SSL_MODES, |mode| mode.parse().ok())?;
    let mut address = MySqlConnectOptions::new()
        .host(&place.host)
        .port(place.port.unwrap_or(3306))
        .username(&place.user)
        .ssl_mode(ssl_mode.unwrap_or(MySqlSslMode::Preferred));
    if let Some(password) = options.password.as_deref().or(place.password.as_deref()) {
        address = address.password(password);
    }
    if let Some(database) = &place.database {
        address = address.database(database);
    }
    if let Some(socket) = place.parameter("socket") {
        address = address.socket(socket);
    }
    // Keys are UTF-8.
    let utf8mb4 = |name: &str| name.eq_ignore_ascii_case("utf8mb4").then_some(());
    place.parsed("charset", "utf8mb4", utf8mb4)?;
    // The driver pastes these into a statement.
    let collation = |name: &str| {
        let is_one = name.starts_with("utf8mb4_") && name.bytes().all(|b| is_word(b, b""));
        is_one.then(|| name.to_owned())
    };
    let expected = "a collation of utf8mb4";
    if let Some(collation) = place.parsed("collation", expected, collation)? {
        address = address.collation(&collation);
    }
    let zone = |name: &str| {
        name.bytes()
            .all(|b| is_word(b, b"+-:/"))
            .then(|| name.to_owned())
    };
    if let Some(zone) = place.parsed("time-zone", "a time zone", zone)? {
        address = address.timezone(Some(zone));
    }
    let capacity = place.parsed("statement-cache-capacity", "1 to 1000", cache_capacity)?;
    if let Some(capacity) = capacity {
        address = address.statement_cache_capacity(capacity);
    }
    address = with_certificates(address, &place, options)?;
    // The query has the meaning of the server's own mode.
    let address = address.pipes_as_concat(false).no_engine_substitution(false);
    Ok(address.disable_statement_logging())
}

fn is_word(b: u8, others: &[u8]) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || others.contains(&b)
}

/// The authorities of the server's certificate, and the client's certificate.
fn with_certificates(
    mut address: MySqlConnectOptions,
    place: &Place,
    options: &ServerOptions,
) -> Result<MySqlConnectOptions, String> {
    let in_url = place.parameter("ssl-ca");
    let verifies = matches!(
        address.get_ssl_mode(),
        MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity
    );
    if (options.has_ca() || in_url.is_some()) && !verifies {
        return Err(
            "certificates of authorities need ssl-mode=VERIFY_IDENTITY in the URL".to_owned(),
        );
    }
    if options.has_ca() && in_url.is_some() {
        return Err("ca_file and ca_pem exclude ssl-ca in the URL".to_owned());
    }
    if let Some(file) = &options.ca_file {
        address = address.ssl_ca(file);
    }
    if let Some(pem) = &options.ca_pem {
        address = address.ssl_ca_from_pem(pem.clone());
    }
    if let Some(file) = in_url {
        address = address.ssl_ca(file);
    }
    match (place.parameter("ssl-cert"), place.parameter("ssl-key")) {
        (Some(certificate), Some(key)) => {
            Ok(address.ssl_client_cert(certificate).ssl_client_key(key))
        }
        (None, None) => Ok(address),
        _ => Err(wrong("ssl-cert", "given together with ssl-key")),
    }
}

pub(super) async fn connect(
    address: &MySqlConnectOptions,
    session: Session,
    password: Option<&str>,
) -> Result<MySqlConnection, sqlx::Error> {
    let mut connection = match password {
        Some(password) => address.clone().password(password).connect().await?,
        None => address.connect().await?,
    };
    if session.read_only {
        sqlx::raw_sql("SET SESSION TRANSACTION READ ONLY")
            .execute(&mut connection)
            .await?;
    }
    limit(&mut connection, session.statement_timeout).await?;
    Ok(connection)
}

pub(super) async fn limit(
    connection: &mut MySqlConnection,
    statement_timeout: Duration,
) -> Result<(), sqlx::Error> {
    // Each comment is read by one kind of server: MariaDB's variable, and MySQL's. MariaDB skips
    // comments for MySQL 5.7 and later.
    let (seconds, millis) = (
        statement_timeout.as_secs_f64(),
        statement_timeout.as_millis(),
    );
    let set = format!(
        "SET @gaggle_limit = {millis} /*M! , SESSION max_statement_time = {seconds} */ \
         /*!50708 , SESSION max_execution_time = {millis} */"
    );
    sqlx::raw_sql(AssertSqlSafe(set))
        .execute(connection)
        .await?;
    Ok(())
}

/// The server notices a closed connection only when it writes to it, after the statement.
pub(super) fn ends_when_closed(_: &MySqlConnection) -> Option<Duration> {
    None
}

/// The error's number in MySQL's and MariaDB's lists.
fn number(error: &dyn DatabaseError) -> Option<u16> {
    let error = error.try_downcast_ref::<MySqlDatabaseError>();
    error.map(MySqlDatabaseError::number)
}

/// Whether the server refuses the user, the password or the database.
pub(super) fn refuses(error: &dyn DatabaseError) -> bool {
    matches!(number(error), Some(1044 | 1045 | 1049 | 1698))
}

pub(super) fn code(error: &dyn DatabaseError) -> String {
    let state = error.code().unwrap_or_default();
    format!(
        "error {}, SQLSTATE {state}",
        number(error).unwrap_or_default()
    )
}

/// By the error's number, and if that is unknown by its SQLSTATE.
pub(super) fn kind(error: &dyn DatabaseError) -> Kind {
    match number(error) {
        // max_statement_time (MariaDB), max_execution_time (MySQL), the wait for a lock.
        Some(1969 | 3024 | 1205) => Kind::TimedOut,
        // Too many connections, of all users or of this one.
        Some(1040 | 1203 | 1226) => Kind::Busy,
        // The server is shutting down, or the connection was killed or timed out; a prepared
        // statement is missing, or no longer fits the tables.
        Some(1053 | 1927 | 4031 | 1243 | 1615) => Kind::Broken,
        // Collations that cannot be compared; text that is invalid in its character set; invalid
        // values, times and UUIDs; text that another character set lacks; a value that a function
        // does not accept.
        Some(1267 | 1270 | 1271 | 1300 | 1366 | 1411 | 1525 | 3854 | 3988) => Kind::Key,
        // Regular expressions; and syntax errors, which must be those of a text search, since the
        // query's own syntax was checked.
        Some(1139 | 3685..=3700 | 1064) => Kind::Key,
        // Missing tables, columns, functions, views and privileges; a write in a read-only
        // session.
        Some(1044..=1046 | 1049 | 1051 | 1054 | 1109 | 1142 | 1143 | 1146 | 1227 | 1290 | 1305)
        | Some(1356 | 1370 | 1449 | 1698 | 1792) => Kind::All,
        _ => match error.code().as_deref().and_then(|code| code.get(..2)) {
            Some("08") => Kind::Broken,
            Some("22") => Kind::Key,
            // Cardinality, constraints, and errors that functions signal.
            Some("21" | "23" | "45") => Kind::Data,
            _ => Kind::Other,
        },
    }
}
