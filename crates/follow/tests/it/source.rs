//! A source with a log of changes, one slot, and connections that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use gaggle_follow::Change;
use gaggle_group::{Key, Load, Loaded, Origin, OriginError, async_trait};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

mod feed;

pub(crate) use feed::SourceFeed;

/// What a call of a feed does instead of its work, for as long as it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    OpenFails,
    OpenPanics,
    OpenHangs,
    NextFails,
    NextPanics,
    ConfirmFails,
    ConfirmHangs,
    CloseHangs,
    ClosePanics,
}

/// The source. A cheap-clone handle.
#[derive(Clone)]
pub(crate) struct Source {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

type OnConfirm = Arc<dyn Fn(u64) + Send + Sync>;

#[derive(Default)]
pub(crate) struct State {
    /// The data: an absent key has no value.
    pub(crate) values: BTreeMap<Key, Bytes>,
    /// The log; true at the end of a transaction. The first change has the position 1.
    log: Vec<(Change, bool)>,
    pub(crate) confirmed: u64,
    /// The connection that holds the slot, and its node.
    pub(crate) holder: Option<(u64, usize)>,
    connections: u64,
    /// Nodes that cannot reach the source.
    pub(crate) cut: BTreeSet<usize>,
    /// The reason for which each opening reports missed changes, until a position is confirmed.
    pub(crate) missed: Option<String>,
    pub(crate) trouble: BTreeSet<Trouble>,
    /// Changes in a batch, at most.
    pub(crate) most: usize,
    /// How often it was opened successfully.
    pub(crate) opened: u64,
    /// Changes that were delivered.
    pub(crate) handed_out: usize,
    /// How long opening and loading take, at most.
    pub(crate) delay: Duration,
    pub(crate) on_confirm: Option<OnConfirm>,
    /// A defect: each opening continues where the previous one has read to, confirmed or not.
    pub(crate) forgets_unconfirmed: bool,
    read: usize,
}

impl Default for Source {
    fn default() -> Self {
        let state = State {
            most: 1_024,
            ..State::default()
        };
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                changed: watch::Sender::new(()),
            }),
        }
    }
}

impl Source {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap()
    }

    /// A transaction: these values are in the source, and its changes in the log. With `puts` the
    /// log has the values, too.
    pub(crate) fn write(&self, values: &[(&str, Option<&str>)], puts: bool) -> u64 {
        let changes = values.iter().map(|(key, value)| {
            let key = Key::copy_from_slice(key.as_bytes());
            let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
            let mut state = self.state();
            match &value {
                Some(value) => state.values.insert(key.clone(), value.clone()),
                None => state.values.remove(&key),
            };
            match value {
                Some(value) if puts => Change::Put(key, value),
                _ => Change::Key(key),
            }
        });
        let changes: Vec<_> = changes.collect();
        self.append(changes)
    }

    /// A transaction of these changes. Returns its position.
    pub(crate) fn append(&self, changes: Vec<Change>) -> u64 {
        let end = {
            let mut state = self.state();
            let last = changes.len() - 1;
            let entries = changes.into_iter().enumerate();
            state
                .log
                .extend(entries.map(|(at, change)| (change, at == last)));
            state.log.len() as u64
        };
        self.touch();
        end
    }

    /// Something has changed that feeds wait for.
    pub(crate) fn touch(&self) {
        self.inner.changed.send_replace(());
    }

    pub(crate) fn set(&self, trouble: Trouble, on: bool) {
        let mut state = self.state();
        if on {
            state.trouble.insert(trouble);
        } else {
            state.trouble.remove(&trouble);
        }
        drop(state);
        self.touch();
    }

    /// Cuts a node off from the source, which notices at once; or lets it reach it again.
    pub(crate) fn set_cut(&self, node: usize, cut: bool) {
        let mut state = self.state();
        if cut {
            state.cut.insert(node);
            if state.holder.is_some_and(|(_, holder)| holder == node) {
                state.holder = None;
            }
        } else {
            state.cut.remove(&node);
        }
        drop(state);
        self.touch();
    }

    /// The holder of the slot loses it.
    pub(crate) fn kick(&self) {
        self.state().holder = None;
        self.touch();
    }

    pub(crate) fn confirmed(&self) -> u64 {
        self.state().confirmed
    }

    pub(crate) fn end(&self) -> u64 {
        self.state().log.len() as u64
    }

    pub(crate) fn holder(&self) -> Option<usize> {
        self.state().holder.map(|(_, node)| node)
    }

    fn has(&self, trouble: Trouble) -> bool {
        self.state().trouble.contains(&trouble)
    }

    async fn takes_time(&self) {
        let delay = self.state().delay;
        if !delay.is_zero() {
            sleep(delay.mul_f64(fastrand::f64())).await;
        }
    }
}

#[async_trait]
impl Origin for Source {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        // Its value at the beginning of the load, or at its end.
        let early = self.state().values.get(load.key).cloned();
        self.takes_time().await;
        let value = if fastrand::bool() {
            early
        } else {
            self.state().values.get(load.key).cloned()
        };
        Ok(value.map_or_else(Loaded::absent, Into::into))
    }
}

/// Waits until the condition holds; panics if it does not within that time.
pub(crate) async fn eventually(what: &str, within: Duration, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + within;
    while !is() {
        assert!(Instant::now() < until, "not within {within:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
