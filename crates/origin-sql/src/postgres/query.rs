//! The query for PostgreSQL: its checks and its statements.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::Key;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, Row as _, SqlSafeStr as _, SqlStr, Statement as _,
    Type, TypeInfo as _, ValueRef as _,
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
    text: Statements,
    bytes: Statements,
    /// Which of them is used: the type that the value had last.
    is_bytes: AtomicBool,
    key_type: KeyType,
    max_batch: usize,
}

/// The query, wrapped.
#[derive(Debug)]
struct Statements {
    one: SqlStr,
    many: SqlStr,
}

impl Dialect for Lookup {
    type Connection = PgConnection;
    type Address = PgConnectOptions;

    fn address(url: &str, options: &ServerOptions) -> Result<PgConnectOptions, String> {
        connect::address(url, options)
    }

    async fn connect(
        address: &PgConnectOptions,
        session: Session,
        password: Option<&str>,
    ) -> Result<PgConnection, sqlx::Error> {
        connect::connect(address, session, password).await
    }

    async fn limit(
        connection: &mut PgConnection,
        statement_timeout: Duration,
    ) -> Result<(), sqlx::Error> {
        connect::limit(connection, statement_timeout).await
    }

    async fn check(
        connection: &mut PgConnection,
        query: &str,
        key_type: KeyType,
        max_batch: usize,
    ) -> Result<Self, Unusable> {
        let statement = Statement::read(query, Flavour::Postgres)?;
        parameters(&statement)?;
        let described = prepare(connection, &statement.text, key_type).await?;
        let text = text_for(connection).await?;
        let wrapped = Wrapped::of(&described, text)?;
        let one = wrapped.one(&statement.text);
        if let Err(error) = prepare(connection, &one, key_type).await {
            return Err(match error {
                Unusable::Query(reason) => format!("it must be a single SELECT: {reason}").into(),
                failed @ Unusable::Failed(_) => failed,
            });
        }
        let statements = |wrapped: Wrapped| Statements {
            one: sql(wrapped.one(&statement.text)),
            many: sql(wrapped.many(&statement.with("gaggle_keys.key"), key_type)),
        };
        Ok(Self {
            text: statements(Wrapped {
                value: text,
                ..wrapped
            }),
            bytes: statements(Wrapped {
                value: BYTES,
                ..wrapped
            }),
            is_bytes: AtomicBool::new(wrapped.value == BYTES),
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
        connection: &mut PgConnection,
        keys: &[Key],
        room: u64,
    ) -> Result<Vec<Row>, sqlx::Error> {
        for _ in 0..2 {
            let as_bytes = self.is_bytes.load(Relaxed);
            let fetched = self.fetch(connection, keys, room, as_bytes).await;
            let is_bytes = match &fetched {
                Ok(rows) => rows.first().map_or(as_bytes, brings_bytes),
                // The value was bytes and has become a type without a length.
                Err(error) => as_bytes && !has_no_function(error),
            };
            if is_bytes == as_bytes {
                return fetched?.iter().map(row).collect();
            }
            tracing::info!(is_bytes, "the type of the query's value has changed");
            self.is_bytes.store(is_bytes, Relaxed);
        }
        let reason = "the type of the value changes with each statement";
        Err(sqlx::Error::Decode(reason.into()))
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

    fn ends_when_closed(connection: &PgConnection) -> Option<Duration> {
        connect::ends_when_closed(connection)
    }
}

impl Lookup {
    async fn fetch(
        &self,
        connection: &mut PgConnection,
        keys: &[Key],
        room: u64,
        as_bytes: bool,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let statements = if as_bytes { &self.bytes } else { &self.text };
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let query = if let [key] = keys {
            let query = sqlx::query::<Postgres>(statements.one.clone());
            match self.key_type {
                KeyType::Text => query.bind(text(key)?),
                KeyType::Blob => query.bind(&key[..]),
            }
        } else {
            let query = sqlx::query::<Postgres>(statements.many.clone());
            match self.key_type {
                KeyType::Text => {
                    let keys = keys.iter().map(text);
                    query.bind(keys.collect::<Result<Vec<&str>, _>>()?)
                }
                KeyType::Blob => query.bind(keys.iter().map(|key| &key[..]).collect::<Vec<_>>()),
            }
        };
        query.bind(room).fetch_all(connection).await
    }
}

/// Whether the value is bytes now. The statement may have been made for text.
fn brings_bytes(row: &PgRow) -> bool {
    row.column(VALUE).type_info().name() == "BYTEA"
}

fn has_no_function(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.and_then(DatabaseError::code).as_deref() == Some("42883")
}

/// The column that has the value's own type, and is always `NULL`.
const VALUE: usize = 4;

/// What the wrapped statements return: the key's number, the length, the value, the seconds, and
/// the value's type. If the type changes, the server refuses to run the earlier prepared
/// statement.
fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let of: i64 = row.try_get(0)?;
    let len: Option<i64> = row.try_get(1)?;
    let value = row.try_get_raw(2)?;
    let value = if value.is_null() {
        None
    } else {
        let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
        Some(Bytes::copy_from_slice(bytes))
    };
    Ok(Row {
        // Counted from 1.
        of: usize::try_from(of - 1).unwrap_or(usize::MAX),
        len: len.map(|len| len.try_into().unwrap_or(0)),
        value,
        seconds: row.try_get(3)?,
        unreadable: false,
    })
}

const BYTES: &str = "gaggle_value";

/// How a query is wrapped, depending on its columns.
#[derive(Clone, Copy)]
struct Wrapped {
    /// The value as bytes, or as text in UTF-8.
    value: &'static str,
    seconds: &'static str,
    names: &'static str,
}

impl Wrapped {
    fn of(described: &PgStatement, text: &'static str) -> Result<Self, Unusable> {
        let columns = described.columns();
        usable(columns.len())?;
        let is_bytes = columns[0].type_info().name() == "BYTEA";
        let value = if is_bytes { BYTES } else { text };
        let Some(seconds) = columns.get(1) else {
            return Ok(Self {
                value,
                seconds: "NULL::float8",
                names: "gaggle_value",
            });
        };
        let kind = seconds.type_info().name();
        if !["INT2", "INT4", "INT8", "FLOAT4", "FLOAT8", "NUMERIC"].contains(&kind) {
            return Err(not_seconds(seconds.name(), kind).into());
        }
        Ok(Self {
            value,
            seconds: "(gaggle_seconds)::float8",
            names: "gaggle_value, gaggle_seconds",
        })
    }

    /// The first row of a query, with its value as `v`. The limit keeps the planner from computing
    /// `v` each time it is named. The line break ends a comment on the query's last line.
    fn first(&self, query: &str) -> String {
        let Self {
            value,
            seconds,
            names,
        } = self;
        format!(
            "SELECT {value} AS v, {seconds} AS s, CASE WHEN false THEN gaggle_value END AS t\n\
             FROM (\n{query}\n) AS gaggle_row({names}) LIMIT 1"
        )
    }

    fn one(&self, query: &str) -> String {
        let first = self.first(query);
        format!(
            "SELECT 1::int8, octet_length(v)::int8, CASE WHEN octet_length(v) <= $2::int8 THEN v END, s, t\n\
             FROM (\n{first}\n) AS gaggle_first"
        )
    }

    /// The same for each key of an array, which the query names by a column.
    fn many(&self, query: &str, key_type: KeyType) -> String {
        let first = self.first(query);
        let array = match key_type {
            KeyType::Text => "text[]",
            KeyType::Blob => "bytea[]",
        };
        format!(
            "SELECT n, octet_length(v)::int8, CASE WHEN octet_length(v) <= $2::int8 THEN v END, s, t\n\
             FROM unnest($1::{array}) WITH ORDINALITY AS gaggle_keys(key, n)\n\
             CROSS JOIN LATERAL (\n{first}\n) AS gaggle_first"
        )
    }
}

/// Whether the key, as `$1`, is the only parameter.
fn parameters(statement: &Statement) -> Result<(), String> {
    let wrong = |what: &str| {
        Err(format!(
            "it has {what}, where one is needed: the key, as $1"
        ))
    };
    let mut numbers = statement.parameters.iter().map(|(_, number)| *number);
    match numbers.find(|number| *number != 1) {
        Some(other) => wrong(&format!("the parameter ${other}")),
        None if statement.parameters.is_empty() => wrong("no parameter"),
        None => Ok(()),
    }
}

/// How a value becomes text in UTF-8.
async fn text_for(connection: &mut PgConnection) -> Result<&'static str, Unusable> {
    let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .fetch_one(connection)
        .await
        .map_err(Unusable::Failed)?;
    Ok(if encoding == "UTF8" {
        // The length of a stored text is known without reading it.
        "(gaggle_value)::text"
    } else {
        "convert_to((gaggle_value)::text, 'UTF8')"
    })
}

/// Prepares a statement whose first parameter is a key.
async fn prepare(
    connection: &mut PgConnection,
    text: &str,
    key_type: KeyType,
) -> Result<PgStatement, Unusable> {
    let key: PgTypeInfo = match key_type {
        KeyType::Text => <str as Type<Postgres>>::type_info(),
        KeyType::Blob => <[u8] as Type<Postgres>>::type_info(),
    };
    let prepared = connection.prepare_with(sql(text.to_owned()), &[key]).await;
    prepared.map_err(|error| match error {
        sqlx::Error::Database(_) => Unusable::Query(said(&error)),
        error => Unusable::Failed(error),
    })
}

fn sql(text: String) -> SqlStr {
    // Shared, as each look-up takes it.
    AssertSqlSafe(std::sync::Arc::<str>::from(text)).into_sql_str()
}

/// A key that was found to be text before.
fn text(key: &Key) -> Result<&str, sqlx::Error> {
    std::str::from_utf8(key).map_err(|error| sqlx::Error::Encode(error.into()))
}
