//! Values that are put, beside gets and other puts of the same key.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::{Arc, Barrier};

use bytes::Bytes;
use gaggle_group::{
    Entry, Fetch, Fetched, Group, Hop, Key, LocalOnly, Member, Notice, Peer, PeerError, Put,
    RemovalId, Route, Router, Sampled, Serve, Source, async_trait,
};
use tokio::sync::Semaphore;

/// The node that owns every key: a group of its own, to which each put waits for a permit.
struct Owner {
    group: Group,
    puts: Semaphore,
}

#[async_trait]
impl Peer for Owner {
    fn name(&self) -> &str {
        "owner"
    }
    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let serve = Serve::new(fetch.key, Hop::Forwarded).after(fetch.removals);
        let served = self.group.serve(serve).await.unwrap();
        Ok(Fetched::from(Entry::value(served.answer.value.unwrap())))
    }
    async fn remove(&self, _: &str, notice: &Notice) -> Result<(), PeerError> {
        self.group.apply(notice);
        Ok(())
    }
    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        self.puts.acquire().await.unwrap().forget();
        self.group.accept(put.key, put.entry, put.removal).unwrap();
        Ok(())
    }
    async fn ping(&self) -> Result<(), PeerError> {
        Ok(())
    }
}

/// All keys are the owner's.
struct Theirs(Arc<Owner>);

impl Router for Theirs {
    fn route(&self, _: &[u8]) -> Route {
        Route::Theirs(Arc::clone(&self.0) as Arc<dyn Peer>)
    }
    fn owner(&self, key: &[u8]) -> Member {
        Member {
            name: "owner".into(),
            is_self: false,
            ..LocalOnly::default().owner(key)
        }
    }
    fn members(&self) -> Vec<Member> {
        vec![self.owner(b"")]
    }
    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![Arc::clone(&self.0) as Arc<dyn Peer>]
    }
    fn digest(&self) -> String {
        LocalOnly::default().digest()
    }
}

fn group() -> Group {
    let builder = Group::builder("scores").hot_copies(Sampled { one_in: 1 });
    let origin = |_: Bytes| async { Ok::<_, String>(Some("the origin's")) };
    builder.origin_fn(origin).build().unwrap()
}

#[tokio::test]
async fn a_get_while_the_owner_is_given_a_value_leaves_no_older_copy() {
    let owner = Arc::new(Owner {
        group: group(),
        puts: Semaphore::new(0),
    });
    let asker = group();
    asker.set_router(Arc::new(Theirs(Arc::clone(&owner))));
    for round in 0..3 {
        let new = Bytes::from(format!("put {round}"));
        let putting = tokio::spawn({
            let (asker, entry) = (asker.clone(), Entry::value(new.clone()));
            async move { asker.put("Tom", entry).await }
        });
        while asker.stats().issued.puts <= round {
            tokio::task::yield_now().await;
        }
        // On its way to the owner: what is found now is older, and was allowed to be.
        let found = asker.lookup("Tom").await.unwrap();
        assert_ne!(found.value.as_ref(), Some(&new));
        assert_eq!(asker.lookup("Tom").await.unwrap().source, Source::Hot);
        owner.puts.add_permits(1);
        let removal = putting.await.unwrap().unwrap();
        assert!(removal.missed.is_empty());
        for _ in 0..2 {
            assert_eq!(asker.get("Tom").await.unwrap(), new);
            assert_eq!(owner.group.get("Tom").await.unwrap(), new);
        }
    }
}

#[test]
fn one_of_many_values_that_are_put_together_is_kept() {
    const WRITERS: usize = 4;
    const ROUNDS: u64 = 2_000;
    let group = group();
    let barrier = Barrier::new(WRITERS + 1);
    let mut lost = Vec::new();
    let key = Key::from("Tom");
    let removal = |writer: usize, number| RemovalId {
        issuer: 1 + writer as u64,
        number,
    };
    std::thread::scope(|threads| {
        for writer in 0..WRITERS {
            let (group, barrier, key) = (&group, &barrier, &key);
            threads.spawn(move || {
                for round in 1..=ROUNDS {
                    barrier.wait();
                    let entry = Entry::value(format!("{round} of {writer}"));
                    group.accept(key, &entry, removal(writer, round)).unwrap();
                    barrier.wait();
                }
            });
        }
        for round in 1..=ROUNDS {
            barrier.wait();
            barrier.wait();
            let kept = group.peek(&key).and_then(|kept| kept.value);
            let of_this = format!("{round} of");
            if !kept.is_some_and(|kept| kept.starts_with(of_this.as_bytes())) {
                // A panic here would leave the writers waiting.
                lost.push(round);
            }
        }
    });
    assert_eq!(lost, [0; 0], "rounds of which no value was kept");
}
