//! Bytes that are reserved for the values of a load.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use gaggle_group::{ByteBudget, OriginError, Reservation};

/// The bytes that the values of one load, or of one batch, have reserved: one reservation that
/// grows, so that the budget can distinguish two loads that wait for each other from two that wait
/// for others.
pub(super) struct Reserved {
    budget: Option<ByteBudget>,
    reservation: Option<Reservation>,
    bytes: u64,
}

impl Reserved {
    pub(super) fn nothing(budget: Option<&ByteBudget>) -> Self {
        Self {
            budget: budget.cloned(),
            reservation: None,
            bytes: 0,
        }
    }

    /// Reserves the bytes of one more value, and waits for them as the budget allows.
    pub(super) async fn add(&mut self, len: u64) -> Result<(), OriginError> {
        let Some(budget) = &self.budget else {
            return Ok(());
        };
        // Small values draw on no budget.
        if len < ByteBudget::SMALL as u64 {
            return Ok(());
        }
        let bytes = self.bytes.saturating_add(len);
        match &mut self.reservation {
            Some(reservation) => reservation.grow_to(bytes).await?,
            none => *none = Some(budget.reserve(bytes).await?),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Takes the reservation, for a statement that may outlive its load. Its bytes are [put
    /// back](Self::put_back) with the answer.
    pub(super) fn take(&mut self) -> Option<Self> {
        let reservation = self.reservation.take()?;
        let bytes = std::mem::take(&mut self.bytes);
        Some(Self {
            budget: None,
            reservation: Some(reservation),
            bytes,
        })
    }

    pub(super) fn put_back(&mut self, taken: Option<Self>) {
        if let Some(taken) = taken {
            self.reservation = taken.reservation;
            self.bytes = taken.bytes;
        }
    }

    /// The same if that is possible without a wait; returns whether it is.
    pub(super) async fn add_at_once(&mut self, len: u64) -> bool {
        // If it is dropped while it waits, it reserves nothing.
        let mut adding = pin!(self.add(len));
        let added = poll_fn(|cx| Poll::Ready(adding.as_mut().poll(cx))).await;
        matches!(added, Poll::Ready(Ok(())))
    }
}
