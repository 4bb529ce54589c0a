//! What the log says: enough, but not a line for each attempt.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::source::Trouble;
use crate::world::{SECOND, World};

/// The lines that the follower of this thread writes, at `info` and above.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("gaggle_follow") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0
            .lock()
            .unwrap()
            .push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Lines {
    fn begin() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let guard = set_default(lines.clone());
        (lines, guard)
    }

    /// The lines of that level that contain that text. Clears all lines.
    fn take(&self, level: Level, text: &str) -> usize {
        let mut lines = self.0.lock().unwrap();
        let count = lines
            .iter()
            .filter(|line| line.0 == level && line.1.contains(text))
            .count();
        lines.clear();
        count
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_a_warning_a_minute_and_a_line_when_it_is_back() {
    let (lines, _guard) = Lines::begin();
    let world = World::new(1);
    world.is_followed().await;
    assert_eq!(lines.take(Level::INFO, "this node follows"), 1);
    world.source.set(Trouble::NextFails, true);
    sleep(150 * SECOND).await;
    world.source.set(Trouble::NextFails, false);
    {
        let lines = lines.0.lock().unwrap();
        let warnings = lines.iter().filter(|line| line.0 == Level::WARN).count();
        assert_eq!(warnings, 3, "{lines:?}");
        assert!(
            lines
                .iter()
                .any(|line| line.1.contains("the log cannot be read")),
            "{lines:?}"
        );
        // Opening succeeds each time: each warning may be followed by a line that it is over.
        assert!(lines.len() <= 6, "{lines:?}");
    }
    world.is_followed().await;
    sleep(90 * SECOND).await;
    lines.0.lock().unwrap().clear();

    world.source.set(Trouble::OpenFails, true);
    world.source.kick();
    sleep(90 * SECOND).await;
    assert_eq!(lines.take(Level::WARN, "trying again"), 2);
    world.source.set(Trouble::OpenFails, false);
    sleep(10 * SECOND).await;
    assert_eq!(lines.take(Level::INFO, "is followed again"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_another_node_holds_is_no_warning() {
    let (lines, _guard) = Lines::begin();
    let world = World::new(1);
    world.source.state().holder = Some((u64::MAX, 9));
    sleep(9 * SECOND).await;
    assert!(lines.0.lock().unwrap().is_empty());
    sleep(100 * SECOND).await;
    {
        let lines = lines.0.lock().unwrap();
        assert!(lines.iter().all(|line| line.0 == Level::INFO), "{lines:?}");
    }
    assert_eq!(lines.take(Level::INFO, "another node still follows"), 2);
}

#[tokio::test(start_paused = true)]
async fn missed_changes_are_a_warning_with_the_reason() {
    let (lines, _guard) = Lines::begin();
    let world = World::new(1);
    world.source.state().missed = Some("the slot was dropped".into());
    world.is_followed().await;
    sleep(SECOND).await;
    assert_eq!(lines.take(Level::WARN, "the slot was dropped"), 1);
}
