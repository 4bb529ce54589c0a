//! The query: its checks at open, and its statements.

use std::fmt;

use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool, SqliteRow, SqliteStatement};
use sqlx::{
    AssertSqlSafe, Column as _, ColumnOrigin, Either, Executor as _, Row as _, SqlSafeStr as _,
    SqlStr, Statement as _, ValueRef as _, query::Query,
};

use crate::KeyType;
use crate::columns::usable;
use crate::error::said;
use crate::key::Parameter;

/// A query that was checked.
#[derive(Clone)]
pub(super) struct Lookup {
    sql: SqlStr,
    key_type: KeyType,
    /// Whether it is wrapped, so that it returns the value's length and leaves out a value that is
    /// too long.
    measures: bool,
}

impl Lookup {
    /// Whether the query is one `SELECT` with one parameter and one or two columns; if not, why.
    pub(super) async fn check(
        pool: &SqlitePool,
        query: String,
        key_type: KeyType,
    ) -> Result<Self, String> {
        let mut connection = pool.acquire().await.map_err(|error| said(&error))?;
        let statement = prepare(&mut connection, &query)
            .await
            .map_err(|error| said(&error))?;
        let parameters = match statement.parameters() {
            Some(Either::Left(types)) => types.len(),
            Some(Either::Right(count)) => count,
            None => 0,
        };
        if parameters != 1 {
            return Err(format!(
                "it has {parameters} parameters, where one is needed: the key, as ?1"
            ));
        }
        usable(statement.columns().len())?;
        // Only a single `SELECT` can stand in parentheses: several statements, or one that writes,
        // cannot. The line break ends a comment on the query's last line.
        let alone = query.trim_end().trim_end_matches(';');
        let nested = format!("SELECT * FROM (\n{alone}\n)");
        if let Err(error) = prepare(&mut connection, &nested).await {
            return Err(format!("it must be a single SELECT: {}", said(&error)));
        }
        // The length of a computed value is known only after it was computed: measuring would
        // compute it twice.
        let is_stored = |at: usize| {
            let column = statement.columns().get(at);
            column.is_some_and(|it| matches!(it.origin(), ColumnOrigin::Table(_)))
        };
        let measured = measured(alone, &statement);
        // SQLite counts text in the database's own encoding, while values are returned as UTF-8.
        let measures = is_stored(0)
            && is_utf8(&mut connection)
                .await
                .map_err(|error| said(&error))?
            && prepare(&mut connection, &measured).await.is_ok();
        Ok(Self {
            sql: AssertSqlSafe(if measures { measured } else { query }).into_sql_str(),
            key_type,
            measures,
        })
    }

    /// The first row. Its value is left out if it is known to have more than `room` bytes.
    pub(super) async fn first_row(
        &self,
        connection: &mut SqliteConnection,
        key: &[u8],
        room: u64,
    ) -> Result<Option<SqliteRow>, sqlx::Error> {
        let query: Query<'_, Sqlite, _> = sqlx::query(self.sql.clone());
        let mut query = match self.key_type.parameter(key) {
            Parameter::Text(text) => query.bind(text),
            Parameter::Blob(blob) => query.bind(blob),
        };
        if self.measures {
            query = query.bind(i64::try_from(room).unwrap_or(i64::MAX));
        }
        query.fetch_optional(connection).await
    }

    /// How many columns the query itself has.
    pub(super) fn columns_of(&self, row: &SqliteRow) -> usize {
        row.len() - usize::from(self.measures)
    }

    /// The length of a row's value in bytes, whether or not the value was returned; `None` if it
    /// is `NULL`.
    pub(super) fn len_of(&self, row: &SqliteRow) -> Result<Option<u64>, sqlx::Error> {
        if self.measures {
            let len: Option<i64> = row.try_get_unchecked(LENGTH)?;
            return Ok(len.map(|len| len.try_into().unwrap_or(0)));
        }
        if row.try_get_raw(0)?.is_null() {
            return Ok(None);
        }
        let value: &[u8] = row.try_get_unchecked(0)?;
        Ok(Some(value.len() as u64))
    }

    /// Whether the value of a row came with it.
    pub(super) fn brings_value(&self, row: &SqliteRow) -> bool {
        row.try_get_raw(0).is_ok_and(|value| !value.is_null())
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup")
            .field("sql", &self.sql.as_str())
            .field("key_type", &self.key_type)
            .finish_non_exhaustive()
    }
}

/// The additional column of a measured query.
const LENGTH: usize = 2;

/// The query with the value's length as its third column, and without the value if that is more
/// than `?2`. Of a value that is stored, SQLite knows the length without reading it.
fn measured(query: &str, statement: &SqliteStatement) -> String {
    let seconds = statement.columns().get(1).map(sqlx::Column::name);
    let (columns, seconds) = match seconds {
        // Its name is for errors.
        Some(name) => (
            "value, seconds",
            format!("seconds AS \"{}\"", name.replace('"', "\"\"")),
        ),
        None => ("value", "NULL".to_owned()),
    };
    format!(
        "WITH gaggle_origin_row({columns}) AS (\n{query}\n)\n\
         SELECT CASE WHEN octet_length(value) <= ?2 THEN value END, {seconds}, octet_length(value) \
         FROM gaggle_origin_row"
    )
}

/// Whether the database keeps its text as UTF-8. That is settled when its first table is made.
async fn is_utf8(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let encoding: String = sqlx::query_scalar("PRAGMA encoding")
        .fetch_one(connection)
        .await?;
    Ok(encoding == "UTF-8")
}

async fn prepare(
    connection: &mut SqliteConnection,
    sql: &str,
) -> Result<SqliteStatement, sqlx::Error> {
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    connection.prepare(sql).await
}
