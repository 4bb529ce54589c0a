//! Decides when a peer that answers pings again counts as up.

use std::time::Duration;

use tokio::time::Instant;

/// How long a peer that goes down a second time within the damping interval has to answer at
/// first.
const FIRST: Duration = Duration::from_secs(1);

/// Turns the results of pings into up and down. The first time that a peer returns it is up at
/// once. A peer that went down again within the damping interval has to answer steadily for 1 s,
/// then for 2 s, 4 s, up to the interval: routes that followed each change would move keys back
/// and forth, and each move costs loads.
#[derive(Debug)]
pub(crate) struct Flaps {
    interval: Duration,
    up: bool,
    last_down: Option<Instant>,
    /// Since when the peer has answered each ping, while it is held down.
    steady_since: Option<Instant>,
    /// How often it went down within the interval after it last did.
    strikes: u32,
}

impl Flaps {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            up: true,
            last_down: None,
            steady_since: None,
            strikes: 0,
        }
    }

    /// A ping has ended; returns whether the peer counts as up.
    pub(crate) fn note(&mut self, answers: bool, now: Instant) -> bool {
        match (self.up, answers) {
            (true, true) => {}
            (true, false) => {
                self.went_down(now);
                self.up = false;
            }
            (false, false) => {
                if self.steady_since.take().is_some() {
                    self.went_down(now);
                }
            }
            (false, true) => {
                let since = *self.steady_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= self.must_be_steady_for() {
                    self.up = true;
                    self.steady_since = None;
                }
            }
        }
        self.up
    }

    fn went_down(&mut self, now: Instant) {
        let again = self
            .last_down
            .is_some_and(|last| now.saturating_duration_since(last) < self.interval);
        self.strikes = if again { self.strikes + 1 } else { 0 };
        self.last_down = Some(now);
    }

    fn must_be_steady_for(&self) -> Duration {
        match self.strikes {
            0 => Duration::ZERO,
            strikes => (FIRST * (1 << (strikes - 1).min(16))).min(self.interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Duration = Duration::from_millis(500);

    /// How long it answers until it is up.
    async fn until_up(flaps: &mut Flaps) -> Duration {
        let began = Instant::now();
        while !flaps.note(true, Instant::now()) {
            tokio::time::advance(PROBE).await;
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_return_is_believed_and_each_further_one_later() {
        let mut flaps = Flaps::new(Duration::from_secs(10));
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert!(!flaps.note(false, Instant::now()));
            tokio::time::advance(PROBE).await;
            waits.push(until_up(&mut flaps).await.as_secs());
        }
        // Up after 10 s, it was steady for the whole interval: the next failure is a first one.
        assert_eq!(waits, [0, 1, 2, 4, 8, 10, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_flaps_at_1_hz_changes_once() {
        let mut flaps = Flaps::new(Duration::from_secs(10));
        let (mut up, mut changes) = (true, 0);
        for _ in 0..60 {
            for answers in [false, true] {
                let now = flaps.note(answers, Instant::now());
                changes += u32::from(now != up);
                up = now;
                tokio::time::advance(PROBE).await;
            }
        }
        println!("60 s at 1 Hz: {changes} changes of the routes, of 120");
        // Down, up at once the first time, and down until it is steady.
        assert_eq!((changes, up), (3, false));
        flaps.note(false, Instant::now());
        assert_eq!(until_up(&mut flaps).await, Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_far_apart_are_no_flapping() {
        let mut flaps = Flaps::new(Duration::from_secs(10));
        for _ in 0..5 {
            assert!(!flaps.note(false, Instant::now()));
            assert!(flaps.note(true, Instant::now()));
            tokio::time::advance(Duration::from_secs(10)).await;
        }
    }
}
