//! Which datagrams have been seen before.

use std::collections::HashMap;

/// How many senders are remembered. Only members count: a sender is recorded after its signature
/// has been verified.
const MAX_SENDERS: usize = 4096;

/// The highest number that a sender has used, and which of the 128 up to it were seen, since
/// datagrams overtake each other.
#[derive(Debug, Clone, Copy)]
struct Window {
    highest: u64,
    seen: u128,
}

impl Window {
    /// Records `number`, and returns whether it was new.
    fn enter(&mut self, number: u64) -> bool {
        if number > self.highest {
            let ahead = number - self.highest;
            self.seen = match u32::try_from(ahead) {
                Ok(shift @ 0..=127) => self.seen << shift | 1,
                _ => 1,
            };
            self.highest = number;
            return true;
        }
        let bit = match u32::try_from(self.highest - number) {
            Ok(behind @ 0..=127) => 1_u128 << behind,
            _ => return false, // too old to tell
        };
        let new = self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

/// What has been seen of each sender since this node's session began.
#[derive(Debug, Default)]
pub(crate) struct Replays(HashMap<u64, Window>);

/// The result for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    Before,
    /// There is one sender too many. All senders are forgotten, and the session must end.
    Full,
}

impl Replays {
    pub(crate) fn enter(&mut self, sender: u64, number: u64) -> Seen {
        if let Some(window) = self.0.get_mut(&sender) {
            return if window.enter(number) {
                Seen::New
            } else {
                Seen::Before
            };
        }
        if self.0.len() >= MAX_SENDERS {
            self.0.clear();
            return Seen::Full;
        }
        let window = Window {
            highest: number,
            seen: 1,
        };
        self.0.insert(sender, window);
        Seen::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_once_in_whatever_order() {
        let mut replays = Replays::default();
        for number in [5, 7, 6, 200, 199, 73] {
            assert_eq!(replays.enter(1, number), Seen::New, "{number}");
            assert_eq!(replays.enter(1, number), Seen::Before, "{number}");
        }
        // 72 is 128 behind the highest: whether it was seen is not known any more.
        assert_eq!(replays.enter(1, 72), Seen::Before);
        assert_eq!(replays.enter(2, 72), Seen::New);
        assert_eq!(replays.enter(1, u64::MAX), Seen::New);
        assert_eq!(replays.enter(1, 200), Seen::Before);
    }

    #[test]
    fn the_senders_that_are_remembered_are_bounded() {
        let mut replays = Replays::default();
        for sender in 0..MAX_SENDERS as u64 {
            assert_eq!(replays.enter(sender, 1), Seen::New);
        }
        assert_eq!(replays.enter(u64::MAX, 1), Seen::Full);
        assert!(replays.0.is_empty());
    }
}
