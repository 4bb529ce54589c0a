//! The bar on stderr, where that is a terminal.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};

use super::recorder::Recorders;
use super::schedule::Length;

const EVERY: Duration = Duration::from_millis(200);

/// A bar that moves by itself and disappears when it is dropped.
#[derive(Debug)]
pub(super) struct Progress(Option<(ProgressBar, JoinHandle<()>)>);

impl Progress {
    pub(super) fn start(
        name: &'static str,
        length: Length,
        start: Instant,
        recorders: &Arc<Recorders>,
    ) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(match length {
            Length::Time(time) => millis(time),
            Length::Requests(count) => count,
        });
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3}%  {msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name);
        let moved = bar.clone();
        let recorders = Arc::clone(recorders);
        let task = tokio::spawn(async move {
            let mut ticks = time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let (requests, errors) = recorders.so_far();
                moved.set_message(format!("{requests} requests, {errors} errors"));
                moved.set_position(match length {
                    Length::Time(time) => millis(start.elapsed().min(time)),
                    Length::Requests(_) => requests,
                });
            }
        });
        Self(Some((bar, task)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((bar, task)) = self.0.take() {
            task.abort();
            bar.finish_and_clear();
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
