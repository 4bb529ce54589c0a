//! Programs that ask continually while a cluster changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::until;

/// How often each program asks, at most, so that the machine has time for other work.
const PACE: Duration = Duration::from_millis(4);

/// Programs that ask one thing after the other, until they are told to end.
pub(crate) struct Steady {
    end: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    asking: JoinSet<Vec<String>>,
}

impl Steady {
    /// Starts so many programs. `ask` gets the number of the request, and returns what went wrong.
    pub(crate) fn start<F>(
        programs: usize,
        ask: impl Fn(usize) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let (end, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let next = Arc::<AtomicUsize>::default();
        let mut asking = JoinSet::new();
        for _ in 0..programs {
            let (end, done, next) = (Arc::clone(&end), Arc::clone(&done), Arc::clone(&next));
            let ask = ask.clone();
            asking.spawn(async move {
                let mut failures = Vec::new();
                let mut pace = interval(PACE);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !end.load(Relaxed) {
                    pace.tick().await;
                    let n = next.fetch_add(1, Relaxed);
                    if let Err(failure) = ask(n).await {
                        failures.push(format!("request {n}: {failure}"));
                    }
                    done.fetch_add(1, Relaxed);
                }
                failures
            });
        }
        Self { end, done, asking }
    }

    /// Waits for so many more answers.
    pub(crate) async fn more(&self, count: usize) {
        let goal = self.done.load(Relaxed) + count;
        until("requests to go on", async || {
            self.done.load(Relaxed) >= goal
        })
        .await;
    }

    /// Ends them; panics if anything went wrong. Returns how often they asked.
    pub(crate) async fn end_without_a_failure(self) -> usize {
        self.end.store(true, Relaxed);
        let failures = self.asking.join_all().await.concat();
        let done = self.done.load(Relaxed);
        let first = &failures[..failures.len().min(10)];
        assert!(
            failures.is_empty(),
            "{} of {done}: {first:#?}",
            failures.len()
        );
        done
    }
}
