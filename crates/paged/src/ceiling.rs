use gaggle_shards::Deadline;

use crate::terms::{self, Terms, Windows};
use crate::{Clock, Life};

/// The ceiling to which the lifetimes of entries are lowered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceiling {
    /// An entry that ends later than this
    longest: Deadline,
    /// ends then.
    end: Deadline,
    windows: Windows,
}

impl Ceiling {
    /// A lifetime that begins now.
    pub(crate) fn of(longest: &Life, clock: &Clock) -> Self {
        let end = Deadline::after(longest.ttl, clock);
        Self {
            longest: end,
            end,
            windows: Windows::of(longest),
        }
    }

    /// Sets another end for entries that end too late.
    pub(crate) fn ending(self, end: Deadline) -> Self {
        Self {
            end: end.min(self.longest),
            ..self
        }
    }

    pub(crate) fn lower(&self, deadline: Deadline) -> Deadline {
        if deadline > self.longest {
            self.end
        } else {
            deadline
        }
    }

    /// Lowers the windows of the extras at the start of `bytes`.
    pub(crate) fn lower_windows(&self, bytes: &mut [u8]) {
        let lower = terms::windows(bytes).at_most(self.windows);
        terms::set_windows(bytes, lower);
    }

    /// Whether terms have a longer lifetime.
    pub(crate) fn is_below(&self, terms: Terms<'_>) -> bool {
        let windows = terms::windows(terms.extras);
        terms.deadline > self.longest || windows.at_most(self.windows) != windows
    }
}
