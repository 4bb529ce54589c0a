//! Reading the body of a request, within bounds.

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use gaggle_group::{ByteBudget, OverBudget, Reservation};
use hyper::body::Body as _;
use tokio::time::timeout;

use crate::room::Room;

/// What bounds a body, its limit in bytes aside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// How long all of it may take.
    pub(super) within: Duration,
    /// What its bytes draw on.
    pub(super) budget: Option<&'a ByteBudget>,
}

/// A body, and what it has reserved.
pub(super) struct Read {
    pub(super) bytes: Vec<u8>,
    pub(super) reserved: Option<Reservation>,
}

/// Why a body was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is over the limit, or broke off.
    TooLong,
    /// It did not come in time.
    Late,
    /// There is no room for it.
    NoRoom(OverBudget),
}

/// All of a body in one buffer, at most `cap` bytes.
pub(super) async fn read(body: Body, cap: usize, bounds: Bounds<'_>) -> Result<Read, Unread> {
    // In total, and not between two chunks: a body that drips would come to no end.
    let read = timeout(bounds.within, read_all(body, cap, bounds.budget));
    read.await.unwrap_or(Err(Unread::Late))
}

async fn read_all(body: Body, cap: usize, budget: Option<&ByteBudget>) -> Result<Read, Unread> {
    // By the stated length, where there is one: then nothing is read of a body that is too long.
    let stated = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if stated > cap {
        return Err(Unread::TooLong);
    }
    // Whoever states much and sends nothing must not keep others out of the budget.
    let mut room = Room::as_it_comes(stated, cap, budget);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::TooLong)?;
        if room.len() + chunk.len() > cap {
            return Err(Unread::TooLong);
        }
        room.add(&chunk).await.map_err(Unread::NoRoom)?;
    }
    let (bytes, reserved) = room.into_parts();
    Ok(Read { bytes, reserved })
}
