//! Clients that ask at a fixed rate, whatever the answers: an open loop sends the requests that a
//! client which waits for each answer would not send.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::stack::key;

/// 200 requests a second.
const EVERY: Duration = Duration::from_millis(5);

/// The longest that any load runs.
const LONGEST: Duration = Duration::from_secs(300);

/// The results of the requests.
#[derive(Default)]
pub(crate) struct Report {
    latencies: Vec<Duration>,
    /// Requests that did not get the value, by what they got.
    pub(crate) failures: BTreeMap<String, usize>,
}

/// Requests for `keys` keys under each of the base URLs in turn, until it is told to end.
pub(crate) struct Load {
    ended: Arc<AtomicBool>,
    running: tokio::task::JoinHandle<Report>,
}

impl Load {
    pub(crate) fn start(bases: Vec<String>, keys: usize) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let running = tokio::spawn(ask(bases, keys, ended.clone()));
        Self { ended, running }
    }

    /// Lets the last requests finish.
    pub(crate) async fn end(self) -> Report {
        self.ended.store(true, Relaxed);
        self.running.await.unwrap()
    }
}

async fn ask(bases: Vec<String>, keys: usize, ended: Arc<AtomicBool>) -> Report {
    // A client that must not see the fault at all would have a far shorter timeout. This one
    // counts what is lost, and the report says what was slow.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let (mut asking, mut n) = (JoinSet::new(), 0);
    while !ended.load(Relaxed) && begun.elapsed() < LONGEST {
        tick.tick().await;
        let key = key(n * 7 % keys);
        let base = &bases[n % bases.len()];
        let request = client.get(format!("{base}/v1/scores/{key}"));
        asking.spawn(async move {
            let sent = Instant::now();
            let outcome = outcome(request, &key).await;
            (outcome, sent.elapsed())
        });
        n += 1;
    }
    let mut report = Report::default();
    while let Some(done) = asking.join_next().await {
        let (outcome, latency) = done.unwrap();
        report.latencies.push(latency);
        if let Err(failure) = outcome {
            *report.failures.entry(failure).or_default() += 1;
        }
    }
    report.latencies.sort_unstable();
    report
}

async fn outcome(request: reqwest::RequestBuilder, value: &str) -> Result<(), String> {
    let named = |failure: reqwest::Error| {
        let kind = if failure.is_connect() {
            "no connection"
        } else {
            "no answer"
        };
        format!("{kind}: {failure:?}")
    };
    let answer = request.send().await.map_err(named)?;
    let status = answer.status();
    let body = answer.text().await.map_err(named)?;
    if status.as_u16() == 200 && body == value {
        return Ok(());
    }
    Err(format!("{status}: {body:?}"))
}

impl Report {
    /// Prints the figures, and fails if a single request has failed.
    pub(crate) fn assert_unharmed(&self, what: &str) {
        println!("{what}: {self}");
        assert!(self.failures.is_empty(), "{what}: {:#?}", self.failures);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.latencies.len();
        let at = |per_mille: usize| {
            self.latencies
                .get((count * per_mille / 1000).min(count.saturating_sub(1)))
                .copied()
        };
        let failed: usize = self.failures.values().sum();
        write!(out, "{count} requests, {failed} failed")?;
        for (name, per_mille) in [("p50", 500), ("p99", 990), ("p99.9", 999), ("max", 1000)] {
            write!(out, ", {name} {:.1?}", at(per_mille).unwrap_or_default())?;
        }
        Ok(())
    }
}
