//! A peer reached over HTTP.

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{
    Fetch, Fetched, Greeting, HandOver, Hello, Inspect, Inspected, Known, News, Notice, Peer,
    PeerError, Put, TraceParent, Word, async_trait,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::HttpTransport;
use super::asker::Asker;
use super::queue::{Brought, Entered};

/// How long the answer to an operator's query may take, including connecting.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Another node, asked over HTTP; [`HttpTransport::peer`] makes one.
pub struct HttpPeer {
    asker: Arc<Asker>,
}

impl HttpPeer {
    pub(super) fn new(transport: HttpTransport, name: &str, base_url: &str) -> Self {
        Self {
            asker: Arc::new(Asker::new(transport, name, base_url)),
        }
    }

    /// Asks with a single request, unless the peer takes batches and other gets are waiting.
    async fn get(&self, fetch: &Fetch<'_>, began: Instant) -> Result<Fetched, PeerError> {
        let asker = &self.asker;
        let entered = asker.enter(fetch, began);
        // Whatever happens next, the others of its batch no longer wait for it.
        if let Some(member) = fetch.batch {
            member.ready();
        }
        let slot = match entered {
            Entered::Alone => None,
            Entered::First(slot) => Some(slot),
            Entered::Waiting(waiting) => match waiting.answer().await {
                Some(Brought::Answer(answer)) => return answer,
                Some(Brought::Separately) => None,
                Some(Brought::Slot(slot)) => Some(slot),
                // The batch ends at the latest deadline in it, or with its runtime.
                None => return Err(asker.late(fetch.deadline)),
            },
            Entered::Full { limit } => {
                return Err(asker.full(limit));
            }
        };
        // On the heap, since gets of a batch do not use it, and it would be most of their size.
        let answer = Box::pin(asker.get(fetch, began)).await;
        drop(slot);
        answer
    }

    /// Any request except a read or a ping.
    async fn in_time<T>(
        &self,
        request: impl Future<Output = Result<T, PeerError>>,
    ) -> Result<T, PeerError> {
        let most = self.asker.options().remove_timeout;
        let done = timeout(most, request).await;
        done.unwrap_or_else(|_| Err(self.asker.late(most)))
    }
}

#[async_trait]
impl Peer for HttpPeer {
    fn name(&self) -> &str {
        self.asker.name()
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let began = Instant::now();
        let get = self.get(&fetch, began);
        let done = match began.checked_add(fetch.deadline) {
            Some(until) => timeout_at(until, get).await,
            None => Ok(get.await),
        };
        done.unwrap_or_else(|_| Err(self.asker.late(fetch.deadline)))
    }

    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError> {
        self.remove_traced(group, notice, None).await
    }

    async fn remove_traced(
        &self,
        group: &str,
        notice: &Notice,
        trace: Option<TraceParent>,
    ) -> Result<(), PeerError> {
        self.in_time(self.asker.remove(group, notice, trace)).await
    }

    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        self.in_time(self.asker.put(put)).await
    }

    async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        self.in_time(self.asker.news(group, known, follower)).await
    }

    async fn hand_over(&self, hand_over: HandOver<'_>) -> Result<u64, PeerError> {
        match self.in_time(self.asker.hand_over(&hand_over)).await? {
            Some(kept) => Ok(kept),
            None => Err(self.has_no_such_thing()),
        }
    }

    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        match self.in_time(self.asker.leaving(word)).await? {
            Some(()) => Ok(()),
            None => Err(self.has_no_such_thing()),
        }
    }

    async fn inspect(&self, question: Inspect<'_>) -> Result<Inspected, PeerError> {
        let most = INSPECT_TIMEOUT;
        let asked = timeout(most, self.asker.inspect(question, most)).await;
        let asked = asked.unwrap_or_else(|_| Err(self.asker.late(most)));
        asked?.ok_or_else(|| self.has_no_such_thing())
    }

    async fn hello(&self, from: &Hello) -> Result<Greeting, PeerError> {
        let most = self.asker.options().ping_timeout;
        let greeted = timeout(most, self.asker.hello(from, most)).await;
        greeted.unwrap_or_else(|_| Err(self.asker.late(most)))
    }

    async fn ping(&self) -> Result<(), PeerError> {
        self.asker.ping().await
    }
}

impl std::fmt::Debug for HttpPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpPeer")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::serve;
    use gaggle_group::{Batch, BatchMember, Entry, Group, Groups, Key};
    use tokio::net::TcpListener;
    use tokio::task::{JoinSet, yield_now};

    use super::*;
    use crate::{ClientOptions, ServerOptions, router};

    const LONG: Duration = Duration::from_secs(20);

    async fn echoing() -> SocketAddr {
        let group = Group::builder("echo")
            .origin_fn(|key: Key| async move { Ok::<_, std::io::Error>(Some(key)) })
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = router(Groups::new([group]).unwrap(), ServerOptions::default());
        tokio::spawn(async move { serve(listener, app).await });
        address
    }

    async fn ask(peer: &HttpPeer, n: usize, member: Option<BatchMember>) {
        let key = Key::from(format!("key-{n}"));
        let fetch = Fetch::new("echo", &key, 99, LONG).with(member.as_ref());
        let expected = Entry::value(key.clone());
        assert_eq!(peer.fetch(fetch).await.unwrap().entry, expected);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_callers_that_come_and_go_leave_nothing_behind() {
        let transport = HttpTransport::new(ClientOptions::default()).unwrap();
        let peer = transport.peer(&format!("http://{}", echoing().await));
        let peer = peer.unwrap();
        ask(&peer, 0, None).await;
        for round in 0..30 {
            // Batches of none, of a few and of many.
            let size = [1, 5, 80][round % 3];
            let mut batch = Batch::new();
            let mut crowd = JoinSet::new();
            let mut gone = Vec::new();
            for n in 0..200 {
                if n % size == 0 {
                    batch = Batch::new();
                }
                let member = (size > 1).then(|| batch.member());
                let peer = Arc::clone(&peer);
                let caller = crowd.spawn(async move { ask(&peer, n, member).await });
                // The first of a queue, one in its middle, one that has a slot: by chance each of
                // them, over the rounds.
                if n % 7 == round % 7 {
                    gone.push(caller);
                }
                if n % 16 == 0 {
                    yield_now().await;
                    gone.drain(..).for_each(|caller| caller.abort());
                }
            }
            drop(batch);
            while let Some(caller) = timeout(LONG, crowd.join_next()).await.unwrap() {
                assert!(caller.is_ok() || caller.unwrap_err().is_cancelled());
            }
        }
        let queue = peer.asker.queue.as_ref().unwrap();
        // The last batch may have answered and not ended yet.
        let idle = async {
            while !queue.is_idle() {
                yield_now().await;
            }
        };
        timeout(LONG, idle)
            .await
            .expect("all slots and places are given back");
    }
}
