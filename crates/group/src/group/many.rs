//! Many keys in one call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::future::{Either, select};
use gaggle_singleflight::Waiter;
use tokio::time::sleep;

use super::flight::Outcome;
use super::{Group, spans};
use crate::{Answer, Batch, BatchHandle, Error, Peer};

/// How a key of many is answered.
enum Begun {
    Now(Result<Answer, Error>),
    Later(Waiter<Outcome>),
}

/// The batches of one call.
#[derive(Default)]
pub(super) struct Batches {
    /// By the address of the peer's handle. If a new handle reuses the address of an old one
    /// during the call, the two peers' members wait for each other, which is harmless.
    fetches: BTreeMap<*const (), Batch>,
    /// The batch is open while this exists.
    loads: Option<(Batch, BatchHandle)>,
}

/// The gets that a get belongs to.
pub(super) enum Together<'a> {
    /// No others.
    Alone,
    /// Other gets of one call.
    Call(&'a mut Batches),
    /// Other gets that a peer has sent in one request.
    Request(&'a BatchHandle),
}

impl Group {
    /// The values of many keys, in their order. Each fails by itself; those that are not in memory
    /// are loaded concurrently, and a transport can ask each owner for all of its keys in one
    /// batch. The caller bounds their number.
    pub async fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Vec<Result<Answer, Error>> {
        let inner = &self.inner;
        let mut answers = Vec::with_capacity(keys.len());
        // One timer for all; no timer and no runtime if all are in memory.
        let mut over = None;
        // One after the other, as all of them are running: there is no need for a wake-up for
        // each.
        for (key, begun) in keys.iter().zip(self.begin(keys)) {
            answers.push(match begun {
                Begun::Now(answer) => answer,
                Begun::Later(mut waiter) => {
                    let collapsed = !waiter.led();
                    if collapsed {
                        spans::link(&mut waiter).await;
                    }
                    let wait = inner.settings().limits.longest_wait();
                    let over = over.get_or_insert_with(|| Box::pin(sleep(wait)));
                    let answer = match select(waiter, over).await {
                        Either::Left((outcome, _)) => inner.answer(outcome, collapsed),
                        Either::Right(_) => Err(inner.deadline(wait)),
                    };
                    inner.or_stale(key.as_ref(), answer)
                }
            });
        }
        answers
    }

    /// Answers the keys that are in memory, and starts or joins a flight for each other key. The
    /// flights that start and lead to one peer are a batch; it is open until all have started.
    fn begin(&self, keys: &[impl AsRef<[u8]>]) -> Vec<Begun> {
        let router = self.inner.router();
        let mut batches = Batches::default();
        let mut begin = |key: &[u8]| {
            if let Some(hit) = self.cached(key) {
                return Begun::Now(Ok(hit));
            }
            self.inner.count_miss(key);
            if let Some(stale) = self.inner.stale_for_now(key) {
                return Begun::Now(Ok(stale));
            }
            let route = || router.route(key);
            match self.inner.join(key, route, Together::Call(&mut batches)) {
                Ok(waiter) => {
                    if !waiter.led() {
                        self.inner.counters.collapsed.fetch_add(1, Relaxed);
                    }
                    Begun::Later(waiter)
                }
                Err(error) => Begun::Now(Err(error)),
            }
        };
        keys.iter().map(|key| begin(key.as_ref())).collect()
    }
}

impl Batches {
    pub(super) fn of(&mut self, peer: &Arc<dyn Peer>) -> &Batch {
        self.fetches.entry(Arc::as_ptr(peer).cast()).or_default()
    }

    pub(super) fn loads(&mut self) -> &BatchHandle {
        let open = || {
            let batch = Batch::new();
            let handle = batch.handle();
            (batch, handle)
        };
        &self.loads.get_or_insert_with(open).1
    }
}
