//! Reading the body of a request, within bounds.

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use gaggle_group::{ByteBudget, OverBudget, Reservation};
use hyper::body::Body as _;
use tokio::time::timeout;

use crate::room::Room;

/// The bounds of a body, except its limit in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// How long the whole body may take.
    pub(super) within: Duration,
    /// The budget of its bytes.
    pub(super) budget: Option<&'a ByteBudget>,
}

/// A body, and its reservation.
pub(super) struct Read {
    pub(super) bytes: Vec<u8>,
    pub(super) reserved: Option<Reservation>,
}

/// Why a body was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is over the limit, or broke off.
    TooLong,
    /// It did not arrive in time.
    Late,
    /// There is no room for it.
    NoRoom(OverBudget),
}

/// All of a body in one buffer, at most `cap` bytes.
pub(super) async fn read(body: Body, cap: usize, bounds: Bounds<'_>) -> Result<Read, Unread> {
    // The limit is for the whole body, and not between two chunks: a slow sender could keep it
    // open without end.
    let read = timeout(bounds.within, read_all(body, cap, bounds.budget));
    read.await.unwrap_or(Err(Unread::Late))
}

async fn read_all(body: Body, cap: usize, budget: Option<&ByteBudget>) -> Result<Read, Unread> {
    // Checked by the stated length, if there is one, so that nothing is read of a body that is too
    // long.
    let stated = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if stated > cap {
        return Err(Unread::TooLong);
    }
    // A client that announces much and sends nothing must not take the budget from others.
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
