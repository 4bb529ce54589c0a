//! For a replication feed.

use std::fmt::Write as _;

use super::{comment, dollar_quoted};
use crate::names::{self, identifier, literal};
use crate::options::{self, ReplicationOptions, Table};
use crate::wire::Target;
use crate::{KeyTemplate, OptionsError};

/// The statements that set up what a [`ReplicationFeed`](crate::ReplicationFeed) of this group
/// needs: the user, the publication and its tables. Comments list the server's settings, and say
/// how to remove everything again.
///
/// They can be run again, by a superuser or by the owner of the tables and the database, in the
/// database of the URL. They set no password.
///
/// # Errors
///
/// If an option cannot be used.
pub fn replication_sql(options: &ReplicationOptions, group: &str) -> Result<String, OptionsError> {
    let tables = options::tables(&options.tables)?;
    let script = Script {
        slot: names::slot(&options.slot, group)?,
        publication: names::publication(&options.publication, group)?,
        is_shared: !options.publication.is_empty(),
        user: user(options)?,
        tables,
    };
    // Writing into a text does not fail.
    let mut sql = String::new();
    let _ = script.settings(&mut sql, group);
    let _ = script.user(&mut sql);
    let _ = script.publication(&mut sql);
    let _ = script.identities(&mut sql);
    let _ = script.removal(&mut sql);
    Ok(sql)
}

/// The user of the URL. Without a URL it is called `gaggle`.
fn user(options: &ReplicationOptions) -> Result<String, OptionsError> {
    if options.url.is_empty() {
        return Ok("gaggle".into());
    }
    Ok(Target::parse(&options.url, None, None)?.user)
}

struct Script {
    slot: String,
    publication: String,
    /// Whether other groups may use the publication.
    is_shared: bool,
    user: String,
    tables: Vec<Table>,
}

impl Script {
    fn settings(&self, sql: &mut String, group: &str) -> std::fmt::Result {
        writeln!(
            sql,
            "-- Logical replication for the group {group}. These statements can be run again.\n\
             --\n\
             -- postgresql.conf, with a restart:\n\
             --   wal_level = logical\n\
             --   max_replication_slots, max_wal_senders: one more for each group that is followed\n\
             -- postgresql.conf, with a reload. It bounds the log that the server keeps while nobody follows;\n\
             -- beyond it the slot is lost, and the group is removed as a whole once somebody follows again:\n\
             --   max_slot_wal_keep_size = '10GB'\n\
             -- pg_hba.conf, with the network of the nodes in place of 10.0.0.0/8:\n\
             --   hostssl  all  {user}  10.0.0.0/8  scram-sha-256\n",
            group = comment(group),
            user = comment(&identifier(&self.user)),
        )
    }

    fn user(&self, sql: &mut String) -> std::fmt::Result {
        let user = identifier(&self.user);
        let body = format!(
            "BEGIN\n  \
             IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) THEN\n    \
             CREATE ROLE {user} LOGIN REPLICATION;\n  \
             ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {} \
             AND rolcanlogin AND (rolreplication OR rolsuper)) THEN\n    \
             ALTER ROLE {user} LOGIN REPLICATION;\n  \
             END IF;\n  \
             EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I', \
             pg_catalog.current_database(), {});\n\
             END\n",
            literal(&self.user),
            literal(&self.user),
            literal(&self.user),
        );
        writeln!(
            sql,
            "-- The user. Its password: \\password {}",
            comment(&user)
        )?;
        writeln!(sql, "DO {};", dollar_quoted(&body))?;
        let mut schemas: Vec<&str> = self.tables.iter().map(|t| t.name.schema.as_str()).collect();
        schemas.sort_unstable();
        schemas.dedup();
        for schema in schemas {
            writeln!(
                sql,
                "GRANT USAGE ON SCHEMA {} TO {user};",
                identifier(schema)
            )?;
        }
        for table in &self.tables {
            writeln!(sql, "GRANT SELECT ON TABLE {} TO {user};", table.name.sql())?;
        }
        writeln!(sql)
    }

    fn publication(&self, sql: &mut String) -> std::fmt::Result {
        let publication = identifier(&self.publication);
        let with =
            "publish = 'insert, update, delete, truncate', publish_via_partition_root = true";
        let mut body = format!(
            "BEGIN\n  \
             IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = {name}) THEN\n    \
             CREATE PUBLICATION {publication} WITH ({with});\n  \
             ELSE\n    \
             ALTER PUBLICATION {publication} SET ({with});\n  \
             END IF;\n",
            name = literal(&self.publication),
        );
        for table in &self.tables {
            write!(
                body,
                "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication_tables WHERE pubname = {} \
                 AND schemaname = {} AND tablename = {}) THEN\n    \
                 ALTER PUBLICATION {publication} ADD TABLE {};\n  \
                 END IF;\n",
                literal(&self.publication),
                literal(&table.name.schema),
                literal(&table.name.table),
                table.name.sql(),
            )?;
        }
        body.push_str("END\n");
        writeln!(
            sql,
            "-- The publication: which changes of which tables are sent."
        )?;
        writeln!(sql, "DO {};\n", dollar_quoted(&body))
    }

    fn identities(&self, sql: &mut String) -> std::fmt::Result {
        writeln!(
            sql,
            "-- Each column of a key must be in the table's replica identity, which is the primary key unless\n\
             -- it was changed. Only where one is not, run the line of its table; updates and deletes then write\n\
             -- the whole old row to the log."
        )?;
        for table in &self.tables {
            writeln!(
                sql,
                "-- ALTER TABLE {} REPLICA IDENTITY FULL; -- key: {}",
                comment(&table.name.sql()),
                comment(&columns(&table.key)),
            )?;
        }
        writeln!(sql)
    }

    fn removal(&self, sql: &mut String) -> std::fmt::Result {
        writeln!(
            sql,
            "-- The slot {slot} is created by the node that follows. A slot that nobody follows holds the log\n\
             -- back. Once the group is not followed any more:\n\
             -- SELECT pg_catalog.pg_drop_replication_slot({literal});\n\
             {shared}-- DROP PUBLICATION IF EXISTS {publication};",
            shared = if self.is_shared {
                "-- Only if no other group uses this publication:\n"
            } else {
                ""
            },
            slot = self.slot,
            literal = literal(&self.slot),
            publication = comment(&identifier(&self.publication)),
        )
    }
}

fn columns(key: &KeyTemplate) -> String {
    let columns: Vec<String> = key.columns().map(identifier).collect();
    columns.join(", ")
}
