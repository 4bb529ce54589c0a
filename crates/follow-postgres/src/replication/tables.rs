//! Checks that the publication and its tables report everything that is needed.

use std::collections::HashMap;

use super::changes::{Followed, not_identified};
use super::prepare::first;
use crate::PostgresError;
use crate::names::{TableName, identifier, literal};
use crate::options::Table;
use crate::wire::{Connection, Row};

/// Checks that the publication exists and leaves nothing out. Returns whether changes of
/// partitions have their table's name.
pub(super) async fn check_publication(
    connection: &mut Connection,
    publication: &str,
    tables: &[Table],
) -> Result<bool, PostgresError> {
    let sql = format!(
        "SELECT p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, \
         pg_catalog.to_jsonb(p)->>'pubviaroot' \
         FROM pg_catalog.pg_publication p WHERE p.pubname = {}",
        literal(publication)
    );
    let name = identifier(publication);
    let Some(row) = first(connection, &sql).await? else {
        let all: Vec<String> = tables.iter().map(|table| table.name.sql()).collect();
        return Err(PostgresError::Setup(format!(
            "there is no publication {publication}. Run: CREATE PUBLICATION {name} FOR TABLE {};",
            all.join(", ")
        )));
    };
    let is = |at: usize, yes: &str| row.get(at).and_then(Option::as_deref) == Some(yes);
    let missing: Vec<&str> = ["insert", "update", "delete", "truncate"]
        .into_iter()
        .enumerate()
        .filter(|(at, _)| !is(*at, "t"))
        .map(|(_, operation)| operation)
        .collect();
    if !missing.is_empty() {
        return Err(PostgresError::Setup(format!(
            "the publication {publication} leaves out {}, so that cached values would stay as they \
             were. Run: ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate');",
            missing.join(" and ")
        )));
    }
    Ok(is(4, "true"))
}

/// Checks that each change of the table contains the row's key, including the key that it had
/// before.
pub(super) async fn check(
    connection: &mut Connection,
    publication: &str,
    via_root: bool,
    table: &Table,
) -> Result<Followed, PostgresError> {
    let name = &table.name;
    let sql = format!(
        "SELECT c.oid, c.relkind, c.relpersistence FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {}",
        is_named("n.nspname", "c.relname", name)
    );
    let row = first(connection, &sql).await?.unwrap_or_default();
    let column = |at: usize| row.get(at).and_then(Option::as_deref);
    let oid: Option<u32> = column(0).and_then(|oid| oid.parse().ok());
    let (Some(oid), Some("r" | "p")) = (oid, column(1)) else {
        return Err(PostgresError::Setup(format!("there is no table {name}")));
    };
    if column(2) != Some("p") {
        return Err(PostgresError::Setup(format!(
            "the table {name} is unlogged or temporary: its changes are not in the log"
        )));
    }
    if column(1) == Some("p") && !via_root {
        return Err(PostgresError::Setup(format!(
            "the table {name} has partitions, whose changes would come under their own names. Run: \
             ALTER PUBLICATION {} SET (publish_via_partition_root = true);",
            identifier(publication)
        )));
    }
    check_published(connection, publication, name).await?;
    let types = check_columns(connection, publication, oid, table).await?;
    Ok(Followed {
        table: table.clone(),
        oid,
        types,
    })
}

fn is_named(schema: &str, table: &str, name: &TableName) -> String {
    let [is, it] = [&name.schema, &name.table].map(|name| literal(name));
    format!("{schema} = {is} AND {table} = {it}")
}

fn in_publication(publication: &str, name: &TableName) -> String {
    format!(
        "pg_catalog.pg_publication_tables t WHERE t.pubname = {} AND {}",
        literal(publication),
        is_named("t.schemaname", "t.tablename", name)
    )
}

async fn check_published(
    connection: &mut Connection,
    publication: &str,
    name: &TableName,
) -> Result<(), PostgresError> {
    let sql = format!(
        "SELECT pg_catalog.to_jsonb(t)->>'rowfilter' FROM {}",
        in_publication(publication, name)
    );
    let Some(row) = first(connection, &sql).await? else {
        return Err(PostgresError::Setup(format!(
            "the table {name} is not in the publication {publication}. Run: ALTER PUBLICATION {} \
             ADD TABLE {};",
            identifier(publication),
            name.sql()
        )));
    };
    if let Some(Some(filter)) = row.first() {
        tracing::warn!(
            table = %name, %filter,
            "the publication has a filter of rows: changes of other rows are not told"
        );
    }
    Ok(())
}

async fn check_columns(
    connection: &mut Connection,
    publication: &str,
    oid: u32,
    table: &Table,
) -> Result<HashMap<u32, u32>, PostgresError> {
    // A column counts as identified if it is in the replica identity of the table and of each of
    // its partitions: the log is written by the partitions.
    let sql = format!(
        "WITH RECURSIVE members AS (SELECT m.oid, m.relreplident FROM pg_catalog.pg_class m WHERE m.oid = {oid} \
         OR m.oid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree({oid}) p)), \
         published AS (SELECT pg_catalog.to_jsonb(t)->'attnames' AS names FROM {}), \
         bases AS (SELECT y.oid, y.oid AS base, y.typbasetype AS next FROM pg_catalog.pg_type y \
         JOIN pg_catalog.pg_attribute c ON c.atttypid = y.oid AND c.attrelid = {oid} AND c.attnum > 0 \
         UNION SELECT b.oid, y.oid, y.typbasetype FROM bases b \
         JOIN pg_catalog.pg_type y ON y.oid = b.next AND b.next <> 0) \
         SELECT a.attname, a.attgenerated = '' AND NOT EXISTS (SELECT FROM published p \
         WHERE pg_catalog.jsonb_typeof(p.names) = 'array' AND NOT pg_catalog.jsonb_exists(p.names, a.attname)), \
         NOT EXISTS (SELECT FROM members m WHERE m.relreplident <> 'f' AND NOT EXISTS ( \
         SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute k \
         ON k.attrelid = m.oid AND k.attnum = ANY (i.indkey) \
         WHERE i.indrelid = m.oid AND k.attname = a.attname AND \
         (m.relreplident = 'd' AND i.indisprimary OR m.relreplident = 'i' AND i.indisreplident))), \
         a.atttypid, (SELECT b.base FROM bases b WHERE b.oid = a.atttypid AND b.next = 0) \
         FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped",
        in_publication(publication, &table.name)
    );
    let columns = connection.query(&sql).await?;
    let find = |name: &str| {
        let found = columns
            .iter()
            .find(|row| row.first().and_then(Option::as_deref) == Some(name));
        let found = found.ok_or_else(|| {
            PostgresError::Setup(format!("the table {} has no column {name:?}", table.name))
        })?;
        let is = |at: usize| found.get(at).and_then(Option::as_deref) == Some("t");
        if !is(1) {
            return Err(PostgresError::Setup(format!(
                "the publication {publication} leaves out the column {name:?} of {}, or it is \
                 generated: add it to the publication's list of columns",
                table.name
            )));
        }
        Ok(is(2))
    };
    for column in table.key.columns() {
        if !find(column)? {
            return Err(PostgresError::Setup(not_identified(table, column)));
        }
    }
    if let Some(payload) = &table.payload {
        find(payload)?;
    }
    let number = |row: &Row, at: usize| row.get(at)?.as_deref()?.parse().ok();
    let types = columns
        .iter()
        .filter_map(|row| Some((number(row, 3)?, number(row, 4)?)));
    Ok(types.collect())
}
