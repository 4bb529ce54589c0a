//! From a connection to a stream: the checks, the slot, and the start.

use gaggle_follow::FeedError;

use super::changes::Followed;
use super::slot::{self, State};
use super::tables;
use crate::PostgresError;
use crate::lsn::Lsn;
use crate::options::Table;
use crate::wire::{Connection, Message, Row};

/// Which server it is, and which of its histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    system: String,
    timeline: String,
}

impl Server {
    /// Why changes may be missing, if it is not the one from before.
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

/// What was found out before the stream begins.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) server: Server,
    pub(super) end_of_log: Lsn,
    /// In milliseconds; 0 is none.
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

/// Looks at the server, the publication and the tables.
pub(super) async fn look(
    connection: &mut Connection,
    publication: &str,
    tables: &[Table],
) -> Result<Found, PostgresError> {
    let row = first(connection, "IDENTIFY_SYSTEM")
        .await
        .map_err(slot::explained)?;
    let mut row = row.unwrap_or_default().into_iter().flatten();
    let identified = (row.next(), row.next(), row.next());
    let (Some(system), Some(timeline), Some(end_of_log)) = identified else {
        return Err(PostgresError::protocol("no identity of its own"));
    };
    let settings = "SELECT pg_catalog.current_setting('wal_level'), s.setting \
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
    let via_root = tables::check_publication(connection, publication, tables).await?;
    let mut followed = Vec::with_capacity(tables.len());
    for table in tables {
        followed.push(tables::check(connection, publication, via_root, table).await?);
    }
    Ok(Found {
        server: Server { system, timeline },
        end_of_log: end_of_log.parse().map_err(PostgresError::Protocol)?,
        wal_sender_timeout: wal_sender_timeout.unwrap_or_default(),
        followed,
    })
}

/// Finds the slot or makes it. Where it is made, `missed` says so before there is one, so that this
/// is not forgotten if the future is dropped.
pub(super) async fn slot(
    connection: &mut Connection,
    slot: &str,
    create: bool,
    missed: &mut Option<String>,
) -> Result<Lsn, FeedError> {
    let state = slot::look(connection, slot).await.map_err(FeedError::new)?;
    let why = match &state {
        State::Ready(confirmed) => return Ok(*confirmed),
        State::InUse(in_use) => return Err(FeedError::held_elsewhere(in_use.clone())),
        State::Missing => format!("the slot {slot} is new"),
        State::Lost(reason) => format!("the slot {slot} was lost: {reason}"),
    };
    let is_lost = matches!(state, State::Lost(_));
    *missed = Some(why);
    if !create {
        let literal = crate::names::literal(slot);
        let dropped = format!("SELECT pg_drop_replication_slot({literal}); ");
        return Err(FeedError::new(PostgresError::Setup(format!(
            "{}. Run: {}SELECT pg_create_logical_replication_slot({literal}, 'pgoutput');",
            match state {
                State::Lost(reason) => format!("the slot {slot} was lost: {reason}"),
                _ => format!("there is no slot {slot}"),
            },
            if is_lost { dropped.as_str() } else { "" },
        ))));
    }
    if is_lost {
        slot::drop(connection, slot).await.map_err(FeedError::new)?;
    }
    slot::create(connection, slot).await.map_err(FeedError::new)
}

/// Starts the stream where the slot is.
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
