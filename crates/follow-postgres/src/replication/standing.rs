//! Checks that the set-up from the opening of the feed still holds: the publication is unchanged,
//! and no commit waits for this feed.

use super::prepare::first;
use crate::PostgresError;
use crate::names::{identifier, literal};
use crate::options::Table;
use crate::wire::Connection;

/// The set-up that is checked regularly while changes are followed.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    publication: String,
    slot: String,
    definition_sql: String,
}

impl Standing {
    pub(super) fn new(publication: &str, slot: &str, tables: &[Table]) -> Self {
        Self {
            publication: publication.into(),
            slot: slot.into(),
            definition_sql: definition_sql(publication, tables),
        }
    }

    /// The publication's settings for the tables, as a text to compare. It is empty if there is no
    /// publication.
    pub(super) async fn definition(
        &self,
        session: &mut Connection,
    ) -> Result<String, PostgresError> {
        let row = first(session, &self.definition_sql).await?;
        Ok(row
            .into_iter()
            .flatten()
            .flatten()
            .next()
            .unwrap_or_default())
    }

    /// Checks that the publication is unchanged.
    pub(super) async fn check_publication(
        &self,
        session: &mut Connection,
        was: &str,
    ) -> Result<(), PostgresError> {
        if self.definition(session).await? == was {
            return Ok(());
        }
        Err(PostgresError::Republished(self.publication.clone()))
    }

    /// Checks whether commits wait for this feed as for a standby.
    ///
    /// A commit would wait for the feed to confirm it, and the feed delays a change until its
    /// commit is visible. Few users can see the server's state of the connection, but every user
    /// can see the setting that it results from.
    pub(super) async fn check_synchronous(
        &self,
        session: &mut Connection,
    ) -> Result<(), PostgresError> {
        let sql = format!(
            "SELECT pg_catalog.current_setting('synchronous_standby_names'), \
             pg_catalog.current_setting('application_name'), \
             (SELECT w.sync_state FROM pg_catalog.pg_stat_replication w \
             JOIN pg_catalog.pg_replication_slots s ON s.active_pid = w.pid \
             WHERE s.slot_name = {})",
            literal(&self.slot)
        );
        let row = first(session, &sql).await?.unwrap_or_default();
        let column = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
        let (names, application, state) = (column(0), column(1), column(2));
        let is_chosen = matches!(state, "sync" | "quorum" | "potential");
        if !is_chosen && !is_standby(names, application) {
            return Ok(());
        }
        Err(PostgresError::Setup(format!(
            "synchronous_standby_names = '{names}' makes this feed a synchronous standby, so that \
             commits would wait for it: exclude application_name {application:?} from \
             synchronous_standby_names, which must not be '*', and reload the server's configuration"
        )))
    }
}

/// A row that is removed and added again has another number, even if everything else is the same.
fn definition_sql(publication: &str, tables: &[Table]) -> String {
    let names = tables.iter().map(|table| {
        let [schema, table] = [&table.name.schema, &table.name.table].map(|name| literal(name));
        format!("({schema}, {table})")
    });
    let names = names.collect::<Vec<_>>().join(", ");
    // Columns of later releases are looked up by name in the row's JSON. The view's list of
    // columns is not compared: without a list in the publication it is that of the table.
    format!(
        "SELECT pg_catalog.concat_ws(' ', p.oid, p.pubinsert, p.pubupdate, p.pubdelete, \
         p.pubtruncate, pg_catalog.to_jsonb(p)->>'pubviaroot', \
         (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(t.schemaname, t.tablename) \
         ORDER BY t.schemaname, t.tablename) FROM pg_catalog.pg_publication_tables t \
         WHERE t.pubname = p.pubname AND (t.schemaname, t.tablename) IN ({names})), \
         (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(r.oid, \
         pg_catalog.to_jsonb(r)->'prattrs', pg_catalog.to_jsonb(r)->'prqual') ORDER BY r.oid) \
         FROM pg_catalog.pg_publication_rel r \
         JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE r.prpubid = p.oid AND (n.nspname, c.relname) IN ({names}))) \
         FROM pg_catalog.pg_publication p WHERE p.pubname = {}",
        literal(publication)
    )
}

/// Whether a value of `synchronous_standby_names` names this application. It is a list of names,
/// or such a list in parentheses after `FIRST 1`, `ANY 1` or a number.
fn is_standby(setting: &str, application: &str) -> bool {
    let mut names = vec![String::new()];
    let mut is_quoted = false;
    for c in setting.chars() {
        match c {
            // A doubled quote ends a quoted part and begins another one, and is left out of the
            // name: no name that is compared here contains a quote.
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => names = vec![String::new()],
            ')' if !is_quoted => break,
            ',' if !is_quoted => names.push(String::new()),
            c if !is_quoted && c.is_whitespace() => {}
            c => {
                if let Some(name) = names.last_mut() {
                    name.push(c);
                }
            }
        }
    }
    let application = application.replace('"', "");
    names
        .iter()
        .any(|name| name == "*" || !name.is_empty() && name.eq_ignore_ascii_case(&application))
}

/// The statements to run if the slot began before its publication was created.
pub(super) fn renewal(slot: &str, publication: &str) -> String {
    let slot = literal(slot);
    format!(
        "the slot began before the publication {} was created, and cannot be followed. Run: \
         SELECT pg_drop_replication_slot({slot}); \
         SELECT pg_create_logical_replication_slot({slot}, 'pgoutput');",
        identifier(publication)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_named_alone_in_a_list_or_by_a_star() {
        for (setting, is_one) in [
            ("", false),
            ("*", true),
            ("\"*\"", true),
            ("other", false),
            ("other, \"Gaggle/Scores\"", true),
            ("FIRST 1 (other, \"gaggle/scores\")", true),
            ("ANY 2 (a, b, *)", true),
            ("2 (a, \"b, gaggle/scores\")", false),
            ("\"a(\", \"gaggle/scores\"", true),
            ("\"gaggle/scores2\"", false),
        ] {
            assert_eq!(is_standby(setting, "gaggle/scores"), is_one, "{setting}");
        }
        assert!(!is_standby("", ""));
    }
}
