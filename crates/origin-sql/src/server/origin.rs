//! The load of one key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Key, Load, Loaded, OriginError, OriginFault};

use super::ask::look_up;
use super::dialect::Row;
use super::failure::{Trouble, failed};
use super::replicas::Servers;
use super::reserved::Reserved;
use super::{Dialect, Kind, key};
use crate::KeyType;
use crate::freshness::hint_of;

/// The largest value that is returned together with its length. A larger one is looked up once
/// more, when there is room for it.
pub(super) const IN_PASSING: u64 = 64 << 10;

/// How often a value that has grown since its length was read is read again.
const GROWTHS: usize = 3;

/// A query, and the servers that answer it.
pub(crate) struct Remote<D: Dialect> {
    pub(super) servers: Servers<D>,
    pub(super) lookup: Arc<D>,
    pub(super) key_type: KeyType,
}

impl<D: Dialect> fmt::Debug for Remote<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a statement returned nothing: its meaning for all waiting loads, and the error.
pub(super) struct Unanswered {
    pub(super) kind: Kind,
    pub(super) error: OriginError,
}

impl<D: Dialect> Remote<D> {
    pub(crate) async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        self.check_key(load.key)?;
        let mut reserved = Reserved::nothing(load.budget);
        let room = IN_PASSING.min(load.max_value);
        let row = self.row(load.key, room, &mut reserved).await?;
        let Some(row) = row else {
            return Ok(Loaded::absent());
        };
        self.settle(&load, row, &mut reserved).await
    }

    pub(super) fn check_key(&self, key: &Key) -> Result<(), OriginError> {
        key::check(key, self.key_type, self.name())
    }

    pub(super) fn name(&self) -> &str {
        self.servers.primary().name()
    }

    /// The result of a row; a value that was not returned with it is reserved and looked up.
    pub(super) async fn settle(
        &self,
        load: &Load<'_>,
        row: Row,
        reserved: &mut Reserved,
    ) -> Result<Loaded, OriginError> {
        let Some(len) = row.len else {
            return Ok(Loaded::absent().with_freshness(hint_of(row.seconds)));
        };
        within_limit(len, load.max_value)?;
        self.readable(row.unreadable)?;
        if let Some(value) = row.value
            && reserved.add_at_once(len).await
        {
            return Ok(Loaded::value(value).with_freshness(hint_of(row.seconds)));
        }
        // The value is dropped by now: not every value that was read may wait in memory for its
        // bytes.
        self.reserve_and_look_up(load, len, reserved).await
    }

    /// Looks up a value whose length is known. No connection is held while it waits for its bytes.
    async fn reserve_and_look_up(
        &self,
        load: &Load<'_>,
        len: u64,
        reserved: &mut Reserved,
    ) -> Result<Loaded, OriginError> {
        reserved.add(len).await?;
        let mut room = len;
        for _ in 0..GROWTHS {
            let Some(row) = self.row(load.key, room, reserved).await? else {
                return Ok(Loaded::absent());
            };
            let freshness = hint_of(row.seconds);
            let Some(len) = row.len else {
                return Ok(Loaded::absent().with_freshness(freshness));
            };
            if let Some(value) = row.value {
                return Ok(Loaded::value(value).with_freshness(freshness));
            }
            within_limit(len, load.max_value)?;
            self.readable(row.unreadable)?;
            reserved.add(len.saturating_sub(room)).await?;
            room = len;
        }
        let reason = format!("a value has grown {GROWTHS} times while it was read");
        Err(failed(self.name(), reason).known_as(OriginFault::Unusable))
    }

    fn readable(&self, unreadable: bool) -> Result<(), OriginError> {
        if !unreadable {
            return Ok(());
        }
        let reason =
            "the server cannot bring a value: it is longer than its max_allowed_packet, or no text";
        Err(failed(self.name(), reason.to_owned()).known_as(OriginFault::Unusable))
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.servers.primary().session().statement_timeout
    }

    async fn row(
        &self,
        key: &Key,
        room: u64,
        reserved: &mut Reserved,
    ) -> Result<Option<Row>, OriginError> {
        let keys = Arc::from([key.clone()]);
        let limit = self.statement_timeout();
        let rows = self.rows(keys, room, reserved, limit).await;
        let mut rows = rows.map_err(|unanswered| unanswered.error)?;
        Ok(rows.pop())
    }

    /// Runs a statement, which the server ends after `limit`, and runs it once more on a new
    /// connection if its connection turned out to be dead.
    pub(super) async fn rows(
        &self,
        keys: Arc<[Key]>,
        room: u64,
        reserved: &mut Reserved,
        limit: Duration,
    ) -> Result<Vec<Row>, Unanswered> {
        let mut fresh = false;
        loop {
            let (lease, pool) = self.servers.lease(fresh, limit).await.map_err(told::<D>)?;
            let used_before = lease.used_before;
            let (lookup, keys) = (Arc::clone(&self.lookup), Arc::clone(&keys));
            let held = reserved.take();
            let (outcome, held) = look_up(lease, lookup, keys, room, limit, held).await;
            reserved.put_back(held);
            match outcome {
                Ok(rows) => return Ok(rows),
                Err(trouble) if used_before && trouble.kind::<D>() == Kind::Broken => {
                    pool.forget_idle();
                    fresh = true;
                }
                Err(trouble) => return Err(told::<D>((trouble, pool.name()))),
            }
        }
    }
}

fn told<D: Dialect>((trouble, database): (Trouble, &str)) -> Unanswered {
    Unanswered {
        kind: trouble.kind::<D>(),
        error: trouble.told::<D>(database),
    }
}

pub(super) fn within_limit(len: u64, limit: u64) -> Result<(), OriginError> {
    if len > limit {
        return Err(OriginError::TooLarge {
            len: Some(len),
            limit,
        });
    }
    Ok(())
}
