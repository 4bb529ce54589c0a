use std::time::Duration;

use gaggle_shards::{Deadline, Expired, Now};

use crate::Life;

/// The data of an entry in addition to its key and its value, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms<'a> {
    pub(crate) deadline: Deadline,
    /// Empty, or the result of [`encode`]: the three windows in milliseconds, four bytes each; the
    /// length of the note in two; the note.
    pub(crate) extras: &'a [u8],
}

/// The time an entry has left, or since when it has been stale.
pub(crate) type Left = Result<Option<Duration>, Expired>;

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Fresh,
    /// Past its ttl.
    Stale,
    /// Past all windows: no lookup finds it.
    Gone,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Windows {
    serve_stale: u32,
    keep_stale: u32,
    refresh_ahead: u32,
}

impl Windows {
    pub(crate) fn of(life: &Life) -> Self {
        Self {
            serve_stale: saturating_millis(life.serve_stale),
            keep_stale: saturating_millis(life.keep_stale),
            refresh_ahead: saturating_millis(life.refresh_ahead),
        }
    }

    /// Each window, but at most that of `most`.
    pub(crate) fn at_most(self, most: Self) -> Self {
        Self {
            serve_stale: self.serve_stale.min(most.serve_stale),
            keep_stale: self.keep_stale.min(most.keep_stale),
            refresh_ahead: self.refresh_ahead.min(most.refresh_ahead),
        }
    }

    fn to_bytes(self) -> [[u8; WINDOW]; 3] {
        [self.serve_stale, self.keep_stale, self.refresh_ahead].map(u32::to_le_bytes)
    }
}

const WINDOW: usize = size_of::<u32>();
const LEN: usize = size_of::<u16>();
/// The length of the extras without the note.
const FIXED: usize = 3 * WINDOW + LEN;

/// The extras of an entry: empty, without an allocation, if it has neither windows nor a note.
#[inline]
pub(crate) fn encode(life: &Life, note: &[u8]) -> Vec<u8> {
    // Without a `ttl` the windows have no effect.
    if life.ttl.is_none() && note.is_empty() {
        return Vec::new();
    }
    encode_some(life, note)
}

#[inline(never)]
fn encode_some(life: &Life, note: &[u8]) -> Vec<u8> {
    let windows = life.ttl.map_or(Windows::default(), |_| Windows::of(life));
    if windows == Windows::default() && note.is_empty() {
        return Vec::new();
    }
    // A longer note is never stored.
    let len = u16::try_from(note.len()).unwrap_or(u16::MAX);
    let mut extras = Vec::with_capacity(FIXED.saturating_add(note.len()));
    extras.extend_from_slice(windows.to_bytes().as_flattened());
    extras.extend_from_slice(&len.to_le_bytes());
    extras.extend_from_slice(note);
    extras
}

/// Overwrites the windows of the extras at the start of `bytes`.
pub(crate) fn set_windows(bytes: &mut [u8], windows: Windows) {
    if let Some(old) = bytes.get_mut(..3 * WINDOW) {
        old.copy_from_slice(windows.to_bytes().as_flattened());
    }
}

/// The windows of extras; none if there are no extras.
pub(crate) fn windows(extras: &[u8]) -> Windows {
    let window = |n: usize| {
        let bytes = extras.get(n * WINDOW..)?.first_chunk::<WINDOW>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    Windows {
        serve_stale: window(0).unwrap_or_default(),
        keep_stale: window(1).unwrap_or_default(),
        refresh_ahead: window(2).unwrap_or_default(),
    }
}

/// The extras at the start of `bytes`, and the rest.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = bytes.get(FIXED - LEN..)?.first_chunk::<LEN>()?;
    bytes.split_at_checked(FIXED + usize::from(u16::from_le_bytes(*len)))
}

impl<'a> Terms<'a> {
    /// The clock is read only if there is a deadline.
    pub(crate) fn state(&self, now: &mut Now<'_>) -> State {
        match self.deadline.expired(now) {
            None => State::Fresh,
            Some(expired) if self.is_gone(expired) => State::Gone,
            Some(_) => State::Stale,
        }
    }

    /// Whether lookups still find it.
    pub(crate) fn is_served(&self, expired: Expired) -> bool {
        expired.ago < nanos(self.windows().serve_stale)
    }

    /// Whether no lookup finds it any more.
    pub(crate) fn is_gone(&self, expired: Expired) -> bool {
        let windows = self.windows();
        expired.ago >= nanos(windows.serve_stale.max(windows.keep_stale))
    }

    /// The rest of its lifetime, and whether it is due.
    pub(crate) fn life(&self, left: Left) -> (Life, bool) {
        let windows = self.windows();
        let [serve_stale, keep_stale, refresh_ahead] = [
            windows.serve_stale,
            windows.keep_stale,
            windows.refresh_ahead,
        ]
        .map(|window| Duration::from_millis(window.into()));
        let (ttl, past) = match left {
            Ok(ttl) => (ttl, Duration::ZERO),
            Err(expired) => (Some(Duration::ZERO), Duration::from_nanos(expired.ago)),
        };
        let life = Life {
            ttl,
            serve_stale: serve_stale.saturating_sub(past),
            keep_stale: keep_stale.saturating_sub(past),
            refresh_ahead,
        };
        let due = left.is_ok_and(|left| left.is_some_and(|left| left <= refresh_ahead));
        (life, due)
    }

    /// The note that was stored with it.
    pub(crate) fn note(&self) -> &'a [u8] {
        self.extras.get(FIXED..).unwrap_or_default()
    }

    fn windows(&self) -> Windows {
        windows(self.extras)
    }
}

fn nanos(millis: u32) -> u64 {
    u64::from(millis) * 1_000_000
}

/// Rounded up, so that no window is lost.
fn saturating_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn life(serve_stale: Duration, keep_stale: Duration, refresh_ahead: Duration) -> Life {
        Life {
            ttl: Some(MILLI),
            serve_stale,
            keep_stale,
            refresh_ahead,
        }
    }

    fn terms(extras: &[u8]) -> Terms<'_> {
        Terms {
            deadline: Deadline::NEVER,
            extras,
        }
    }

    #[test]
    fn windows_are_rounded_up_and_end_at_what_four_bytes_hold() {
        let life = life(Duration::from_nanos(1), MILLI, Duration::MAX);
        let extras = encode(&life, &[]);
        assert_eq!(extras.len(), FIXED);
        let (kept, _) = terms(&extras).life(Ok(None));
        assert_eq!((kept.serve_stale, kept.keep_stale), (MILLI, MILLI));
        assert_eq!(kept.refresh_ahead, u32::MAX * MILLI);
    }

    #[test]
    fn extras_are_told_apart_from_what_follows() {
        for note in [&b""[..], b"n", &[7; 4096]] {
            let extras = encode(&life(MILLI, 2 * MILLI, 3 * MILLI), note);
            let whole = [&extras[..], b"key"].concat();
            assert_eq!(split(&whole), Some((&extras[..], &b"key"[..])));
            assert_eq!(terms(&extras).note(), note);
        }
        assert_eq!(split(&[0; FIXED - 1]), None);
    }

    #[test]
    fn what_has_neither_windows_nor_a_note_takes_nothing() {
        assert_eq!(
            encode(&life(Duration::ZERO, Duration::ZERO, Duration::ZERO), &[]),
            []
        );
        let endless = Life {
            ttl: None,
            ..life(MILLI, MILLI, MILLI)
        };
        assert_eq!(encode(&endless, &[]), []);
        assert_eq!(
            (terms(&[]).note(), terms(&[]).life(Ok(None))),
            (&[][..], (Life::default(), false))
        );
    }
}
