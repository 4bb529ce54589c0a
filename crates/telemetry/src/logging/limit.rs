//! How many lines of one kind are written in an interval.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use super::bounded::Bounded;

/// The fields that tell whom or what a line is about. Lines that differ in them are of different
/// kinds.
const ABOUT: [&str; 6] = ["group", "peer", "node", "port", "local_addr", "location"];

/// The kinds that are told apart. What exceeds them is told apart by its place in the code alone.
const MOST_KINDS: usize = 256;

/// Lines of one kind in an interval at `info`. More than one: several nodes of one process say
/// the same as they start.
const MOST_AT_INFO: u32 = 10;

/// Bytes of a name or a message that are kept for a summary.
const MOST_TEXT: usize = 256;

/// Decides which events become lines, and counts the others. Events at `debug` and `trace` all
/// become lines.
#[derive(Debug)]
pub(super) struct Limiter {
    interval: Duration,
    kinds: Mutex<HashMap<Key, Kind>>,
    left_out: AtomicU64,
}

/// A place in the code, and the values of the fields in [`ABOUT`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    callsite: Identifier,
    about: Vec<(&'static str, String)>,
}

#[derive(Debug)]
struct Kind {
    metadata: &'static Metadata<'static>,
    message: String,
    /// When the present interval began.
    since: Instant,
    /// Lines since then.
    written: u32,
    /// Events without a line since the last line.
    left_out: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A line is written, and tells how many of its kind were left out since the last one.
    Write {
        left_out: u64,
    },
    LeaveOut,
}

/// What was left out at the end of a burst, after which nothing of that kind came that could have
/// told it.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) message: String,
    pub(super) about: Vec<(&'static str, String)>,
    pub(super) left_out: u64,
}

impl Limiter {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            kinds: Mutex::default(),
            left_out: AtomicU64::new(0),
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Events that became no line, since the start.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Relaxed)
    }

    pub(super) fn admit(&self, event: &Event<'_>, now: Instant) -> Verdict {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return Verdict::Write { left_out: 0 };
        }
        // The values are written as text before the lock is taken: that runs code of others,
        // which may log or panic.
        let key = Key::of(event);
        let known = self
            .lock()
            .get_mut(&key)
            .map(|kind| kind.admit(self.interval, now));
        let verdict = known.unwrap_or_else(|| {
            let mut message = Text::default();
            event.record(&mut message);
            self.admit_new(key, metadata, message.0.into_text(), now)
        });
        if verdict == Verdict::LeaveOut {
            self.left_out.fetch_add(1, Relaxed);
        }
        verdict
    }

    fn admit_new(
        &self,
        mut key: Key,
        metadata: &'static Metadata<'static>,
        message: String,
        now: Instant,
    ) -> Verdict {
        let mut kinds = self.lock();
        if kinds.len() >= MOST_KINDS {
            kinds.retain(|_, kind| !kind.is_idle(self.interval, now));
        }
        if kinds.len() >= MOST_KINDS {
            key.about.clear();
        }
        // Another thread may have been here in between.
        let kind = kinds.entry(key).or_insert_with(|| Kind {
            metadata,
            message,
            since: now,
            written: 0,
            left_out: 0,
        });
        kind.admit(self.interval, now)
    }

    /// What no line has told yet: of kinds whose interval is over, or of all.
    pub(super) fn due(&self, all: bool, now: Instant) -> Vec<Summary> {
        let mut due = Vec::new();
        for (key, kind) in &mut *self.lock() {
            if kind.left_out > 0 && (all || kind.is_over(self.interval, now)) {
                due.push(Summary {
                    metadata: kind.metadata,
                    message: kind.message.clone(),
                    about: key.about.clone(),
                    left_out: std::mem::take(&mut kind.left_out),
                });
                // The summary is the first line of a new interval.
                kind.since = now;
                kind.written = 1;
            }
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    fn admit(&mut self, interval: Duration, now: Instant) -> Verdict {
        if self.is_over(interval, now) {
            self.since = now;
            self.written = 0;
        }
        let most = match *self.metadata.level() {
            Level::INFO => MOST_AT_INFO,
            _ => 1,
        };
        if self.written >= most {
            self.left_out += 1;
            return Verdict::LeaveOut;
        }
        self.written += 1;
        Verdict::Write {
            left_out: std::mem::take(&mut self.left_out),
        }
    }

    fn is_over(&self, interval: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= interval
    }

    fn is_idle(&self, interval: Duration, now: Instant) -> bool {
        self.left_out == 0 && self.is_over(interval, now)
    }
}

impl Key {
    fn of(event: &Event<'_>) -> Self {
        let mut key = Self {
            callsite: event.metadata().callsite(),
            about: Vec::new(),
        };
        event.record(&mut key);
        key
    }
}

impl Visit for Key {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if ABOUT.contains(&field.name()) {
            self.about.push((field.name(), short(value)));
        }
    }
}

/// The message of an event.
struct Text(Bounded);

impl Default for Text {
    fn default() -> Self {
        Self(Bounded::new(MOST_TEXT))
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.put(format_args!("{value:?}"));
        }
    }
}

fn short(value: &dyn Debug) -> String {
    let mut text = Bounded::new(MOST_TEXT);
    text.put(format_args!("{value:?}"));
    text.into_text()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing::{Subscriber, debug, info, warn};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);
    const WRITTEN: Verdict = Verdict::Write { left_out: 0 };

    /// Asks the limiter about each event, at a time that the test sets.
    struct Scripted {
        limiter: Limiter,
        now: Mutex<Instant>,
        verdicts: Mutex<Vec<Verdict>>,
    }

    impl Scripted {
        fn run(test: impl FnOnce(&Self)) {
            let scripted = Arc::new(Self {
                limiter: Limiter::new(INTERVAL),
                now: Mutex::new(Instant::now()),
                verdicts: Mutex::default(),
            });
            let subscriber = tracing_subscriber::registry().with(Asks(Arc::clone(&scripted)));
            tracing::subscriber::with_default(subscriber, || test(&scripted));
        }

        fn now(&self) -> Instant {
            *self.now.lock().unwrap()
        }

        fn wait(&self, time: Duration) {
            *self.now.lock().unwrap() += time;
        }

        /// The verdicts since the last call.
        fn verdicts(&self) -> Vec<Verdict> {
            std::mem::take(&mut self.verdicts.lock().unwrap())
        }
    }

    struct Asks(Arc<Scripted>);

    impl<S: Subscriber> Layer<S> for Asks {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let verdict = self.0.limiter.admit(event, self.0.now());
            self.0.verdicts.lock().unwrap().push(verdict);
        }
    }

    fn fail(group: &str) {
        warn!(%group, error = group.len(), "the origin failed");
    }

    #[test]
    fn one_line_an_interval_tells_what_came_since_the_last() {
        Scripted::run(|scripted| {
            for _ in 0..3 {
                fail("scores");
                scripted.wait(INTERVAL / 4);
            }
            scripted.wait(INTERVAL / 4);
            fail("scores");
            let left_out = Verdict::LeaveOut;
            let second = Verdict::Write { left_out: 2 };
            assert_eq!(scripted.verdicts(), [WRITTEN, left_out, left_out, second]);
            assert_eq!(scripted.limiter.left_out(), 2);
        });
    }

    #[test]
    fn kinds_differ_by_place_and_by_whom_they_are_about() {
        Scripted::run(|scripted| {
            fail("scores");
            fail("users");
            warn!(group = "scores", "something else");
            warn!(peer = "http://a:1", "a peer is down");
            assert_eq!(scripted.verdicts(), [WRITTEN; 4]);
            fail("scores");
            assert_eq!(scripted.verdicts(), [Verdict::LeaveOut]);
        });
    }

    #[test]
    fn info_is_given_more_and_debug_is_not_limited() {
        Scripted::run(|scripted| {
            for _ in 0..100 {
                info!("listening");
                debug!("asking");
            }
            let left_out = scripted.verdicts().into_iter();
            let left_out = left_out.filter(|verdict| *verdict == Verdict::LeaveOut);
            assert_eq!(left_out.count(), 100 - MOST_AT_INFO as usize);
        });
    }

    #[test]
    fn the_end_of_a_burst_is_due_once_when_its_interval_is_over() {
        Scripted::run(|scripted| {
            for _ in 0..5 {
                fail("scores");
            }
            fail("users");
            assert!(scripted.limiter.due(false, scripted.now()).is_empty());
            scripted.wait(INTERVAL);
            let due = scripted.limiter.due(false, scripted.now());
            let [summary] = &due[..] else {
                panic!("{due:?}")
            };
            assert_eq!(
                (&*summary.message, summary.left_out),
                ("the origin failed", 4)
            );
            assert_eq!(summary.about, [("group", "scores".to_owned())]);
            assert!(scripted.limiter.due(true, scripted.now()).is_empty());
            // The summary was a line: the next one is an interval away.
            scripted.verdicts();
            fail("scores");
            scripted.wait(INTERVAL);
            fail("scores");
            assert_eq!(
                scripted.verdicts(),
                [Verdict::LeaveOut, Verdict::Write { left_out: 1 }]
            );
        });
    }

    #[test]
    fn all_is_due_at_the_end() {
        Scripted::run(|scripted| {
            fail("scores");
            fail("scores");
            assert_eq!(scripted.limiter.due(true, scripted.now()).len(), 1);
        });
    }

    #[test]
    fn kinds_are_bounded() {
        Scripted::run(|scripted| {
            for n in 0..3 * MOST_KINDS {
                fail(&format!("group-{n}"));
            }
            let kinds = || scripted.limiter.lock().len();
            // Those over the bound share one.
            assert_eq!(kinds(), MOST_KINDS + 1);
            let left_out = 2 * MOST_KINDS as u64 - 1;
            assert_eq!(scripted.limiter.left_out(), left_out);
            scripted.wait(INTERVAL);
            // What has nothing left to tell makes room.
            fail("another");
            assert_eq!(kinds(), 2);
        });
    }
}
