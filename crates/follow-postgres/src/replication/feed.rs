//! The feed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gaggle_follow::{Batch, Feed, FeedError, Opened, Position};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::changes::Translator;
use super::prepare::{self, Found, Server};
use super::progress::Progress;
use super::stream::{Pace, Stream};
use super::visible::Gate;
use crate::lsn::Lsn;
use crate::options::{self, ReplicationOptions, Table};
use crate::wire::{Connection, Target};
use crate::{OptionsError, PostgresError, names};

/// How many batches wait for [`Feed::next`].
const WAITING: usize = 2;
/// How long [`Feed::close`] waits for the task, which itself waits for the server.
const CLOSE: Duration = Duration::from_millis(900);
const SHORTEST_STATUS_INTERVAL: Duration = Duration::from_millis(10);

/// Follows tables through a replication slot: no change is missed, also of a time in which nobody
/// followed.
pub struct ReplicationFeed {
    options: ReplicationOptions,
    target: Target,
    slot: String,
    tables: Vec<Table>,
    running: Option<Running>,
    /// Which server it was the last time.
    server: Option<Server>,
    /// Why changes were missed, until a position is confirmed: by then, whoever was told has dealt
    /// with it.
    missed: Option<String>,
}

/// A stream, the task that follows it, and the one that holds changes back. Both end when this is dropped.
struct Running {
    batches: mpsc::Receiver<Batch>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), PostgresError>>,
    gate: JoinHandle<Result<(), PostgresError>>,
    progress: Arc<Progress>,
}

impl ReplicationFeed {
    /// Checks the options. It connects when it is opened.
    ///
    /// # Errors
    ///
    /// If an option cannot be used: the URL, the name of the slot, a table or its key.
    pub fn new(options: ReplicationOptions, group: &str) -> Result<Self, OptionsError> {
        let password = options.password.as_deref();
        let target = Target::parse(&options.url, password, options.ca.as_deref())?;
        names::check("publication", &options.publication)?;
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
            tables: options::tables(&options.tables)?,
            options,
            running: None,
            server: None,
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

    fn running(&mut self) -> Result<&mut Running, FeedError> {
        let running = self.running.as_mut();
        running.ok_or_else(|| FeedError::new(PostgresError::NotOpen))
    }
}

/// What a session prints dates, numbers and bytes like, whatever the server's defaults are.
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
        // The slot is free for us only once our own task has let go of it.
        self.close().await;
        let limit = self.options.connect_timeout;
        let mut connection = Connection::open(&self.target, &SETTINGS, limit)
            .await
            .map_err(FeedError::new)?;
        let session = Connection::open(&self.target, &SETTINGS[1..], limit)
            .await
            .map_err(FeedError::new)?;
        let found = prepare::look(&mut connection, &self.options.publication, &self.tables)
            .await
            .map_err(FeedError::new)?;
        let differs = self
            .server
            .as_ref()
            .and_then(|s| found.server.differs_from(s));
        if differs.is_some() {
            self.missed = differs;
        }
        let confirmed = prepare::slot(
            &mut connection,
            &self.slot,
            self.options.create_slot,
            &mut self.missed,
        )
        .await?;
        self.server = Some(found.server.clone());
        prepare::start(&mut connection, &self.slot, &self.options.publication).await?;

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
            limit: pace.silence_timeout,
            from: handed,
            to: passed,
        };
        let (stop, stopped) = oneshot::channel();
        let translator = Translator::new(found.followed);
        let stream = Stream::new(connection, translator, pace, Arc::clone(&progress), sender);
        self.running = Some(Running {
            batches,
            stop,
            task: tokio::spawn(stream.run(stopped)),
            gate: tokio::spawn(gate.run()),
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
        // One of the tasks has ended, the other one is about to, and they tell why.
        let Some(Running { task, gate, .. }) = self.running.take() else {
            return Err(FeedError::new(PostgresError::NotOpen));
        };
        let ended = match gate.await {
            Ok(Ok(())) => task.await,
            failed => failed,
        };
        Err(match ended {
            Ok(Ok(())) => FeedError::new(PostgresError::Closed),
            Ok(Err(error)) => FeedError::new(error),
            Err(error) => FeedError::new(error),
        })
    }

    async fn confirm(&mut self, position: Position) -> Result<(), FeedError> {
        self.running()?.progress.confirm(Lsn(position.0));
        self.missed = None;
        Ok(())
    }

    async fn close(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        let Running {
            batches,
            stop,
            mut task,
            mut gate,
            ..
        } = running;
        drop(batches);
        // It is gone where the task has ended already.
        let _ = stop.send(());
        let ended = async { tokio::join!(&mut task, &mut gate) };
        if tokio::time::timeout(CLOSE, ended).await.is_err() {
            task.abort();
            gate.abort();
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
