//! The feed.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gaggle_follow::{Batch, Feed, FeedError, Opened, Position};
use tokio::sync::{mpsc, oneshot};

use super::changes::Translator;
use super::prepare::{self, Found, Server, Wanted};
use super::progress::Progress;
use super::running::{Running, Work};
use super::slot;
use super::standing::Standing;
use super::stream::{Pace, Stream};
use super::visible::Gate;
use crate::lsn::Lsn;
use crate::options::{self, ReplicationOptions, Table};
use crate::wire::{Connection, Target};
use crate::{OptionsError, PostgresError, names};

/// The most batches that wait for [`Feed::next`].
const WAITING: usize = 2;
const SHORTEST_STATUS_INTERVAL: Duration = Duration::from_millis(10);
/// How long an answer to a short query may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// Follows tables through a replication slot: no change is missed, even from a time without a
/// follower.
pub struct ReplicationFeed {
    options: ReplicationOptions,
    target: Target,
    slot: String,
    publication: String,
    tables: Vec<Table>,
    running: Option<Running>,
    /// The state at the last opening.
    before: Option<Before>,
    /// Whether the slot began before the publication was created.
    is_too_old: bool,
    /// Why changes were missed. It is kept until a position is confirmed, since by then the caller
    /// has handled it.
    missed: Option<String>,
}

/// The state of the set-up: if it differs at the next opening, changes were missed.
struct Before {
    server: Server,
    /// The publication's settings for the tables.
    definition: String,
    /// The tables' numbers, by their names.
    tables: HashMap<String, u32>,
}

impl Before {
    fn of(found: &Found, definition: &str) -> Self {
        let tables = found.followed.iter();
        Self {
            server: found.server.clone(),
            definition: definition.into(),
            tables: tables.map(|f| (f.table.name.to_string(), f.oid)).collect(),
        }
    }

    /// Why changes may be missing, if something else is followed now.
    fn differs(&self, now: &Self) -> Option<String> {
        if let Some(differs) = now.server.differs_from(&self.server) {
            return Some(differs);
        }
        let is_other = |(name, oid): &(&String, &u32)| self.tables.get(*name) != Some(*oid);
        if let Some((name, _)) = now.tables.iter().find(is_other) {
            return Some(format!("another table has the name {name} now"));
        }
        (self.definition != now.definition).then(|| "the publication was changed".into())
    }
}

impl ReplicationFeed {
    /// Checks the options. It connects when it is opened.
    ///
    /// # Errors
    ///
    /// If an option cannot be used: the URL, the name of the slot, a table or its key.
    pub fn new(options: ReplicationOptions, group: &str) -> Result<Self, OptionsError> {
        let password = options.password.as_deref();
        let target = Target::parse(&options.url, password, options.ca.as_deref())?
            .of_group(group, options.password_file.as_deref())?;
        if options.max_batch == 0 {
            return Err(OptionsError::new("max_batch", "expected 1 or more"));
        }
        if options.status_interval < SHORTEST_STATUS_INTERVAL {
            return Err(OptionsError::new(
                "status_interval",
                "expected 10 ms or more",
            ));
        }
        Ok(Self {
            target,
            slot: names::slot(&options.slot, group)?,
            publication: names::publication(&options.publication, group)?,
            tables: options::tables(&options.tables)?,
            options,
            running: None,
            before: None,
            is_too_old: false,
            missed: None,
        })
    }

    /// The name of the replication slot.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    fn pace(&self, found: &Found) -> Pace {
        let mut status_interval = self.options.status_interval;
        if found.wal_sender_timeout > 0 {
            let longest = Duration::from_millis(found.wal_sender_timeout) / 3;
            if status_interval > longest {
                tracing::warn!(
                    ?status_interval,
                    ?longest,
                    "status_interval is too long for the server's wal_sender_timeout; it is shortened"
                );
                status_interval = longest.max(SHORTEST_STATUS_INTERVAL);
            }
        }
        Pace {
            max_batch: self.options.max_batch,
            max_row: self.options.max_row,
            status_interval,
            silence_timeout: self.options.silence_timeout.max(3 * status_interval),
        }
    }

    /// The name of the publication.
    #[must_use]
    pub fn publication(&self) -> &str {
        &self.publication
    }

    /// Remembers what an error means for the next opening.
    fn note(&mut self, error: &FeedError) {
        let Some(error) = error.source().and_then(|source| source.downcast_ref()) else {
            return;
        };
        match error {
            PostgresError::Republished(_) | PostgresError::Changed { .. } => {
                self.missed = Some(error.to_string());
            }
            error if slot::is_before(error, &self.publication) => self.is_too_old = true,
            _ => {}
        }
    }

    /// Checks the server and its set-up, and remembers it.
    async fn look(
        &mut self,
        connection: &mut Connection,
        session: &mut Connection,
        standing: &Standing,
    ) -> Result<(Found, String), PostgresError> {
        // This comes first, so that any later change is noticed.
        let definition = standing.definition(session).await?;
        let found = prepare::look(
            connection,
            &self.publication,
            &self.tables,
            &mut self.missed,
        );
        let found = found.await?;
        standing.check_synchronous(session).await?;
        let now = Before::of(&found, &definition);
        let differs = self.before.as_ref().and_then(|before| before.differs(&now));
        if differs.is_some() {
            self.missed = differs;
        }
        self.before = Some(now);
        Ok((found, definition))
    }

    fn running(&mut self) -> Result<&mut Running, FeedError> {
        let running = self.running.as_mut();
        running.ok_or_else(|| FeedError::new(PostgresError::NotOpen))
    }
}

/// How a session prints dates, numbers and bytes, whatever the server's defaults are.
const SETTINGS: [(&str, &str); 7] = [
    ("replication", "database"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("search_path", "pg_catalog"),
];

#[async_trait]
impl Feed for ReplicationFeed {
    async fn open(&mut self) -> Result<Opened, FeedError> {
        // The slot is free only once this feed's own task has released it.
        self.close().await;
        let limit = self.options.connect_timeout;
        let mut connection = Connection::open(&self.target, &SETTINGS, limit)
            .await
            .map_err(FeedError::new)?;
        let mut session = Connection::open(&self.target, &SETTINGS[1..], limit)
            .await
            .map_err(FeedError::new)?;
        let standing = Standing::new(&self.publication, &self.slot, &self.tables);
        let (found, definition) = self
            .look(&mut connection, &mut session, &standing)
            .await
            .map_err(FeedError::new)?;
        let wanted = Wanted {
            slot: &self.slot,
            publication: &self.publication,
            create: self.options.create_slot,
            is_too_old: self.is_too_old,
        };
        let confirmed = prepare::slot(&mut connection, &wanted, &mut self.missed).await;
        if !matches!(&confirmed, Err(error) if error.is_held_elsewhere()) {
            // The advice is given once. An operator who followed it has made another slot.
            self.is_too_old = false;
        }
        let confirmed = confirmed?;
        let started = prepare::start(&mut connection, &self.slot, &self.publication).await;
        if let Err(error) = &started {
            self.note(error);
        }
        started?;
        // The server now reports how it classifies the connection.
        standing
            .check_synchronous(&mut session)
            .await
            .map_err(FeedError::new)?;

        let pace = self.pace(&found);
        let progress = Arc::new(Progress::new(
            confirmed,
            found.end_of_log,
            self.missed.is_none(),
        ));
        let (sender, handed) = mpsc::channel(WAITING);
        let (passed, batches) = mpsc::channel(1);
        let gate = Gate {
            connection: session,
            limit: pace.silence_timeout.min(LONGEST_ANSWER),
            interval: pace.status_interval,
            standing,
            definition,
            from: handed,
            to: passed,
        };
        let (stop, stopped) = oneshot::channel();
        let translator = Translator::new(found.followed, found.looked_at);
        let stream = Stream::new(connection, translator, pace, Arc::clone(&progress), sender);
        self.running = Some(Running {
            batches,
            stop: Some(stop),
            stream: Work::start(stream.run(stopped)),
            gate: Work::start(gate.run()),
            progress,
        });
        Ok(match &self.missed {
            Some(missed) => Opened::Missed(missed.clone()),
            None => Opened::Complete,
        })
    }

    async fn next(&mut self) -> Result<Batch, FeedError> {
        let running = self.running()?;
        if let Some(batch) = running.batches.recv().await {
            return Ok(batch);
        }
        // One of the tasks has ended, the other is about to, and they report why. Their results
        // are kept if this future is dropped.
        running.wait().await;
        let failures = self.running.take().map(Running::failures);
        let failures = failures.unwrap_or_default();
        for failure in &failures {
            self.note(failure);
        }
        let cause = failures.into_iter().next();
        Err(cause.unwrap_or_else(|| FeedError::new(PostgresError::Closed)))
    }

    async fn confirm(&mut self, position: Position) -> Result<(), FeedError> {
        self.running()?.progress.confirm(Lsn(position.0));
        self.missed = None;
        Ok(())
    }

    async fn close(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.stop();
        running.wait().await;
        for failure in running.failures() {
            self.note(&failure);
        }
    }

    fn behind_bytes(&self) -> Option<u64> {
        self.running
            .as_ref()
            .map(|running| running.progress.behind())
    }
}

impl fmt::Debug for ReplicationFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicationFeed")
            .field("server", &format_args!("{}", self.target))
            .field("slot", &self.slot)
            .field("is_open", &self.running.is_some())
            .finish_non_exhaustive()
    }
}
