//! The contenders that live in the bench's own program, each in a process that holds nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use gaggle_benches::two_workers;
use gaggle_group::{Clock, Group, PagedStore, Store};

use crate::load::Phase;

/// Threads or tasks that fill; each takes every so-many-th key.
const FILLERS: usize = 2;

/// A cache being filled.
pub(crate) trait Side {
    fn fill(&mut self, phase: Phase, budget: u64);
    /// The entries held, and the bytes of their keys and values.
    fn held(&mut self, budget: u64) -> (u64, u64);
    /// The process that holds them.
    fn pid(&self) -> u32 {
        std::process::id()
    }
}

/// A group as a node has it, filled by gets that its origin answers.
pub(crate) struct Gaggle {
    runtime: tokio::runtime::Runtime,
    group: Group,
    /// The group's main cache.
    store: Arc<PagedStore>,
}

impl Gaggle {
    pub(crate) fn new(budget: u64) -> Self {
        // What the builder would make by itself, but for a handle on one that can be looked into
        // without a use being noted.
        let store = || Arc::new(PagedStore::new(budget, Clock::monotonic()));
        let (main, hot) = (store(), store());
        let group = Group::builder("memory")
            .capacity(budget)
            .stores(Arc::clone(&main) as Arc<dyn Store>, hot)
            .origin_fn(|key: Bytes| async move {
                Ok::<_, Infallible>(Phase::of(&key).map(|(phase, n)| phase.value(n)))
            })
            .build()
            .expect("a group");
        Self {
            runtime: two_workers().expect("a runtime"),
            group,
            store: main,
        }
    }
}

impl Side for Gaggle {
    fn fill(&mut self, phase: Phase, budget: u64) {
        let keys = phase.keys(budget);
        let fillers: Vec<_> = (0..FILLERS)
            .map(|first| {
                let group = self.group.clone();
                self.runtime.spawn(async move {
                    for n in (first as u64..keys).step_by(FILLERS) {
                        assert!(group.get(phase.key(n)).await.is_ok());
                    }
                })
            })
            .collect();
        for filler in fillers {
            self.runtime.block_on(filler).expect("a filler failed");
        }
    }

    fn held(&mut self, budget: u64) -> (u64, u64) {
        let mut payload = 0;
        for phase in Phase::ALL {
            for n in 0..phase.keys(budget) {
                if self.store.peek(phase.key(n).as_bytes()).is_some() {
                    payload += phase.payload(n);
                }
            }
        }
        (self.store.len() as u64, payload)
    }
}

/// moka, told what a value costs as its users tell it: the bytes of key and value.
pub(crate) struct Moka(moka::sync::Cache<Box<[u8]>, Bytes>);

impl Moka {
    #[expect(clippy::borrowed_box, reason = "moka lends the key as it is")]
    pub(crate) fn new(budget: u64) -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(budget)
            .weigher(|key: &Box<[u8]>, value: &Bytes| {
                u32::try_from(key.len() + value.len()).unwrap_or(u32::MAX)
            })
            .build();
        Self(cache)
    }
}

impl Side for Moka {
    fn fill(&mut self, phase: Phase, budget: u64) {
        let keys = phase.keys(budget);
        thread::scope(|scope| {
            for first in 0..FILLERS {
                let cache = &self.0;
                scope.spawn(move || {
                    for n in (first as u64..keys).step_by(FILLERS) {
                        cache.insert(phase.key(n).into_bytes().into(), phase.value(n));
                    }
                });
            }
        });
        // It evicts in batches, later.
        self.0.run_pending_tasks();
    }

    fn held(&mut self, _: u64) -> (u64, u64) {
        self.0
            .iter()
            .fold((0, 0), |(entries, bytes), (key, value)| {
                (entries + 1, bytes + (key.len() + value.len()) as u64)
            })
    }
}
