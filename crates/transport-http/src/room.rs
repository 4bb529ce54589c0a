//! A buffer for bytes from the network: it grows with the bytes that have arrived, not with the
//! announced length.

use gaggle_group::{ByteBudget, OverBudget, Reservation};

/// The most memory that is allocated before any byte has arrived, unless it is reserved.
const AHEAD: usize = 64 << 10;

/// A buffer that draws on a budget.
pub(crate) struct Room<'a> {
    bytes: Vec<u8>,
    /// The least number of bytes to come; 0 if it is not announced.
    stated: usize,
    /// The most that may come.
    cap: usize,
    budget: Option<&'a ByteBudget>,
    reserved: Option<Reservation>,
}

impl<'a> Room<'a> {
    /// A buffer that reserves its bytes as it grows.
    pub(crate) fn as_it_comes(stated: usize, cap: usize, budget: Option<&'a ByteBudget>) -> Self {
        Self {
            bytes: Vec::new(),
            stated,
            cap,
            budget,
            reserved: None,
        }
    }

    /// A buffer of the stated length, which is reserved at once.
    pub(crate) async fn at_once(
        stated: usize,
        budget: Option<&'a ByteBudget>,
    ) -> Result<Self, OverBudget> {
        let mut room = Self::as_it_comes(stated, stated, budget);
        room.reserve(stated).await?;
        let granted = room.reserved.is_some();
        let ahead = if granted { stated } else { stated.min(AHEAD) };
        room.bytes.reserve_exact(ahead);
        Ok(room)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the received bytes.
    pub(crate) async fn add(&mut self, chunk: &[u8]) -> Result<(), OverBudget> {
        let len = self.bytes.len() + chunk.len();
        let room = self.bytes.capacity();
        if len > room {
            // It doubles, up to the stated length, so that bytes are copied twice at most and the
            // final length fits.
            let mut most = len.max(2 * room).max(AHEAD.min(self.stated));
            let bound = if len <= self.stated {
                self.stated
            } else {
                self.cap
            };
            most = most.min(bound).max(len);
            self.reserve(most).await?;
            self.bytes.reserve_exact(most - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The bytes, and their reservation.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Option<Reservation>) {
        (self.bytes, self.reserved)
    }

    async fn reserve(&mut self, most: usize) -> Result<(), OverBudget> {
        let Some(budget) = self.budget.filter(|_| most >= ByteBudget::SMALL) else {
            return Ok(());
        };
        let most = most as u64;
        match &mut self.reserved {
            Some(reserved) => reserved.grow_to(most).await,
            none => {
                *none = Some(budget.reserve(most).await?);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn budget(bytes: u64) -> ByteBudget {
        ByteBudget::new(bytes, Duration::from_millis(10))
    }

    #[tokio::test]
    async fn room_follows_what_has_come() {
        for budget in [None, Some(&budget(1 << 30))] {
            let mut room = Room::as_it_comes(0, usize::MAX, budget);
            assert_eq!(room.bytes.capacity(), 0);
            let chunk = [7; 1_000];
            for n in 1..=1_000 {
                room.add(&chunk).await.unwrap();
                assert_eq!(room.len(), n * 1_000);
                let most = (2 * room.len()).max(chunk.len());
                assert!(room.bytes.capacity() <= most, "{n}");
            }
            let held = budget.map_or(0, ByteBudget::used);
            let (bytes, reserved) = room.into_parts();
            assert_eq!(reserved.map_or(0, |reserved| reserved.bytes()), held);
            assert!(budget.is_none() || held >= bytes.len() as u64);
        }
    }

    #[tokio::test]
    async fn what_is_stated_and_comes_fits_exactly() {
        for len in [0, 1, 4_095, 4_096, 70_000, 1 << 20] {
            let budget = budget(1 << 20);
            let whole = vec![7; len];
            let mut at_once = Room::at_once(len, Some(&budget)).await.unwrap();
            let expected = if len < ByteBudget::SMALL { 0 } else { len };
            assert_eq!(budget.used(), expected as u64);
            let mut as_it_comes = Room::as_it_comes(len, len, None);
            for room in [&mut at_once, &mut as_it_comes] {
                for chunk in whole.chunks(999) {
                    room.add(chunk).await.unwrap();
                }
                assert!(room.bytes == whole && room.bytes.capacity() == len, "{len}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_in_the_budget_there_is_none() {
        let budget = budget(100_000);
        assert!(Room::at_once(100_001, Some(&budget)).await.is_err());
        let mut room = Room::as_it_comes(0, usize::MAX, Some(&budget));
        room.add(&[0; 60_000]).await.unwrap();
        assert!(room.add(&[0; 60_000]).await.is_err());
        drop(room);
        assert_eq!(budget.used(), 0);
    }
}
