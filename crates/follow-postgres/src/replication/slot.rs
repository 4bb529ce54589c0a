//! The replication slot: where the server stores the confirmed position.

use super::prepare::first;
use crate::lsn::Lsn;
use crate::names::{identifier, literal};
use crate::wire::Connection;
use crate::{PostgresError, ServerError, SlotInUse};

/// The state of the slot.
#[derive(Debug)]
pub(super) enum State {
    /// It can be followed from here.
    Ready(Lsn),
    /// It does not exist.
    Missing,
    /// The server has invalidated it.
    Lost(String),
    /// Another connection holds it, or is creating it.
    InUse(SlotInUse),
}

/// `object_in_use`.
const IN_USE: &str = "55006";
/// `undefined_object`.
const UNDEFINED: &str = "42704";

/// Reads the state of the slot.
pub(super) async fn look(connection: &mut Connection, slot: &str) -> Result<State, PostgresError> {
    // Columns of later releases are looked up by name in the row's JSON.
    let sql = format!(
        "SELECT s.plugin, s.database = pg_catalog.current_database(), s.active_pid, \
         s.restart_lsn, s.confirmed_flush_lsn, pg_catalog.to_jsonb(s)->>'wal_status', \
         pg_catalog.to_jsonb(s)->>'invalidation_reason', pg_catalog.to_jsonb(s)->>'conflicting', \
         s.database, s.active, a.application_name, pg_catalog.host(a.client_addr) \
         FROM pg_catalog.pg_replication_slots s \
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = {}",
        literal(slot)
    );
    let Some(row) = first(connection, &sql).await? else {
        return Ok(State::Missing);
    };
    let column = |at: usize| row.get(at).and_then(Option::as_deref);
    if column(0) != Some("pgoutput") {
        return Err(PostgresError::Setup(format!(
            "the slot {slot} is of the plugin {}, and not of pgoutput: name another slot, or drop \
             it with SELECT pg_drop_replication_slot({});",
            column(0).unwrap_or("of physical replication"),
            literal(slot),
        )));
    }
    if column(1) != Some("t") {
        return Err(PostgresError::Setup(format!(
            "the slot {slot} is of the database {}: name another one",
            column(8).unwrap_or("?")
        )));
    }
    if column(9) == Some("t") {
        let filled = |at: usize| column(at).filter(|text| !text.is_empty());
        return Ok(State::InUse(SlotInUse {
            application: filled(10).map(Into::into),
            address: filled(11).map(Into::into),
            // A complete slot has a position.
            is_being_created: column(4).is_none(),
            ..in_use(slot, column(2))
        }));
    }
    let reason = match (column(5), column(6), column(7), column(3)) {
        (_, Some(reason), ..) => Some(reason.to_owned()),
        (Some("lost"), ..) => Some("it held back more log than max_slot_wal_keep_size".to_owned()),
        (_, _, Some("true"), _) => Some("it was in conflict with recovery".to_owned()),
        (_, _, _, None) => Some("its log is gone".to_owned()),
        _ => None,
    };
    if let Some(reason) = reason {
        return Ok(State::Lost(reason));
    }
    let confirmed = column(4).ok_or_else(|| PostgresError::protocol("a slot at no position"))?;
    let confirmed = confirmed.parse().map_err(PostgresError::Protocol)?;
    Ok(State::Ready(confirmed))
}

fn in_use(slot: &str, pid: Option<&str>) -> SlotInUse {
    SlotInUse {
        slot: slot.into(),
        pid: pid.and_then(|pid| pid.parse().ok()),
        ..SlotInUse::default()
    }
}

/// Creates the slot. The server waits for the running transactions.
pub(super) async fn create(connection: &mut Connection, slot: &str) -> Result<Lsn, PostgresError> {
    let sql = format!(
        "SELECT lsn FROM pg_catalog.pg_create_logical_replication_slot({}, 'pgoutput')",
        literal(slot)
    );
    let row = first(connection, &sql).await.map_err(explained)?;
    let lsn = row.and_then(|row| row.into_iter().next().flatten());
    let lsn = lsn.ok_or_else(|| PostgresError::protocol("a new slot at no position"))?;
    lsn.parse().map_err(PostgresError::Protocol)
}

/// Drops the slot.
pub(super) async fn drop(connection: &mut Connection, slot: &str) -> Result<(), PostgresError> {
    let sql = format!(
        "SELECT pg_catalog.pg_drop_replication_slot({})",
        literal(slot)
    );
    connection.query(&sql).await?;
    Ok(())
}

/// Adds advice to an error of creating or starting.
pub(super) fn explained(error: PostgresError) -> PostgresError {
    let PostgresError::Server(ServerError { code, message }) = &error else {
        return error;
    };
    let advice = match code.as_str() {
        "42501" => "give the user the attribute REPLICATION: ALTER ROLE … REPLICATION;",
        "53400" => "raise max_replication_slots, or drop an unused slot",
        _ => return error,
    };
    PostgresError::Setup(format!("PostgreSQL: {message} ({code}): {advice}"))
}

/// Whether the stream ended because the log was written while the publication did not exist. The
/// server looks up the catalog as of the place in the log that it reads.
pub(super) fn is_before(error: &PostgresError, publication: &str) -> bool {
    let PostgresError::Server(ServerError { code, message }) = error else {
        return false;
    };
    code == UNDEFINED && message.contains(publication)
}

/// The statement that starts the stream.
pub(super) fn start(slot: &str, publication: &str) -> String {
    format!(
        "START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {})",
        identifier(slot),
        // A list of names within a text. The grammar of this statement has no `E''`, and does not
        // need it.
        quoted(&identifier(publication)),
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Which connection has the slot, if that is why the stream did not start.
pub(super) fn is_taken(error: &PostgresError, slot: &str) -> Option<SlotInUse> {
    let PostgresError::Server(error) = error else {
        return None;
    };
    // "replication slot "x" is active for PID 7"
    let pid = error.message.rsplit(' ').next();
    (error.code == IN_USE).then(|| in_use(slot, pid))
}
