//! Delays changes until every session can see them.
//!
//! The server writes a commit to its log, and sends it, before other transactions see it: usually
//! a moment before, and with synchronous replication as long as a standby takes. A key that is
//! removed in between would be loaded with its old value, and nothing would remove that value.

use std::time::Duration;

use gaggle_follow::Batch;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::standing::Standing;
use crate::PostgresError;
use crate::wire::Connection;

/// The pauses between two checks: each is twice as long as the previous one.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// After this time, and again after the same time, it checks whether the commit waits for this
/// feed.
const WORTH_A_LOOK: Duration = Duration::from_secs(1);
/// After this time it is logged.
const LONG: Duration = Duration::from_secs(10);
/// How long the server may take to end its side.
const GOODBYE: Duration = Duration::from_millis(500);

/// A batch, and the transactions of its changes.
pub(super) struct Handed {
    pub(super) batch: Batch,
    pub(super) transactions: Vec<u32>,
}

/// Passes batches on, each once its transactions are visible.
pub(super) struct Gate {
    /// An ordinary session, since the one that streams takes no queries.
    pub(super) connection: Connection,
    /// How long the server may take to answer.
    pub(super) limit: Duration,
    /// How often the session is used while no change arrives: a device on the network path may
    /// drop an idle connection, and the first change would wait until that is noticed.
    pub(super) interval: Duration,
    pub(super) standing: Standing,
    /// The publication when the feed was opened.
    pub(super) definition: String,
    pub(super) from: mpsc::Receiver<Handed>,
    pub(super) to: mpsc::Sender<Batch>,
}

impl Gate {
    /// Runs until no more batches arrive, or no receiver takes them.
    pub(super) async fn run(mut self) -> Result<(), PostgresError> {
        let to = self.to.clone();
        let passed = tokio::select! {
            passed = self.pass() => passed,
            () = to.closed() => Ok(()),
        };
        if passed.is_ok() {
            self.connection.end(GOODBYE).await;
        }
        passed
    }

    async fn pass(&mut self) -> Result<(), PostgresError> {
        let to = self.to.clone();
        let mut next_look = Instant::now() + self.interval;
        let mut ready: Option<Batch> = None;
        loop {
            // The checks continue while no batch is taken.
            tokio::select! {
                biased;
                () = sleep_until(next_look) => {
                    self.look().await?;
                    next_look = Instant::now() + self.interval;
                }
                permit = to.reserve(), if ready.is_some() => {
                    let Ok(permit) = permit else { return Ok(()) };
                    if let Some(batch) = ready.take() {
                        permit.send(batch);
                    }
                }
                handed = self.from.recv(), if ready.is_none() => {
                    let Some(handed) = handed else { return Ok(()) };
                    if !handed.transactions.is_empty() {
                        self.until_visible(&handed.transactions).await?;
                    }
                    ready = Some(handed.batch);
                }
            }
        }
    }

    /// Checks that the set-up still holds.
    async fn look(&mut self) -> Result<(), PostgresError> {
        let Self {
            connection,
            standing,
            definition,
            ..
        } = self;
        let looked = timeout(self.limit, async {
            standing.check_publication(connection, definition).await?;
            standing.check_synchronous(connection).await
        });
        looked
            .await
            .map_err(|_| PostgresError::Silent(self.limit))?
    }

    async fn until_visible(&mut self, transactions: &[u32]) -> Result<(), PostgresError> {
        let since = Instant::now();
        let (mut pause, mut is_told) = (FIRST_PAUSE, false);
        let mut look_at = since + WORTH_A_LOOK;
        loop {
            let asked = timeout(self.limit, self.snapshot()).await;
            let snapshot = asked.map_err(|_| PostgresError::Silent(self.limit))??;
            if transactions.iter().all(|id| snapshot.sees(*id)) {
                return Ok(());
            }
            if Instant::now() >= look_at {
                // A reload can have made this feed a synchronous standby. It would wait for a
                // commit that waits for it.
                self.look().await?;
                look_at = Instant::now() + WORTH_A_LOOK;
            }
            if since.elapsed() > LONG && !is_told {
                is_told = true;
                tracing::warn!(
                    "a commit is in the server's log and cannot be seen yet; does it wait for a synchronous standby?"
                );
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PostgresError> {
        let sql = "SELECT pg_catalog.txid_current_snapshot()";
        let rows = self.connection.query(sql).await?;
        let text = rows.into_iter().flatten().flatten().next();
        let snapshot = text.as_deref().and_then(Snapshot::parse);
        snapshot.ok_or_else(|| PostgresError::protocol("no snapshot"))
    }
}

/// What a transaction that begins now sees. It has the lower half of each number, as the log does.
#[derive(Debug, PartialEq, Eq)]
struct Snapshot {
    /// The first transaction that has not begun.
    next: u32,
    running: Vec<u32>,
}

impl Snapshot {
    /// Reads `xmin:xmax:running,running`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (_, next, running) = (parts.next()?, parts.next()?, parts.next()?);
        let running = running.split(',').filter(|id| !id.is_empty());
        Some(Self {
            next: lower_half(next)?,
            running: running.map(lower_half).collect::<Option<_>>()?,
        })
    }

    /// Numbers wrap around: for each number, half of all others are before it, and half are after
    /// it.
    fn sees(&self, transaction: u32) -> bool {
        let has_begun = transaction.wrapping_sub(self.next) > u32::MAX / 2;
        has_begun && !self.running.contains(&transaction)
    }
}

fn lower_half(id: &str) -> Option<u32> {
    let id: u64 = id.parse().ok()?;
    u32::try_from(id & u64::from(u32::MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_sees_what_has_ended_before_it() {
        let snapshot = Snapshot::parse("100:105:100,103").unwrap();
        let seen: Vec<_> = (98..108).filter(|id| snapshot.sees(*id)).collect();
        assert_eq!(seen, [98, 99, 101, 102, 104]);
        assert_eq!(Snapshot::parse("7:7:").unwrap().running, []);
    }

    #[test]
    fn numbers_may_have_come_round() {
        let round = 3_u64 << 32;
        let text = format!("{}:{}:{}", round - 2, round + 1, round - 1);
        let snapshot = Snapshot::parse(&text).unwrap();
        let ids = [u32::MAX - 1, u32::MAX, 0, 1, 2];
        assert_eq!(
            ids.map(|id| snapshot.sees(id)),
            [true, false, true, false, false]
        );
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for text in ["", "1", "1:2", "x:y:", "1:2:z", "1:-2:"] {
            assert_eq!(Snapshot::parse(text), None, "{text}");
        }
    }
}
