//! The phases of a node's shutdown.

use std::time::Duration;

use humantime::format_duration;

use super::bounds::{at_most_a_day, timeout};
use super::{ConfigError, Node};

/// The shutdown of a node: it stays open for `delay`, and then its running requests have
/// `requests`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    pub(crate) delay: Duration,
    pub(crate) requests: Duration,
}

/// Enough for most balancers to see that the node is not ready.
const DELAY: Duration = Duration::from_secs(2);

/// Longer spans count as this one.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24);

impl Node {
    pub(crate) fn drain(&self) -> Drain {
        let timeout = self.drain_timeout.0.min(LONGEST);
        let delay = match self.drain_delay {
            Some(delay) => delay.0.min(timeout),
            None => DELAY.min(timeout / 2),
        };
        Drain {
            delay,
            requests: timeout.saturating_sub(delay),
        }
    }

    /// The delay is a part of the timeout, and leaves some of it to the running requests.
    pub(super) fn validate_drain(&self) -> Result<(), ConfigError> {
        timeout("node.drain-timeout", self.drain_timeout)?;
        let Some(delay) = self.drain_delay else {
            return Ok(());
        };
        at_most_a_day("node.drain-delay", delay)?;
        if delay >= self.drain_timeout {
            return Err(ConfigError::new(
                "node.drain-delay",
                format!(
                    "{} is not below node.drain-timeout, which is {} and includes it; expected less, or a longer \
                     node.drain-timeout",
                    format_duration(delay.0),
                    format_duration(self.drain_timeout.0)
                ),
            ));
        }
        Ok(())
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
    fn the_whole_is_the_timeout() {
        let seconds = Duration::from_secs;
        for (delay, timeout, expected) in [
            (None, 10, (2, 8)),
            (None, 2, (1, 1)),
            (Some(0), 10, (0, 10)),
            (Some(5), 10, (5, 5)),
            (Some(9), 10, (9, 1)),
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
            assert_eq!(drain.whole(), seconds(timeout));
            node.validate_drain().unwrap();
        }
    }

    #[test]
    fn a_delay_that_is_not_below_the_timeout_is_refused() {
        for (delay, timeout) in [(10, 10), (15, 10), (1, 1)] {
            let node = Node {
                drain_delay: Some(Span::from_secs(delay)),
                drain_timeout: Span::from_secs(timeout),
                ..Node::default()
            };
            let line = node.validate_drain().unwrap_err().to_string();
            let named = format!(
                "node.drain-delay: {delay}s is not below node.drain-timeout, which is {timeout}s"
            );
            assert!(line.starts_with(&named), "{line}");
        }
    }

    #[test]
    fn an_unset_delay_follows_the_timeout() {
        for timeout in [1, 1_000, 100_000_000, 1_000_000_000, 60_000_000_000] {
            let node = Node {
                drain_timeout: Span(Duration::from_nanos(timeout)),
                ..Node::default()
            };
            node.validate_drain().unwrap();
            let drain = node.drain();
            assert_eq!(drain.whole(), node.drain_timeout.0);
            // What is printed is a configuration again.
            let printed = Node {
                drain_delay: Some(drain.delay.into()),
                ..node
            };
            printed.validate_drain().unwrap();
        }
    }
}
