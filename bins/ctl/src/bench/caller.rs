//! Callers: each has one request under way.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time;

use super::connection::{Connection, FrontDoor};
use super::keys::Keys;
use super::recorder::{End, Lost, Recorders};
use super::schedule::{Schedule, Slot};
use super::value::Value;
use crate::outcome::Failure;

/// In a closed loop, the wait after a connection that could not be made: failures are quick, and
/// would be most of the load.
const PAUSE: Duration = Duration::from_millis(10);

/// The shared state of all callers.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) doors: Vec<Arc<FrontDoor>>,
    pub(super) timeout: Duration,
    /// The size of the values that are to be verified.
    pub(super) verify: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Caller {
    number: usize,
    plan: Arc<Plan>,
    /// One for each front door, opened when it is needed.
    connections: Vec<Connection>,
    keys: Keys,
}

impl Caller {
    fn new(number: usize, plan: &Arc<Plan>, keys: Keys) -> Self {
        let connections = plan.doors.iter().cloned().map(Connection::new).collect();
        Self {
            number,
            plan: Arc::clone(plan),
            connections,
            keys,
        }
    }

    /// As many as there are connections to each front door.
    pub(super) fn many(count: u16, plan: &Arc<Plan>, keys: &mut Keys) -> Vec<Self> {
        (0..count.into())
            .map(|number| Self::new(number, plan, keys.fork()))
            .collect()
    }

    /// Takes requests until there are no more.
    async fn call(mut self, schedule: Arc<Schedule>, recorders: Arc<Recorders>) -> Self {
        while let Some(slot) = schedule.next().await {
            let end = self.serve(slot).await;
            recorders.record(self.number, slot.due, Instant::now(), &end);
            if matches!(end, End::Lost(Lost::Connect(_))) && !schedule.is_open() {
                time::sleep(PAUSE).await;
            }
        }
        self
    }

    async fn serve(&mut self, slot: Slot) -> End {
        let Plan {
            timeout, verify, ..
        } = *self.plan;
        if slot.due.elapsed() > timeout {
            return End::Lost(Lost::Late);
        }
        let number = self.keys.draw();
        let key = self.keys.key(number);
        let value = verify.map(|size| Value::of(key.as_bytes(), size));
        let target = self.keys.target(number);
        // By the request's number, not the caller's: a node that stalls still gets its share.
        let door = slot.number % self.connections.len() as u64;
        let Some(connection) = usize::try_from(door)
            .ok()
            .and_then(|door| self.connections.get_mut(door))
        else {
            return End::Lost(Lost::Connect(ErrorKind::NotFound));
        };
        connection.get(&target, &key, value, timeout).await
    }
}

/// Makes the callers send all that is scheduled. They and their connections stay for the next
/// schedule.
pub(super) async fn run(
    callers: Vec<Caller>,
    schedule: &Arc<Schedule>,
    recorders: &Arc<Recorders>,
) -> Result<Vec<Caller>, Failure> {
    if schedule.is_open() {
        let schedule = Arc::clone(schedule);
        thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(move || schedule.pace())
            .map_err(|error| Failure::Failed(format!("no thread for the pace: {error}")))?;
    }
    let mut calling = JoinSet::new();
    for caller in callers {
        calling.spawn(caller.call(Arc::clone(schedule), Arc::clone(recorders)));
    }
    let mut callers = Vec::with_capacity(calling.len());
    while let Some(caller) = calling.join_next().await {
        callers.push(
            caller.map_err(|error| Failure::Failed(format!("a caller ended early: {error}")))?,
        );
    }
    Ok(callers)
}
