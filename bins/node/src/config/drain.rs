//! How much of a node's end is for what.

use std::time::Duration;

use super::Node;

/// How a node's end goes: it stays open for `delay`, and then its running requests have
/// `requests`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    pub(crate) delay: Duration,
    pub(crate) requests: Duration,
}

/// Enough for most balancers to see that the node is not ready.
const DELAY: Duration = Duration::from_secs(2);

/// Longer spans are taken for this one.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24);

impl Node {
    pub(crate) fn drain(&self) -> Drain {
        let timeout = self.drain_timeout.0.min(LONGEST);
        let half = timeout / 2;
        let delay = self.drain_delay.map_or(DELAY, |delay| delay.0);
        let most = if self.drain_delay.is_some() {
            LONGEST
        } else {
            half
        };
        let delay = delay.min(most);
        Drain {
            delay,
            requests: timeout.saturating_sub(delay).max(half),
        }
    }
}

impl Drain {
    /// From the signal to the end.
    pub(crate) fn whole(self) -> Duration {
        self.delay.saturating_add(self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::super::units::Span;
    use super::*;

    #[test]
    fn the_whole_is_the_timeout_unless_the_delay_takes_more_than_half_of_it() {
        let seconds = Duration::from_secs;
        for (delay, timeout, expected) in [
            (None, 10, (2, 8)),
            (None, 2, (1, 1)),
            (Some(0), 10, (0, 10)),
            (Some(5), 10, (5, 5)),
            (Some(15), 10, (15, 5)),
        ] {
            let node = Node {
                drain_delay: delay.map(Span::from_secs),
                drain_timeout: Span::from_secs(timeout),
                ..Node::default()
            };
            let drain = node.drain();
            let (delay, requests) = expected;
            assert_eq!(drain.delay, seconds(delay), "{node:?}");
            assert_eq!(drain.requests, seconds(requests), "{node:?}");
            assert_eq!(drain.whole(), seconds(delay + requests));
        }
    }
}
