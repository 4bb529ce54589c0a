//! The task that owns the connection while changes stream in.
//!
//! It reads no further than a batch and the channel hold, so that a large transaction waits in the
//! server. Meanwhile it sends keepalives, since the server ends a connection that has sent nothing
//! for its `wal_sender_timeout`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BufMut as _;
use gaggle_follow::Change;
use postgres_protocol::message::frontend;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::batch::Pending;
use super::changes::Translator;
use super::progress::Progress;
use super::visible::Handed;
use crate::PostgresError;
use crate::lsn::Lsn;
use crate::pgoutput::{Logical, Streamed, table_of_row};
use crate::wire::{Connection, Message};

/// How long the server may take to end its side after the request to end.
const GOODBYE: Duration = Duration::from_millis(500);
/// The time between two answers to a server that asks again at once.
const BETWEEN_ANSWERS: Duration = Duration::from_millis(100);
/// For how long a server that shuts down waits for unconfirmed changes.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// More than the description of any table: 1,600 columns with names of 63 bytes.
const LONGEST_TABLE: usize = 128 << 10;
/// From 1970 to 2000, in seconds.
const EPOCH: u64 = 946_684_800;

/// How the stream is followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) max_batch: usize,
    pub(super) max_row: usize,
    pub(super) status_interval: Duration,
    pub(super) silence_timeout: Duration,
}

pub(super) struct Stream {
    connection: Connection,
    translator: Translator,
    pace: Pace,
    progress: Arc<Progress>,
    batches: mpsc::Sender<Handed>,
    pending: Pending,
    /// The transaction whose changes are arriving.
    transaction: Option<Transaction>,
    /// The end of the last transaction whose changes were returned.
    last_change: Lsn,
    /// The last position that was returned, or will be.
    reached: Lsn,
    /// Whether a position without changes has to be returned.
    is_position_due: bool,
    next_status: Instant,
    last_answer: Option<Instant>,
    insistence: Option<Insistence>,
    last_word: Instant,
    /// Why nothing more is read. Earlier changes are returned first.
    failed: Option<PostgresError>,
}

/// The server repeats its request for an answer: it wants to shut down, and waits until everything
/// that it has sent is confirmed.
#[derive(Debug)]
struct Insistence {
    at: Lsn,
    since: Instant,
    last: Instant,
}

#[derive(Debug, Default)]
struct Transaction {
    id: u32,
    commit: Lsn,
    committed: i64,
    has_changes: bool,
}

impl Stream {
    /// For a connection on which the server already streams.
    pub(super) fn new(
        mut connection: Connection,
        translator: Translator,
        pace: Pace,
        progress: Arc<Progress>,
        batches: mpsc::Sender<Handed>,
    ) -> Self {
        connection.keep_up_to(pace.max_row.max(LONGEST_TABLE));
        Self {
            connection,
            translator,
            pace,
            progress,
            batches,
            pending: Pending::new(pace.max_batch),
            transaction: None,
            last_change: Lsn::default(),
            reached: Lsn::default(),
            // The caller waits for the first position, if it has to be proved that nothing is
            // missing.
            is_position_due: true,
            next_status: Instant::now(),
            last_answer: None,
            insistence: None,
            last_word: Instant::now(),
            failed: None,
        }
    }

    /// Follows until it is stopped, or its batches have no receiver any more, or it fails. The
    /// server has usually released the slot when it returns.
    pub(super) async fn run(
        mut self,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<(), PostgresError> {
        let followed = self.follow(&mut stop).await;
        if followed.is_ok() {
            // The server need not send again what was confirmed last.
            self.tell(false).await?;
            frontend::copy_done(self.connection.outgoing());
            self.connection.end(GOODBYE).await;
        }
        followed
    }

    async fn follow(&mut self, stop: &mut oneshot::Receiver<()>) -> Result<(), PostgresError> {
        let batches = self.batches.clone();
        loop {
            // Messages that have arrived go into the same batch.
            while self.failed.is_none()
                && !self.pending.is_full()
                && let Some(message) = self.connection.buffered()?
            {
                match self.take(message).await {
                    Err(error @ PostgresError::Changed { .. }) => self.failed = Some(error),
                    taken => taken?,
                }
            }
            if !self.pending.has_changes()
                && let Some(error) = self.failed.take()
            {
                return Err(error);
            }
            let is_full = self.pending.is_full() || self.failed.is_some();
            let is_ready =
                self.pending.has_changes() || self.is_position_due && self.pending.has_position();
            tokio::select! {
                biased;
                _ = &mut *stop => return Ok(()),
                () = batches.closed() => return Ok(()),
                () = sleep_until(self.next_status) => {
                    self.is_position_due = true;
                    self.tell(true).await?;
                }
                () = self.progress.changed() => {
                    self.settle();
                    self.tell(false).await?;
                }
                permit = batches.reserve(), if is_ready => {
                    let Ok(permit) = permit else { return Ok(()) };
                    permit.send(self.pending.take());
                    self.is_position_due = false;
                    // Nothing was read while it was full.
                    if is_full {
                        self.last_word = Instant::now();
                    }
                }
                read = self.connection.fill(), if !is_full => {
                    read?;
                    self.last_word = Instant::now();
                }
                () = sleep_until(self.last_word + self.pace.silence_timeout), if !is_full => {
                    return Err(PostgresError::Silent(self.pace.silence_timeout));
                }
            }
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), PostgresError> {
        match message {
            Message::CopyData(data) => match Streamed::parse(&data)? {
                Streamed::Data { end, sent, data } => {
                    self.progress.heard(end);
                    self.apply(Logical::parse(data)?, end, sent)
                }
                Streamed::Keepalive { end, reply } => {
                    self.progress.heard(end);
                    if self.transaction.is_none() {
                        self.reach(end);
                    }
                    if reply {
                        self.answer(end).await?;
                    }
                    Ok(())
                }
            },
            Message::CopyDataCut { beginning, length } => {
                if let Streamed::Data { end, data, .. } = Streamed::parse(&beginning)? {
                    self.progress.heard(end);
                    self.skip(data, length)?;
                }
                Ok(())
            }
            Message::Error(error) => Err(PostgresError::Server(error)),
            Message::ReadyForQuery => Err(PostgresError::Closed),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, message: Logical<'_>, at: Lsn, sent: i64) -> Result<(), PostgresError> {
        match message {
            Logical::Begin {
                commit,
                committed,
                transaction,
            } => {
                self.transaction = Some(Transaction {
                    id: transaction,
                    commit,
                    committed,
                    has_changes: false,
                });
            }
            Logical::Commit { end } => {
                let ended = self.transaction.take();
                if ended.is_some_and(|transaction| transaction.has_changes) {
                    self.last_change = end;
                    self.reached = end;
                    self.pending.reach(end);
                    // Its last changes may have been returned already.
                    self.is_position_due = true;
                } else {
                    self.reach(end);
                }
            }
            change => {
                let commit = self.transaction.as_ref().map_or(at, |of| of.commit);
                let pending = &mut self.pending;
                let mut added = false;
                let applied = self.translator.apply(change, commit, &mut |change| {
                    pending.add(change);
                    added = true;
                });
                if added {
                    self.added(Some(sent));
                }
                applied?;
            }
        }
        Ok(())
    }

    /// A change of a row that was too long to be kept.
    fn skip(&mut self, beginning: &[u8], length: usize) -> Result<(), PostgresError> {
        let table = table_of_row(beginning)?;
        let table = table
            .ok_or_else(|| PostgresError::protocol(format!("{length} bytes that are not a row")))?;
        if self.translator.is_followed(table) {
            tracing::warn!(
                bytes = length,
                max_row = self.pace.max_row,
                "a change of a row is longer than max_row, and counts as a change of everything"
            );
            self.pending.add(Change::All);
            self.added(None);
        }
        Ok(())
    }

    fn added(&mut self, sent: Option<i64>) {
        if let Some(transaction) = &mut self.transaction {
            transaction.has_changes = true;
            self.pending.of(transaction.id);
            self.pending.interrupt();
            if let Some(sent) = sent {
                let age = sent.saturating_sub(transaction.committed);
                let age = u64::try_from(age).unwrap_or_default();
                self.pending.aged(Duration::from_micros(age));
            }
        }
    }

    /// The log has nothing for this feed up to here.
    fn reach(&mut self, end: Lsn) {
        if end > self.reached {
            self.reached = end;
            self.pending.reach(end);
            self.settle();
        }
    }

    /// If every returned change has been confirmed, the log after the last one needs no
    /// confirmation from the caller. So an idle database frees its log, and a server that shuts
    /// down, which waits until this feed has everything, does not wait long.
    fn settle(&mut self) {
        if self.transaction.is_none()
            && self.progress.is_proven()
            && self.progress.confirmed() >= self.last_change
            && let Some(position) = self.pending.take_position()
        {
            self.progress.advance(position);
        }
    }

    /// The server requests an answer. A server that shuts down requests another one as soon as it
    /// is answered, until everything is confirmed. The feed does not delay the shutdown for long:
    /// unconfirmed changes are sent again later.
    async fn answer(&mut self, end: Lsn) -> Result<(), PostgresError> {
        let now = Instant::now();
        let before = self.insistence.take();
        let before = before.filter(|b| b.at == end && now < b.last + 10 * BETWEEN_ANSWERS);
        let since = before.map_or(now, |before| before.since);
        if now > since + SHUTDOWN {
            return Err(PostgresError::ShuttingDown);
        }
        self.insistence = Some(Insistence {
            at: end,
            since,
            last: now,
        });
        match self.last_answer {
            Some(last) if now < last + BETWEEN_ANSWERS => {
                self.next_status = self.next_status.min(last + BETWEEN_ANSWERS);
                Ok(())
            }
            _ => {
                self.last_answer = Some(now);
                self.tell(false).await
            }
        }
    }

    /// Reports the progress to the server.
    async fn tell(&mut self, ask: bool) -> Result<(), PostgresError> {
        let flushed = self.progress.confirmed().0;
        let written = self.progress.sent().0.max(flushed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now
            .unwrap_or_default()
            .saturating_sub(Duration::from_secs(EPOCH));
        let out = self.connection.outgoing();
        out.put_u8(b'd');
        out.put_u32(4 + 34);
        out.put_u8(b'r');
        out.put_u64(written);
        out.put_u64(flushed);
        out.put_u64(flushed);
        out.put_u64(u64::try_from(now.as_micros()).unwrap_or_default());
        out.put_u8(ask.into());
        let limit = self.pace.silence_timeout;
        let told = tokio::time::timeout(limit, self.connection.flush()).await;
        told.map_err(|_| PostgresError::Silent(limit))??;
        self.next_status = Instant::now() + self.pace.status_interval;
        Ok(())
    }
}
