//! A buffer for a body: it takes at most twice as much memory as the bytes that have arrived,
//! whatever was announced.

use bytes::Bytes;
use gaggle_group::{ByteBudget, OverBudget, Reservation};

/// The most bytes that are allocated for an announced length.
const FIRST: usize = 64 << 10;

/// Bytes that are being read. Its reservation ends when it is dropped or finished.
pub(crate) struct Buffer<'a> {
    bytes: Vec<u8>,
    /// The announced length, if there is one; otherwise the longest that is allowed.
    most: usize,
    declared: bool,
    budget: Option<&'a ByteBudget>,
    reserved: Option<Reservation>,
}

impl<'a> Buffer<'a> {
    /// A buffer for `declared` bytes, which it reserves, or for any number up to `limit`.
    /// Allocates nothing.
    pub(crate) async fn new(
        declared: Option<u64>,
        limit: u64,
        budget: Option<&'a ByteBudget>,
    ) -> Result<Self, OverBudget> {
        let most = declared.unwrap_or(limit);
        let mut buffer = Self {
            bytes: Vec::new(),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            declared: declared.is_some(),
            budget,
            reserved: None,
        };
        if let Some(len) = declared {
            buffer.reserve(len).await?;
        }
        Ok(buffer)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds received bytes, which may have to wait for the budget.
    pub(crate) async fn push(&mut self, piece: &[u8]) -> Result<(), OverBudget> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            let capacity = self.capacity_for(needed);
            self.reserve(capacity as u64).await?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn capacity_for(&self, needed: usize) -> usize {
        let doubled = self.bytes.capacity().saturating_mul(2);
        let least = if self.declared { FIRST } else { 0 };
        needed.max(doubled.max(least).min(self.most))
    }

    /// Values below [`ByteBudget::SMALL`] do not count.
    async fn reserve(&mut self, total: u64) -> Result<(), OverBudget> {
        match (&mut self.reserved, self.budget) {
            (Some(reserved), _) => reserved.grow_to(total).await,
            (None, Some(budget)) if total >= ByteBudget::SMALL as u64 => {
                self.reserved = Some(budget.reserve(total).await?);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// The bytes as they are, and their reservation.
    #[cfg(feature = "batch")]
    pub(crate) fn into_parts(self) -> (Vec<u8>, Option<Reservation>) {
        (self.bytes, self.reserved)
    }

    /// The bytes in an allocation of their size. An allocator may shrink one in place and leave it
    /// as large as it was, so a buffer with much spare room is copied.
    pub(crate) fn finish(self) -> Bytes {
        let spare = self.bytes.capacity() - self.bytes.len();
        if spare > self.bytes.len() / 8 {
            Bytes::copy_from_slice(&self.bytes)
        } else {
            self.bytes.into_boxed_slice().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_promise_is_reserved_whole_and_allocated_as_it_is_kept() {
        const LEN: usize = 8 << 20;
        let budget = ByteBudget::new(LEN as u64, Duration::ZERO);
        let buffer = Buffer::new(Some(LEN as u64), u64::MAX, Some(&budget)).await;
        let mut buffer = buffer.unwrap();
        assert_eq!((budget.used(), buffer.bytes.capacity()), (LEN as u64, 0));
        while buffer.len() < LEN {
            buffer.push(&[7; 1 << 14]).await.unwrap();
            assert!(buffer.bytes.capacity() <= (2 * buffer.len()).max(FIRST));
        }
        assert_eq!(buffer.bytes.capacity(), LEN);
        assert_eq!(buffer.finish().len(), LEN);
        assert_eq!((budget.used(), budget.peak()), (0, LEN as u64));
    }

    #[tokio::test]
    async fn what_is_not_promised_is_allocated_as_it_comes_and_never_over_the_limit() {
        let mut buffer = Buffer::new(None, 100_000, None).await.unwrap();
        while buffer.len() < 100_000 {
            buffer.push(&[7; 100]).await.unwrap();
            let capacity = buffer.bytes.capacity();
            assert!(capacity <= (2 * buffer.len()).min(100_000), "{capacity}");
        }
    }
}
