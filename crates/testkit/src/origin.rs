//! An origin that a test can inspect.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Key, Load, Loaded, Origin, OriginError, async_trait};
use tokio::sync::watch;
use tokio::time::sleep;

/// Counts loads, and can be slow, fail, or hang. A cheap-clone handle: a test keeps one and gives
/// another to its groups.
///
/// It answers with what the test has [put](Self::put) there; otherwise with the answer of the
/// origin that it is [over](Self::over); and without one, with `value of KEY` for every key that
/// does not begin with `absent`.
#[derive(Clone)]
pub struct CountingOrigin {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    gate: watch::Sender<bool>,
    /// The origin that is asked if the test has set nothing.
    below: Option<Arc<dyn Origin>>,
}

#[derive(Default)]
struct State {
    loads: HashMap<Key, u64>,
    /// The value that the test has put; `None` if it has removed the key.
    values: HashMap<Key, Option<Bytes>>,
    /// How many loads fail from now on.
    failing: u64,
    delay: Duration,
}

impl Default for CountingOrigin {
    fn default() -> Self {
        Self::new(None)
    }
}

impl CountingOrigin {
    fn new(below: Option<Arc<dyn Origin>>) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::default(),
                gate: watch::Sender::new(true),
                below,
            }),
        }
    }

    /// The same in front of the program's own origin.
    pub fn over(origin: impl Origin) -> Self {
        Self::new(Some(Arc::new(origin)))
    }

    /// The value that it has for `key` by itself.
    pub fn value_of(key: &[u8]) -> Bytes {
        [b"value of ", key].concat().into()
    }

    /// From now on `key` has that value.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) {
        let key = Key::copy_from_slice(key.as_ref());
        self.state().values.insert(key, Some(value.into()));
    }

    /// From now on there is no such key.
    pub fn remove(&self, key: impl AsRef<[u8]>) {
        let key = Key::copy_from_slice(key.as_ref());
        self.state().values.insert(key, None);
    }

    /// How often `key` has been asked for.
    pub fn loads_of(&self, key: impl AsRef<[u8]>) -> u64 {
        self.state().loads.get(key.as_ref()).copied().unwrap_or(0)
    }

    /// Loads of any key.
    pub fn total_loads(&self) -> u64 {
        self.state().loads.values().sum()
    }

    /// The most loads of any one key.
    pub fn most_loads(&self) -> u64 {
        self.state().loads.values().copied().max().unwrap_or(0)
    }

    /// From now on every load fails, or none does.
    pub fn set_failing(&self, failing: bool) {
        self.state().failing = if failing { u64::MAX } else { 0 };
    }

    /// The next `loads` loads fail.
    pub fn fail_next(&self, loads: u64) {
        self.state().failing = loads;
    }

    /// From now on each load takes that long.
    pub fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// From now on loads are counted and then hang, or continue.
    pub fn set_open(&self, open: bool) {
        self.inner.gate.send_replace(open);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request and waits as it has to.
    async fn begin(&self, loads: &[Load<'_>]) {
        let delay = {
            let mut state = self.state();
            for load in loads {
                *state.loads.entry(load.key.clone()).or_insert(0) += 1;
            }
            state.delay
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
        // An error would mean that the sender is dropped, and `self` holds it.
        let _ = self.inner.gate.subscribe().wait_for(|open| *open).await;
    }

    /// The answer that the test has set for a load, if any.
    fn said(&self, key: &Key) -> Option<Result<Loaded, OriginError>> {
        let mut state = self.state();
        if state.failing > 0 {
            if state.failing < u64::MAX {
                state.failing -= 1;
            }
            return Some(Err(OriginError::failed("the origin is down")));
        }
        let put = state.values.get(key).cloned()?;
        Some(Ok(put.map_or_else(Loaded::absent, Loaded::value)))
    }

    /// The answer for a key if neither the test nor another origin sets one.
    fn by_itself(key: &Key) -> Loaded {
        match key.starts_with(b"absent") {
            true => Loaded::absent(),
            false => Self::value_of(key).into(),
        }
    }
}

#[async_trait]
impl Origin for CountingOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        self.begin(&[load]).await;
        match (self.said(load.key), &self.inner.below) {
            (Some(said), _) => said,
            (None, Some(origin)) => origin.load(load).await,
            (None, None) => Ok(Self::by_itself(load.key)),
        }
    }

    fn max_batch(&self) -> usize {
        let below = self.inner.below.as_ref();
        below.map_or(1, |origin| origin.max_batch())
    }

    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        self.begin(loads).await;
        let mut outcomes: Vec<_> = loads.iter().map(|load| self.said(load.key)).collect();
        if let Some(origin) = &self.inner.below {
            let unsaid = loads
                .iter()
                .zip(&outcomes)
                .filter(|(_, said)| said.is_none());
            let left: Vec<_> = unsaid.map(|(load, _)| *load).collect();
            if !left.is_empty() {
                let mut found = origin.load_many(&left).await.into_iter();
                for said in outcomes.iter_mut().filter(|said| said.is_none()) {
                    let short = || Err(OriginError::failed("fewer outcomes than loads"));
                    *said = Some(found.next().unwrap_or_else(short));
                }
            }
        }
        let loads = loads.iter().zip(outcomes);
        loads
            .map(|(load, said)| said.unwrap_or_else(|| Ok(Self::by_itself(load.key))))
            .collect()
    }
}

impl fmt::Debug for CountingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("CountingOrigin")
            .field("loads", &state.loads.values().sum::<u64>())
            .field("failing", &(state.failing > 0))
            .field("delay", &state.delay)
            .finish_non_exhaustive()
    }
}
