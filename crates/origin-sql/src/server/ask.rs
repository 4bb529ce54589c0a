//! A statement, and the fate of its connection.

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::Key;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::failure::Trouble;
use super::pool::Lease;
use super::reserved::Reserved;
use super::{Dialect, Kind, Row};

/// How much longer than the server's own limit the client waits for a statement.
const BEYOND: Duration = Duration::from_secs(2);
/// How long a statement without a waiter may continue, so that its connection can be used again.
const PATIENCE: Duration = Duration::from_millis(100);

/// The rows of a statement, and the bytes reserved for them.
pub(super) type Answer = (Result<Vec<Row>, Trouble>, Option<Reserved>);

/// Runs a statement in a task of its own, so that its connection is never returned in the middle
/// of it, even if the load is dropped. The reserved bytes stay reserved until the statement has
/// ended.
pub(super) async fn look_up<D: Dialect>(
    lease: Lease<D>,
    lookup: Arc<D>,
    keys: Arc<[Key]>,
    room: u64,
    limit: Duration,
    reserved: Option<Reserved>,
) -> Answer {
    let (answering, answer) = oneshot::channel();
    tokio::spawn(run(lease, lookup, keys, room, limit, reserved, answering));
    // The task answers unless the runtime is shutting down.
    answer.await.unwrap_or((Err(Trouble::Ended), None))
}

async fn run<D: Dialect>(
    mut lease: Lease<D>,
    lookup: Arc<D>,
    keys: Arc<[Key]>,
    room: u64,
    limit: Duration,
    reserved: Option<Reserved>,
    mut answering: oneshot::Sender<Answer>,
) {
    let ends_when_closed = D::ends_when_closed(&lease.connection);
    let waited = limit + BEYOND;
    let asked = async {
        lease.limit(limit).await?;
        lookup.look_up(&mut lease.connection, &keys, room).await
    };
    let outcome = tokio::select! {
        biased;
        outcome = timeout(waited, asked) => outcome,
        ends_within = abandoned(&mut answering, ends_when_closed) => {
            return lease.abandon(ends_within).await;
        }
    };
    let outcome = match outcome {
        Ok(Ok(rows)) => {
            lease.give_back();
            Ok(rows)
        }
        Ok(Err(error)) => {
            let trouble = Trouble::Failed(error);
            if trouble.kind::<D>() == Kind::Broken {
                drop(lease);
            } else {
                lease.give_back();
            }
            Err(trouble)
        }
        Err(_) => {
            lease.close();
            Err(Trouble::TooLong(waited))
        }
    };
    // The load may have been dropped; the connection has been returned or closed.
    let _ = answering.send((outcome, reserved));
}

/// Waits until the load is dropped, if closing the connection makes the server end the statement;
/// returns the time within which it does.
async fn abandoned(
    answering: &mut oneshot::Sender<Answer>,
    ends_when_closed: Option<Duration>,
) -> Duration {
    let Some(ends_within) = ends_when_closed else {
        return std::future::pending().await;
    };
    answering.closed().await;
    sleep(PATIENCE).await;
    ends_within
}
