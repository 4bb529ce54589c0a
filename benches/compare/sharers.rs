//! The ways to let callers share a load, each as its documentation shows it, behind the one
//! operation that all of them have.
//!
//! What they promise differs. gaggle-singleflight and foyer give the load a task of its own, which
//! outlives its callers. `OnceCell` and moka poll it in the caller that came first: that needs no
//! task, and when that caller is dropped, another one starts the load again.

#![allow(
    refining_impl_trait,
    reason = "the benches know each side only by the trait"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gaggle_singleflight::Flights;
use tokio::sync::OnceCell;

/// A load that fails; none here does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the load failed")
    }
}

impl std::error::Error for Failed {}

pub(crate) type Loaded = Result<Bytes, Failed>;

pub(crate) trait Sharer: Send + Sync + 'static {
    const NAME: &'static str;

    fn new() -> Self;

    fn get<F, L>(&self, key: &Bytes, load: F) -> impl Future<Output = impl Answer> + Send
    where
        F: FnOnce() -> L + Send,
        L: Future<Output = Loaded> + Send + 'static;
}

/// What a side gives its callers: each its own type, so that no wrapping costs what the side does
/// not.
pub(crate) trait Answer {
    fn is_value(&self) -> bool;
}

impl<V: Answer, E> Answer for Result<V, E> {
    fn is_value(&self) -> bool {
        self.as_ref().is_ok_and(Answer::is_value)
    }
}

impl Answer for Bytes {
    fn is_value(&self) -> bool {
        !self.is_empty()
    }
}

impl Answer for foyer_memory::CacheEntry<Bytes, Bytes> {
    fn is_value(&self) -> bool {
        self.value().is_value()
    }
}

pub(crate) struct Gaggle(Flights<Bytes, Loaded>);

impl Sharer for Gaggle {
    const NAME: &'static str = "gaggle-singleflight";

    fn new() -> Self {
        Self(Flights::new())
    }

    fn get<F, L>(&self, key: &Bytes, load: F) -> impl Future<Output = impl Answer> + Send
    where
        F: FnOnce() -> L + Send,
        L: Future<Output = Loaded> + Send + 'static,
    {
        self.0.join(key, |_| load())
    }
}

/// A map of cells; whoever has filled a cell takes it out again, or the map would grow without end.
pub(crate) struct Cells(Mutex<HashMap<Bytes, Arc<OnceCell<Bytes>>>>);

impl Cells {
    fn cell(&self, key: &Bytes) -> Arc<OnceCell<Bytes>> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(key) {
            return Arc::clone(cell);
        }
        Arc::clone(cells.entry(key.clone()).or_default())
    }

    fn remove(&self, key: &Bytes) {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.remove(key);
    }
}

impl Sharer for Cells {
    const NAME: &'static str = "OnceCell in a map";

    fn new() -> Self {
        Self(Mutex::default())
    }

    async fn get<F, L>(&self, key: &Bytes, load: F) -> Loaded
    where
        F: FnOnce() -> L + Send,
        L: Future<Output = Loaded> + Send + 'static,
    {
        let cell = self.cell(key);
        let mut led = false;
        let answer = cell
            .get_or_try_init(|| {
                led = true;
                load()
            })
            .await
            .cloned();
        if led {
            self.remove(key);
        }
        answer
    }
}

/// The same with the load in a task of its own, so that it outlives its callers as ours does.
pub(crate) struct CellsAndTasks(Cells);

impl Sharer for CellsAndTasks {
    const NAME: &'static str = "OnceCell, load spawned";

    fn new() -> Self {
        Self(Cells::new())
    }

    async fn get<F, L>(&self, key: &Bytes, load: F) -> Loaded
    where
        F: FnOnce() -> L + Send,
        L: Future<Output = Loaded> + Send + 'static,
    {
        let spawned = || {
            let task = tokio::spawn(load());
            async { task.await.unwrap_or(Err(Failed)) }
        };
        self.0.get(key, spawned).await
    }
}

/// Room in the caches, which keep what was loaded: enough for all keys of a crowd.
const ROOM: usize = 2_000;

pub(crate) struct Moka(moka::future::Cache<Bytes, Bytes>);

impl Sharer for Moka {
    const NAME: &'static str = "moka try_get_with";

    fn new() -> Self {
        Self(moka::future::Cache::new(ROOM as u64))
    }

    fn get<F, L>(&self, key: &Bytes, load: F) -> impl Future<Output = impl Answer> + Send
    where
        F: FnOnce() -> L + Send,
        L: Future<Output = Loaded> + Send + 'static,
    {
        self.0.try_get_with(key.clone(), load())
    }
}

pub(crate) struct Foyer(foyer_memory::Cache<Bytes, Bytes>);

impl Sharer for Foyer {
    const NAME: &'static str = "foyer get_or_fetch";

    fn new() -> Self {
        Self(foyer_memory::CacheBuilder::new(ROOM).build())
    }

    fn get<F, L>(&self, key: &Bytes, load: F) -> impl Future<Output = impl Answer> + Send
    where
        F: FnOnce() -> L + Send,
        L: Future<Output = Loaded> + Send + 'static,
    {
        self.0.get_or_fetch(key, load)
    }
}
