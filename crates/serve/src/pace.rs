use std::time::Duration;

/// The least rate at which a client has to send or read, in the time for which the server waits
/// for it.
///
/// Within each `window` of waiting at least `quota` bytes have to move, or the client is too slow.
/// The server waits for `n` bytes for at most `window + n / rate`. Bytes that move together
/// count for one window at most: a client gains no minutes by what the kernel's buffers accept.
#[derive(Debug)]
pub(crate) struct Pace {
    window: Duration,
    quota: u64,
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// `rate` is in bytes a second. With 0, one byte suffices for a window.
    pub(crate) fn new(window: Duration, rate: u32) -> Self {
        // A window of centuries has a quota of more bytes than there are, and it never passes.
        let quota = u128::from(rate) * window.as_millis() / 1_000;
        Self {
            window,
            quota: u64::try_from(quota).unwrap_or(u64::MAX).max(1),
            waited: Duration::ZERO,
            moved: 0,
        }
    }

    /// The server has waited for the client.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// That many bytes have moved.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= self.quota {
            self.restart();
        }
    }

    /// How much longer the server may wait for the client, if nothing moves.
    pub(crate) fn left(&self) -> Duration {
        self.window.saturating_sub(self.waited)
    }

    /// Another window begins.
    pub(crate) fn restart(&mut self) {
        (self.waited, self.moved) = (Duration::ZERO, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many times the server can wait for a client for `pause`, if `bytes` move after each.
    fn rounds(mut pace: Pace, pause: Duration, bytes: usize) -> usize {
        (0..10_000)
            .take_while(|_| {
                let lives = pause < pace.left();
                pace.waited(pause);
                pace.moved(bytes);
                lives
            })
            .count()
    }

    #[test]
    fn a_drip_ends_with_the_window_and_a_slow_link_goes_on() {
        let pace = || Pace::new(30 * SECOND, 16 * 1024);
        assert_eq!(rounds(pace(), SECOND, 1), 29);
        assert_eq!(rounds(pace(), 5 * SECOND, 1), 5);
        assert_eq!(rounds(pace(), SECOND, 64 * 1024), 10_000);
        // Nothing for long, and then a lot: this is how a socket frees its buffer.
        assert_eq!(rounds(pace(), 21 * SECOND, 21 * 64 * 1024), 10_000);
    }

    #[test]
    fn a_burst_pays_for_one_window() {
        let mut pace = Pace::new(30 * SECOND, 16 * 1024);
        pace.waited(20 * SECOND);
        pace.moved(1 << 30);
        assert_eq!(pace.left(), 30 * SECOND);
        assert_eq!(rounds(pace, SECOND, 1), 29);
    }

    #[test]
    fn without_a_rate_any_byte_pays() {
        assert_eq!(rounds(Pace::new(30 * SECOND, 0), 29 * SECOND, 1), 10_000);
    }

    #[test]
    fn the_longest_window_never_ends() {
        assert_eq!(
            rounds(Pace::new(Duration::MAX, u32::MAX), SECOND, 1),
            10_000
        );
    }
}
