//! For a feed of notices.

use std::fmt::Write as _;

use super::{comment, dollar_quoted};
use crate::names::{self, identifier, literal};
use crate::options::{self, NotifyOptions, Table};
use crate::template::Part;
use crate::{KeyTemplate, OptionsError, notify};

/// The statements that set up what a [`NotifyFeed`](crate::NotifyFeed) of this group needs: for
/// each table a function and two triggers. Comments say how to remove them again.
///
/// They can be run again, by the owner of the tables, in the database of the URL.
///
/// # Errors
///
/// If an option cannot be used.
pub fn notify_sql(options: &NotifyOptions, group: &str) -> Result<String, OptionsError> {
    let tables = options::tables(&options.tables)?;
    let channel = notify::channel(&options.channel, group)?;
    let mut sql = format!(
        "-- Notices for the group {}, on the channel {}. These statements can be run again.\n\n\
         BEGIN;\n\n",
        comment(group),
        comment(&identifier(&channel)),
    );
    let mut removal = String::new();
    for table in &tables {
        // Writing into a text does not fail.
        let _ = triggers(&mut sql, &mut removal, table, &channel);
    }
    let _ = write!(
        sql,
        "COMMIT;\n\n-- Once the group is not followed any more:\n{removal}"
    );
    Ok(sql)
}

fn triggers(
    sql: &mut String,
    removal: &mut String,
    table: &Table,
    channel: &str,
) -> std::fmt::Result {
    // The hashed text is unambiguous, since no name contains a zero byte.
    let of = format!("{channel}\0{}\0{}", table.name.schema, table.name.table);
    let name = names::numbered(&format!("{channel}_{}", table.name.table), &of);
    let truncate = names::numbered(&format!("{channel}_truncate"), &of);
    let truncate = identifier(&truncate);
    let function = format!("{}.{}", identifier(&table.name.schema), identifier(&name));
    let row = identifier(&name);
    let on = table.name.sql();
    write!(
        sql,
        "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql\n\
         SET search_path = pg_catalog SET DateStyle = 'ISO, MDY' SET IntervalStyle = 'postgres'\n\
         SET TimeZone = 'UTC' SET extra_float_digits = '3' SET bytea_output = 'hex'\n\
         AS {};\n\
         DROP TRIGGER IF EXISTS {row} ON {on};\n\
         CREATE TRIGGER {row} AFTER INSERT OR UPDATE OR DELETE ON {on}\n  \
         FOR EACH ROW EXECUTE FUNCTION {function}();\n\
         DROP TRIGGER IF EXISTS {truncate} ON {on};\n\
         CREATE TRIGGER {truncate} AFTER TRUNCATE ON {on}\n  \
         FOR EACH STATEMENT EXECUTE FUNCTION {function}();\n\n",
        dollar_quoted(&body(&table.key, channel)),
    )?;
    writeln!(
        removal,
        "-- DROP FUNCTION IF EXISTS {}() CASCADE;",
        comment(&function)
    )
}

/// What the function does. A payload must be shorter than 8,000 bytes; an empty one means that
/// everything may have changed.
fn body(key: &KeyTemplate, channel: &str) -> String {
    let channel = literal(channel);
    let notify = |key: &str| {
        format!(
            "    PERFORM pg_notify({channel}, CASE WHEN octet_length({key}) < 8000 THEN {key} ELSE '' END);\n"
        )
    };
    format!(
        "DECLARE\n  old_key text;\n  new_key text;\n\
         BEGIN\n  \
         IF TG_OP = 'TRUNCATE' THEN\n    \
         PERFORM pg_notify({channel}, '');\n    \
         RETURN NULL;\n  \
         END IF;\n  \
         IF TG_OP <> 'INSERT' THEN\n    old_key := {old};\n  END IF;\n  \
         IF TG_OP <> 'DELETE' THEN\n    new_key := {new};\n  END IF;\n  \
         IF old_key IS NOT NULL AND old_key IS DISTINCT FROM new_key THEN\n{tell_old}  END IF;\n  \
         IF new_key IS NOT NULL THEN\n{tell_new}  END IF;\n  \
         RETURN NULL;\n\
         END\n",
        old = expression(key, "OLD"),
        new = expression(key, "NEW"),
        tell_old = notify("old_key"),
        tell_new = notify("new_key"),
    )
}

/// A column as its type's output function writes it, which is the text that replication has.
/// `::text` writes `bool` and `inet` in another way, and is used for `char(n)` only, where it
/// leaves out blanks at the end. This function does not know whether a column is `char(n)`, also
/// because its type can be a domain.
fn text_of(column: &str) -> String {
    format!(
        "CASE WHEN {column} IS NULL THEN NULL \
         WHEN {column}::text COLLATE \"C\" = rtrim(format('%s', {column}), ' ') COLLATE \"C\" \
         THEN {column}::text ELSE format('%s', {column}) END"
    )
}

/// The template as an expression. It is `NULL` if one of the columns is.
fn expression(key: &KeyTemplate, row: &str) -> String {
    let parts = key.parts().iter().map(|part| match part {
        Part::Text(text) => literal(text),
        Part::Column(name) => {
            let column = format!("{row}.{}", identifier(name));
            format!("({})", text_of(&column))
        }
    });
    let parts: Vec<String> = parts.collect();
    parts.join(" || ")
}
