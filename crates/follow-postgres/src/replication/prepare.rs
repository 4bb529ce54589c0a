//! From a connection to a stream: the checks, the slot, and the start.

use gaggle_follow::FeedError;

use super::changes::Followed;
use super::slot::{self, State};
use super::{standing, tables};
use crate::PostgresError;
use crate::lsn::Lsn;
use crate::options::Table;
use crate::wire::{Connection, Message, Row};

/// The identity of the server, and its timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    system: String,
    timeline: String,
}

impl Server {
    /// Why changes may be missing, if it is not the same as before.
    pub(super) fn differs_from(&self, before: &Self) -> Option<String> {
        if self.system != before.system {
            return Some(format!(
                "this is another server: its system identifier is {}, and was {}",
                self.system, before.system
            ));
        }
        (self.timeline != before.timeline).then(|| {
            format!(
                "the server was promoted or restored: its timeline is {}, and was {}",
                self.timeline, before.timeline
            )
        })
    }
}

/// The results of the checks before the stream begins.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) server: Server,
    pub(super) end_of_log: Lsn,
    /// Changes committed before here are older than the tables' known shapes. The log reaches
    /// further than the part on disk, and only that part is sent.
    pub(super) looked_at: Lsn,
    /// In milliseconds; 0 means none.
    pub(super) wal_sender_timeout: u64,
    pub(super) followed: Vec<Followed>,
}

/// The first row of a query.
pub(super) async fn first(
    connection: &mut Connection,
    sql: &str,
) -> Result<Option<Row>, PostgresError> {
    Ok(connection.query(sql).await?.into_iter().next())
}

/// Checks the server, the publication and the tables. It sets `missed` if the publication leaves
/// out something that is followed: the changes of that time are not sent, even after it is fixed.
pub(super) async fn look(
    connection: &mut Connection,
    publication: &str,
    tables: &[Table],
    missed: &mut Option<String>,
) -> Result<Found, PostgresError> {
    let row = first(connection, "IDENTIFY_SYSTEM")
        .await
        .map_err(slot::explained)?;
    let mut row = row.unwrap_or_default().into_iter().flatten();
    let identified = (row.next(), row.next(), row.next());
    let (Some(system), Some(timeline), Some(end_of_log)) = identified else {
        return Err(PostgresError::protocol("no identity of its own"));
    };
    let settings = "SELECT pg_catalog.current_setting('wal_level'), s.setting, \
                    CASE WHEN pg_catalog.pg_is_in_recovery() \
                    THEN pg_catalog.pg_last_wal_replay_lsn() \
                    ELSE pg_catalog.pg_current_wal_insert_lsn() END \
                    FROM pg_catalog.pg_settings s WHERE s.name = 'wal_sender_timeout'";
    let row = first(connection, settings).await?.unwrap_or_default();
    let column = |at: usize| row.get(at).and_then(Option::as_deref);
    let wal_level = column(0).unwrap_or_default();
    if wal_level != "logical" {
        return Err(PostgresError::Setup(format!(
            "the server's wal_level is {wal_level}: set wal_level = logical in postgresql.conf, and \
             restart the server"
        )));
    }
    let wal_sender_timeout = column(1).and_then(|timeout| timeout.parse().ok());
    let looked_at = column(2).unwrap_or(&end_of_log);
    let looked_at = looked_at.parse().map_err(PostgresError::Protocol)?;
    let followed = followed(connection, publication, tables).await;
    if let Err(PostgresError::Setup(problem)) = &followed {
        *missed = Some(format!("changes were not published for a time: {problem}"));
    }
    Ok(Found {
        server: Server { system, timeline },
        end_of_log: end_of_log.parse().map_err(PostgresError::Protocol)?,
        looked_at,
        wal_sender_timeout: wal_sender_timeout.unwrap_or_default(),
        followed: followed?,
    })
}

async fn followed(
    connection: &mut Connection,
    publication: &str,
    tables: &[Table],
) -> Result<Vec<Followed>, PostgresError> {
    let via_root = tables::check_publication(connection, publication, tables).await?;
    let mut followed = Vec::with_capacity(tables.len());
    for table in tables {
        followed.push(tables::check(connection, publication, via_root, table).await?);
    }
    Ok(followed)
}

/// The requirements on the slot.
pub(super) struct Wanted<'a> {
    pub(super) slot: &'a str,
    pub(super) publication: &'a str,
    /// Whether a slot is created if there is none that can be followed.
    pub(super) create: bool,
    /// Whether the existing slot began before the publication was created.
    pub(super) is_too_old: bool,
}

/// Finds the slot or creates it. If it creates one, it sets `missed` first, so that this is not
/// lost if the future is dropped.
pub(super) async fn slot(
    connection: &mut Connection,
    wanted: &Wanted<'_>,
    missed: &mut Option<String>,
) -> Result<Lsn, FeedError> {
    let Wanted { slot, create, .. } = *wanted;
    let state = slot::look(connection, slot).await.map_err(FeedError::new)?;
    let why = match &state {
        State::Ready(_) if wanted.is_too_old => format!(
            "the slot {slot} began before the publication {} was created",
            wanted.publication
        ),
        State::Ready(confirmed) => return Ok(*confirmed),
        State::InUse(in_use) => {
            if in_use.is_being_created {
                // Once created, the slot looks as if it had been followed. An earlier `open` may
                // have been dropped while the server waited.
                *missed = Some(format!("the slot {slot} is new"));
            }
            return Err(FeedError::held_elsewhere(in_use.clone()));
        }
        State::Missing => format!("the slot {slot} is new"),
        State::Lost(reason) => format!("the slot {slot} was lost: {reason}"),
    };
    let is_there = matches!(state, State::Lost(_) | State::Ready(_));
    *missed = Some(why);
    if !create && matches!(state, State::Ready(_)) {
        let advice = standing::renewal(slot, wanted.publication);
        return Err(FeedError::new(PostgresError::Setup(advice)));
    }
    if !create {
        let literal = crate::names::literal(slot);
        let dropped = format!("SELECT pg_drop_replication_slot({literal}); ");
        return Err(FeedError::new(PostgresError::Setup(format!(
            "{}. Run: {}SELECT pg_create_logical_replication_slot({literal}, 'pgoutput');",
            match state {
                State::Lost(reason) => format!("the slot {slot} was lost: {reason}"),
                _ => format!("there is no slot {slot}"),
            },
            if is_there { dropped.as_str() } else { "" },
        ))));
    }
    if is_there {
        slot::drop(connection, slot).await.map_err(FeedError::new)?;
    }
    slot::create(connection, slot).await.map_err(FeedError::new)
}

/// Starts the stream at the slot's position.
pub(super) async fn start(
    connection: &mut Connection,
    slot: &str,
    publication: &str,
) -> Result<(), FeedError> {
    let started = async {
        connection.ask(&slot::start(slot, publication))?;
        connection.flush().await?;
        loop {
            match connection.next().await? {
                Message::CopyBoth => return Ok(()),
                Message::Error(error) => return Err(PostgresError::Server(error)),
                Message::ReadyForQuery => return Err(PostgresError::Closed),
                _ => {}
            }
        }
    };
    started
        .await
        .map_err(|error| match slot::is_taken(&error, slot) {
            Some(in_use) => FeedError::held_elsewhere(in_use),
            None => FeedError::new(slot::explained(error)),
        })
}
