//! Many keys in one call.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{Either, select};
use gaggle_singleflight::Waiter;
use tokio::time::sleep;

use super::flight::Outcome;
use super::{Group, spans};
use crate::{Answer, Error, Invitation, Party, Peer};

/// How a key of many is to be answered.
enum Begun {
    Now(Result<Answer, Error>),
    Later(Waiter<Outcome>),
}

/// The parties of one call.
#[derive(Default)]
pub(super) struct Parties {
    /// By the address of the peer's handle. Should a new handle take over the address of an old one during the call, the two
    /// peers' guests wait for each other, and that is all.
    fetches: BTreeMap<*const (), Party>,
    /// Open while this is there.
    loads: Option<(Party, Invitation)>,
}

/// What a get begins together with.
pub(super) enum Together<'a> {
    /// Nothing that is known of.
    Alone,
    /// Other gets of one call.
    Call(&'a mut Parties),
    /// Other gets that a peer has sent in one request.
    Request(&'a Invitation),
}

impl Group {
    /// The values of many keys, in their order. Each fails by itself; those that are not in memory are loaded side by
    /// side, and a transport can ask each owner for all of its keys at once. The caller bounds their number.
    pub async fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Vec<Result<Answer, Error>> {
        let inner = &self.inner;
        let mut answers = Vec::with_capacity(keys.len());
        // One timer for all; none, nor a runtime, where all are in memory.
        let mut over = None;
        // One after the other, as all of them are on their way: there is no need to be woken for each.
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

    /// Answers what is in memory, and starts a flight for each other key or joins the one that runs. The flights that
    /// start and lead to one peer are a party; it is open until all have started.
    fn begin(&self, keys: &[impl AsRef<[u8]>]) -> Vec<Begun> {
        let router = self.inner.router();
        let mut parties = Parties::default();
        let mut begin =
            |key: &[u8]| match self.cached(key).or_else(|| self.inner.stale_for_now(key)) {
                Some(hit) => Begun::Now(Ok(hit)),
                None => {
                    let route = || router.route(key);
                    match self.inner.join(key, route, Together::Call(&mut parties)) {
                        Ok(waiter) => Begun::Later(waiter),
                        Err(error) => Begun::Now(Err(error)),
                    }
                }
            };
        keys.iter().map(|key| begin(key.as_ref())).collect()
    }
}

impl Parties {
    pub(super) fn of(&mut self, peer: &Arc<dyn Peer>) -> &Party {
        self.fetches.entry(Arc::as_ptr(peer).cast()).or_default()
    }

    pub(super) fn loads(&mut self) -> &Invitation {
        let open = || {
            let party = Party::new();
            let invitation = party.invitation();
            (party, invitation)
        };
        &self.loads.get_or_insert_with(open).1
    }
}
