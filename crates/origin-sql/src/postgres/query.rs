//! The query for PostgreSQL: what is checked of it, and how it is asked.

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
    one: SqlStr,
    many: SqlStr,
    key_type: KeyType,
    max_batch: usize,
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
    ) -> Result<PgConnection, sqlx::Error> {
        connect::connect(address, session).await
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
        let wrapped = Wrapped::of(connection, &described).await?;
        let one = wrapped.one(&statement.text);
        if let Err(error) = prepare(connection, &one, key_type).await {
            return Err(match error {
                Unusable::Query(reason) => format!("it must be a single SELECT: {reason}").into(),
                failed @ Unusable::Failed(_) => failed,
            });
        }
        let many = wrapped.many(&statement.with("gaggle_keys.key"), key_type);
        Ok(Self {
            one: sql(one),
            many: sql(many),
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
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let query = if let [key] = keys {
            let query = sqlx::query::<Postgres>(self.one.clone());
            match self.key_type {
                KeyType::Text => query.bind(text(key)?),
                KeyType::Blob => query.bind(&key[..]),
            }
        } else {
            let query = sqlx::query::<Postgres>(self.many.clone());
            match self.key_type {
                KeyType::Text => {
                    let keys = keys.iter().map(text);
                    query.bind(keys.collect::<Result<Vec<&str>, _>>()?)
                }
                KeyType::Blob => query.bind(keys.iter().map(|key| &key[..]).collect::<Vec<_>>()),
            }
        };
        let rows = query.bind(room).fetch_all(connection).await?;
        rows.iter().map(row).collect()
    }

    fn kind(error: &dyn DatabaseError) -> Kind {
        connect::kind(error)
    }

    fn ends_when_closed(connection: &PgConnection) -> Option<std::time::Duration> {
        connect::ends_when_closed(connection)
    }
}

/// What the wrapped statements return: which key, the length, the value, the seconds.
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
    })
}

/// How a query is wrapped, by its columns.
struct Wrapped {
    /// The value as bytes, or as text that comes as UTF-8.
    value: &'static str,
    seconds: &'static str,
    names: &'static str,
}

impl Wrapped {
    async fn of(connection: &mut PgConnection, described: &PgStatement) -> Result<Self, Unusable> {
        let columns = described.columns();
        usable(columns.len())?;
        let is_bytes = columns[0].type_info().name() == "BYTEA";
        let value = if is_bytes {
            "gaggle_value"
        } else if is_utf8(connection).await? {
            // The length of a stored text is known without reading it.
            "(gaggle_value)::text"
        } else {
            "convert_to((gaggle_value)::text, 'UTF8')"
        };
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
    /// `v` wherever it is named. The line break ends a comment on the query's last line.
    fn first(&self, query: &str) -> String {
        let Self {
            value,
            seconds,
            names,
        } = self;
        format!(
            "SELECT {value} AS v, {seconds} AS s\n\
             FROM (\n{query}\n) AS gaggle_row({names}) LIMIT 1"
        )
    }

    fn one(&self, query: &str) -> String {
        let first = self.first(query);
        format!(
            "SELECT 1::int8, octet_length(v)::int8, CASE WHEN octet_length(v) <= $2::int8 THEN v END, s\n\
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
            "SELECT n, octet_length(v)::int8, CASE WHEN octet_length(v) <= $2::int8 THEN v END, s\n\
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

/// Whether the database keeps its text as UTF-8.
async fn is_utf8(connection: &mut PgConnection) -> Result<bool, Unusable> {
    let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .fetch_one(connection)
        .await
        .map_err(Unusable::Failed)?;
    Ok(encoding == "UTF8")
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
