//! The query for MySQL and MariaDB: its checks and its statements.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::Key;
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlStatement};
use sqlx::{
    AssertSqlSafe, Column as _, Either, Executor as _, Row as _, SqlSafeStr as _, SqlStr,
    Statement as _, TypeInfo as _,
};

use super::connect;
use crate::KeyType;
use crate::columns::{not_seconds, usable};
use crate::error::said;
use crate::server::sql::{Flavour, Statement};
use crate::server::{Dialect, Kind, Row, ServerOptions, Session, Unusable};

/// A query that was checked.
#[derive(Debug)]
pub(crate) struct Lookup {
    wrapped: Wrapped,
    /// The statements for 1, 2, 4… keys, each made when it is first needed.
    statements: [OnceLock<SqlStr>; SIZES],
    /// The same for any type of value, for when the type has changed.
    careful: [OnceLock<SqlStr>; SIZES],
    has_changed: AtomicBool,
    key_type: KeyType,
    max_batch: usize,
}

/// 1, 2, 4… 1,024 keys.
const SIZES: usize = 11;

impl Dialect for Lookup {
    type Connection = MySqlConnection;
    type Address = MySqlConnectOptions;

    fn address(url: &str, options: &ServerOptions) -> Result<MySqlConnectOptions, String> {
        connect::address(url, options)
    }

    async fn connect(
        address: &MySqlConnectOptions,
        session: Session,
        password: Option<&str>,
    ) -> Result<MySqlConnection, sqlx::Error> {
        connect::connect(address, session, password).await
    }

    async fn limit(
        connection: &mut MySqlConnection,
        statement_timeout: Duration,
    ) -> Result<(), sqlx::Error> {
        connect::limit(connection, statement_timeout).await
    }

    async fn check(
        connection: &mut MySqlConnection,
        query: &str,
        key_type: KeyType,
        max_batch: usize,
    ) -> Result<Self, Unusable> {
        let statement = Statement::read(query, Flavour::Mysql)?;
        let described = prepare(connection, &statement.text).await?;
        let parameters = match described.parameters() {
            Some(Either::Left(types)) => types.len(),
            Some(Either::Right(count)) => count,
            None => 0,
        };
        if parameters != 1 {
            let reason =
                format!("it has {parameters} parameters, where one is needed: the key, as ?");
            return Err(reason.into());
        }
        let wrapped = Wrapped::of(connection, statement.text, &described).await?;
        if let Err(error) = prepare(connection, &wrapped.statement(1, wrapped.value)).await {
            return Err(match error {
                Unusable::Query(reason) => format!("it must be a single SELECT: {reason}").into(),
                failed @ Unusable::Failed(_) => failed,
            });
        }
        let mut max_batch = max_batch;
        if max_batch > 1 && wrapped.is_materialised(connection).await {
            tracing::warn!(
                "the server needs a temporary table for each key of this query, as for ORDER BY, \
                 LIMIT, GROUP BY or UNION: each key takes a statement of its own"
            );
            max_batch = 1;
        }
        Ok(Self {
            wrapped,
            statements: Default::default(),
            careful: Default::default(),
            has_changed: AtomicBool::new(false),
            key_type,
            max_batch,
        })
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn without_batches(&mut self) {
        self.max_batch = 1;
    }

    async fn look_up(
        &self,
        connection: &mut MySqlConnection,
        keys: &[Key],
        room: u64,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let has_changed = self.has_changed.load(Relaxed);
        let rows = self.fetch(connection, keys, room, has_changed).await?;
        let is_binary = rows.first().map(is_binary).transpose()?;
        if !has_changed && self.wrapped.is_other(is_binary) {
            tracing::info!("the type of the query's value has changed: any type is looked up now");
            self.has_changed.store(true, Relaxed);
            let rows = self.fetch(connection, keys, room, true).await?;
            return rows.iter().map(|one| row(one, room)).collect();
        }
        rows.iter().map(|one| row(one, room)).collect()
    }

    fn kind(error: &dyn DatabaseError) -> Kind {
        connect::kind(error)
    }

    fn refuses(error: &dyn DatabaseError) -> bool {
        connect::refuses(error)
    }

    fn code(error: &dyn DatabaseError) -> String {
        connect::code(error)
    }

    fn ends_when_closed(connection: &MySqlConnection) -> Option<Duration> {
        connect::ends_when_closed(connection)
    }
}

impl Lookup {
    async fn fetch(
        &self,
        connection: &mut MySqlConnection,
        keys: &[Key],
        room: u64,
        has_changed: bool,
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        // There are few sizes of statements, so that each connection keeps few. The rest of the
        // places get the key NULL, which equals no key.
        let size = keys.len().next_power_of_two();
        let mut query = sqlx::query::<MySql>(self.statement(size, has_changed));
        for at in 0..size {
            query = query.bind(room);
            query = match (keys.get(at), self.key_type) {
                (Some(key), KeyType::Text) => {
                    let text = std::str::from_utf8(key);
                    query.bind(text.map_err(|error| sqlx::Error::Encode(error.into()))?)
                }
                (Some(key), KeyType::Blob) => query.bind(&key[..]),
                (None, _) => query.bind(None::<&str>),
            };
        }
        query.fetch_all(connection).await
    }

    fn statement(&self, size: usize, has_changed: bool) -> SqlStr {
        let (value, kept) = if has_changed {
            (ANYTHING, &self.careful)
        } else {
            (self.wrapped.value, &self.statements)
        };
        let make = || sql(self.wrapped.statement(size, value));
        let kept = kept.get(size.trailing_zeros() as usize);
        kept.map_or_else(make, |kept| kept.get_or_init(make).clone())
    }
}

/// What the wrapped statements return: the key's number, whether the value is `NULL`, its length,
/// the value, the seconds, whether the value's type is binary.
fn row(row: &MySqlRow, room: u64) -> Result<Row, sqlx::Error> {
    let of: i64 = row.try_get_unchecked(0)?;
    let is_null: i64 = row.try_get_unchecked(1)?;
    let len: Option<i64> = row.try_get_unchecked(2)?;
    let value: Option<&[u8]> = row.try_get_unchecked(3)?;
    let len = len.map_or(0, |len| len.try_into().unwrap_or(0));
    Ok(Row {
        of: usize::try_from(of).unwrap_or(usize::MAX),
        len: (is_null == 0).then_some(len),
        value: value.map(Bytes::copy_from_slice),
        seconds: row.try_get_unchecked(4)?,
        unreadable: is_null == 0 && value.is_none() && len <= room,
    })
}

fn is_binary(row: &MySqlRow) -> Result<bool, sqlx::Error> {
    let is_binary: Option<i64> = row.try_get_unchecked(5)?;
    Ok(is_binary == Some(1))
}

/// How a query is wrapped, depending on its columns.
#[derive(Debug)]
struct Wrapped {
    query: String,
    value: &'static str,
    seconds: &'static str,
    names: &'static str,
}

/// Bytes as they are; numbers and times as their text.
const BINARY: &str = "CAST(gaggle_value AS BINARY)";
/// Text, whatever its character set.
const TEXT: &str = "CONVERT(gaggle_value USING utf8mb4)";
/// Bits, which would be bytes.
const NUMBER: &str = "CAST(gaggle_value + 0 AS CHAR)";
/// For an unknown type. It takes the server five times as long.
const ANYTHING: &str = "CAST(IF(CHARSET(gaggle_value) = 'binary', CAST(gaggle_value AS BINARY), \
                        CONVERT(gaggle_value USING utf8mb4)) AS BINARY)";

impl Wrapped {
    async fn of(
        connection: &mut MySqlConnection,
        query: String,
        described: &MySqlStatement,
    ) -> Result<Self, Unusable> {
        let columns = described.columns();
        usable(columns.len())?;
        let (seconds, names) = match columns.get(1) {
            None => ("NULL", "gaggle_value"),
            Some(seconds) => {
                let kind = seconds.type_info().name();
                if !is_number(kind) {
                    return Err(not_seconds(seconds.name(), kind).into());
                }
                ("gaggle_seconds + 0e0", "gaggle_value, gaggle_seconds")
            }
        };
        let mut wrapped = Self {
            query,
            value: ANYTHING,
            seconds,
            names,
        };
        wrapped.value = match columns[0].type_info().name() {
            "BIT" => NUMBER,
            "JSON" => TEXT,
            _ => match wrapped.charset(connection).await.as_deref() {
                Some("binary") => BINARY,
                Some(_) => TEXT,
                None => ANYTHING,
            },
        };
        Ok(wrapped)
    }

    /// The character set of the value, if the server can report it. The type that the driver gets
    /// does not show it: a text with a binary collation looks like bytes there.
    async fn charset(&self, connection: &mut MySqlConnection) -> Option<String> {
        let Self { query, names, .. } = self;
        // A maximum, so that there is a row even if the query returns none.
        let text = format!(
            "WITH gaggle_row({names}) AS (\n{query}\n) SELECT CHARSET(MAX(gaggle_value)) FROM gaggle_row"
        );
        let asked = sqlx::query_scalar(sql(text)).bind("");
        // An error in the query shows when it is tried.
        asked.fetch_one(connection).await.ok()
    }

    /// Whether the server writes the result of the query into a temporary table before it reads
    /// the first row. A statement of many such tables is slow, and has crashed MariaDB 10.11.
    async fn is_materialised(&self, connection: &mut MySqlConnection) -> bool {
        let text = sql(format!("EXPLAIN {}", self.statement(2, self.value)));
        // The server evaluates functions of the key for EXPLAIN, and not all accept an empty one.
        for key in [
            "",
            "0",
            "00000000-0000-0000-0000-000000000000",
            "2000-01-01",
        ] {
            let mut asked = sqlx::query::<MySql>(text.clone());
            for _ in 0..2 {
                asked = asked.bind(0_u64).bind(key);
            }
            if let Ok(steps) = asked.fetch_all(&mut *connection).await {
                return steps.iter().any(|step| {
                    let kind = step.try_get_unchecked::<String, _>("select_type");
                    kind.map_or(true, |kind| kind.contains("DERIVED"))
                });
            }
        }
        true
    }

    /// Whether a value has another type than the query is wrapped for.
    fn is_other(&self, is_binary: Option<bool>) -> bool {
        match self.value {
            BINARY => is_binary == Some(false),
            TEXT => is_binary == Some(true),
            _ => false,
        }
    }

    /// The statement for that many keys. Its parameters are, for each key, the most bytes that its
    /// value may have, and the key. The line break ends a comment on the query's last line. Each
    /// subselect has a `WITH` of its own, to name the columns: MariaDB accepts 64 in one clause.
    fn statement(&self, keys: usize, value: &str) -> String {
        let Self {
            query,
            seconds,
            names,
            ..
        } = self;
        let firsts = (0..keys).map(|at| {
            format!(
                "(SELECT {at}, gaggle_value IS NULL, \
                 COALESCE(OCTET_LENGTH({value}), OCTET_LENGTH(gaggle_value)), \
                 CASE WHEN OCTET_LENGTH({value}) <= ? THEN {value} END, {seconds}, \
                 CHARSET(gaggle_value) = 'binary'\n\
                 FROM (WITH gaggle_row({names}) AS (\n{query}\n)\n\
                 SELECT * FROM gaggle_row) AS gaggle_first LIMIT 1)"
            )
        });
        firsts.collect::<Vec<_>>().join("\nUNION ALL\n")
    }
}

fn is_number(kind: &str) -> bool {
    let kind = kind.trim_end_matches(" UNSIGNED");
    kind.ends_with("INT") || ["BOOLEAN", "DECIMAL", "FLOAT", "DOUBLE", "NULL"].contains(&kind)
}

async fn prepare(connection: &mut MySqlConnection, text: &str) -> Result<MySqlStatement, Unusable> {
    let prepared = connection.prepare(sql(text.to_owned())).await;
    prepared.map_err(|error| match error {
        sqlx::Error::Database(_) => Unusable::Query(said(&error)),
        error => Unusable::Failed(error),
    })
}

fn sql(text: String) -> SqlStr {
    // Shared, as each look-up takes it.
    AssertSqlSafe(Arc::<str>::from(text)).into_sql_str()
}
