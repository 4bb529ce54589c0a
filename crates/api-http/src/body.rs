//! Bodies of requests, read to their end within bounds.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use bytes::Bytes;
use gaggle_group::{ByteBudget, Group, Hold, OverBudget, Reservation};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::reply::{self, Refusal};

/// Room that is made before anything of a body has been read, in bytes.
const AHEAD: usize = 16 << 10;

/// What bounds a body, the budget of its group for bytes in flight aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The most bytes.
    pub(crate) limit: usize,
    /// How long all of it may take to arrive.
    pub(crate) within: Duration,
}

/// A body, and what it has reserved of the budget: nothing where it is small.
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    room: Option<Reservation>,
}

impl Read {
    /// Makes the body count as a value, which others may hold too.
    pub(crate) fn into_value(self) -> (Bytes, Option<Hold>) {
        let hold = self.room.map(|room| room.into_hold(&self.bytes));
        (self.bytes, hold)
    }

    /// Reserves so many bytes in all, for the body and what is to be made of it.
    pub(crate) async fn reserve(&mut self, group: &Group, bytes: usize) -> Result<(), Refusal> {
        grow(&mut self.room, group.in_flight(), bytes)
            .await
            .map_err(|over| Refusal::failed(&reply::no_room(group, &over)))
    }

    /// What is reserved, of which `bytes` are needed from now on.
    pub(crate) fn into_room(self, bytes: usize) -> Option<Reservation> {
        let mut room = self.room?;
        room.shrink_to(bytes as u64);
        Some(room)
    }
}

/// Why a body was not read.
enum Unread {
    TooLong,
    BrokeOff(axum::Error),
    NoRoom(OverBudget),
}

/// Reads a body; a longer one is refused by `over`, unread if it says so itself.
///
/// What is returned holds no more memory than its length, as it may be kept: a frame can be a part
/// of a larger buffer.
pub(crate) async fn read(
    body: Body,
    group: &Group,
    bounds: Bounds,
    over: impl FnOnce() -> Refusal,
) -> Result<Read, Refusal> {
    let Bounds { limit, within } = bounds;
    match timeout(within, collect(body, limit, group.in_flight())).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(Unread::TooLong)) => Err(over()),
        Ok(Err(Unread::BrokeOff(error))) => {
            Err(Refusal::bad_request(format!("the body broke off: {error}")))
        }
        Ok(Err(Unread::NoRoom(over))) => Err(Refusal::failed(&reply::no_room(group, &over))),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {within:?}"),
        )),
    }
}

async fn collect(mut body: Body, limit: usize, budget: &ByteBudget) -> Result<Read, Unread> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLong);
    }
    let stated = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
    let mut bytes = Vec::new();
    let mut room = None;
    loop {
        if bytes.len() == bytes.capacity() {
            // Before they are read, as what a connection has read is in memory, too. Not all that
            // is announced: who announces much and sends nothing must not keep others out.
            let more = stated.saturating_sub(bytes.len());
            let more = more.min(bytes.len().max(AHEAD));
            extend(&mut bytes, more, limit, &mut room, budget).await?;
        }
        let Some(frame) = body.frame().await else {
            break;
        };
        // A frame without data has trailers, which nobody reads.
        let Ok(data) = frame.map_err(Unread::BrokeOff)?.into_data() else {
            continue;
        };
        extend(&mut bytes, data.len(), limit, &mut room, budget).await?;
        bytes.extend_from_slice(&data);
    }
    let bytes = Bytes::from(bytes.into_boxed_slice());
    if let Some(room) = &mut room {
        room.shrink_to(bytes.len() as u64);
    }
    Ok(Read { bytes, room })
}

/// Makes room for more bytes.
async fn extend(
    bytes: &mut Vec<u8>,
    more: usize,
    limit: usize,
    room: &mut Option<Reservation>,
    budget: &ByteBudget,
) -> Result<(), Unread> {
    let len = bytes.len() + more;
    if len > limit {
        return Err(Unread::TooLong);
    }
    if len > bytes.capacity() {
        let capacity = len.max(bytes.capacity().saturating_mul(2)).min(limit);
        grow(room, budget, capacity).await.map_err(Unread::NoRoom)?;
        bytes.reserve_exact(capacity - bytes.len());
    }
    Ok(())
}

/// Makes a reservation one of so many bytes in all. Few bytes need none.
async fn grow(
    room: &mut Option<Reservation>,
    budget: &ByteBudget,
    bytes: usize,
) -> Result<(), OverBudget> {
    match room {
        Some(room) => room.grow_to(bytes as u64).await,
        None if bytes < ByteBudget::SMALL => Ok(()),
        None => {
            *room = Some(budget.reserve(bytes as u64).await?);
            Ok(())
        }
    }
}
