//! A load that does not wait for answers: each request is sent at its time, however slow the
//! answers are.
#![allow(
    clippy::cast_possible_truncation,
    reason = "counts of a test are small"
)]

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::client::{Client, escape};

/// Requests under way at one time. Further ones are counted and not sent.
const IN_FLIGHT: usize = 4096;

/// The longest wait for one answer.
const GIVE_UP: Duration = Duration::from_secs(20);

/// The right value for a key.
pub(crate) type Right = dyn Fn(&[u8], &[u8]) -> bool + Send + Sync;

/// Requests at a steady rate, for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Requests per second.
    pub(crate) rate: f64,
    pub(crate) lasts: Duration,
}

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// 200 with the value.
    Right,
    /// 200 with something else.
    Wrong,
    /// Another status, and whether it came with `Retry-After`.
    Status(u16, bool),
    /// No answer: the connection failed.
    Broken,
    /// No answer in time.
    GaveUp,
    /// Too many were under way.
    NotSent,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// When it was sent, from the start of the load.
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// The results of a load.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) samples: Vec<Sample>,
}

impl Load {
    /// Asks for the keys that `next` names, by the number of the request. Ends when the last
    /// answer has arrived.
    pub(crate) async fn run(
        self,
        client: &Client,
        mut next: impl FnMut(u64) -> (SocketAddr, Vec<u8>),
        right: impl Fn(&[u8], &[u8]) -> bool + Send + Sync + 'static,
    ) -> Seen {
        let right: Arc<Right> = Arc::new(right);
        let mut seen = Seen::default();
        let mut under_way = JoinSet::new();
        let began = Instant::now();
        let mut tick = interval(Duration::from_millis(2));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut sent = 0;
        while began.elapsed() < self.lasts {
            tick.tick().await;
            let due = (began.elapsed().min(self.lasts).as_secs_f64() * self.rate) as u64;
            while sent < due {
                let (addr, key) = next(sent);
                sent += 1;
                let at = began.elapsed();
                if under_way.len() >= IN_FLIGHT {
                    let (took, outcome) = (Duration::ZERO, Outcome::NotSent);
                    seen.samples.push(Sample { at, took, outcome });
                    continue;
                }
                let (client, right) = (client.clone(), Arc::clone(&right));
                under_way.spawn(async move {
                    let left = Instant::now();
                    let outcome = ask(&client, addr, &key, &*right).await;
                    let took = left.elapsed();
                    Sample { at, took, outcome }
                });
            }
            while let Some(sample) = under_way.try_join_next() {
                seen.samples.push(sample.unwrap());
            }
        }
        seen.samples.extend(under_way.join_all().await);
        seen
    }
}

async fn ask(client: &Client, addr: SocketAddr, key: &[u8], right: &Right) -> Outcome {
    let target = format!("/v1/scores/{}", escape(key));
    let asking = client.send(reqwest::Method::GET, addr, &target, String::new());
    match timeout(GIVE_UP, asking).await {
        Err(_) => Outcome::GaveUp,
        Ok(Err(_)) => Outcome::Broken,
        Ok(Ok(answer)) if answer.status == 200 => {
            if right(key, &answer.body) {
                Outcome::Right
            } else {
                Outcome::Wrong
            }
        }
        Ok(Ok(answer)) => {
            let told = !answer.header("retry-after").is_empty();
            Outcome::Status(answer.status, told)
        }
    }
}

impl Seen {
    /// Those that were sent within that time.
    pub(crate) fn between(&self, time: Range<Duration>) -> Self {
        self.only(|sample| time.contains(&sample.at))
    }

    pub(crate) fn only(&self, wanted: impl Fn(&Sample) -> bool) -> Self {
        Self {
            samples: self
                .samples
                .iter()
                .filter(|sample| wanted(sample))
                .copied()
                .collect(),
        }
    }

    pub(crate) fn count(&self, wanted: impl Fn(Outcome) -> bool) -> usize {
        self.samples
            .iter()
            .filter(|sample| wanted(sample.outcome))
            .count()
    }

    pub(crate) fn right(&self) -> usize {
        self.count(|outcome| outcome == Outcome::Right)
    }

    /// Right answers that arrived within that time, per second.
    pub(crate) fn goodput(&self, time: Range<Duration>) -> f64 {
        let came = self.only(|sample| {
            sample.outcome == Outcome::Right && time.contains(&(sample.at + sample.took))
        });
        came.samples.len() as f64 / (time.end - time.start).as_secs_f64()
    }

    pub(crate) fn outcomes(&self) -> BTreeMap<Outcome, usize> {
        let mut outcomes = BTreeMap::new();
        for sample in &self.samples {
            *outcomes.entry(sample.outcome).or_default() += 1;
        }
        outcomes
    }

    /// The time within which that share of them was answered; 1 is the slowest.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut took: Vec<_> = self.samples.iter().map(|sample| sample.took).collect();
        took.sort_unstable();
        let at = (took.len() as f64 * share).ceil() as usize;
        took.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Counts by outcome, and times.
impl Display for Seen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}, p50 {:.1?}, p99 {:.1?}, slowest {:.1?}",
            self.outcomes(),
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(1.0)
        )
    }
}
