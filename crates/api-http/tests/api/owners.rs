//! A batch asks for the keys of one owner together, so that a transport can send them in one
//! request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use gaggle_api_http::{FrontOptions, front_door};
use gaggle_group::{
    BatchMember, Entry, Fetch, Fetched, Group, Groups, Member, NoHotCopies, Notice, Peer,
    PeerError, PeerRequests, Route, Router, async_trait,
};
use serde_json::json;

use crate::client::Client;

/// The owner of every key, which counts the requests that could carry its fetches.
#[derive(Default)]
pub(crate) struct Owner {
    requests: AtomicUsize,
    /// Its value of each key; by default the key itself.
    entry: Option<Entry>,
}

impl Owner {
    pub(crate) fn of(entry: Entry) -> Self {
        Self {
            entry: Some(entry),
            ..Self::default()
        }
    }
}

#[async_trait]
impl Peer for Owner {
    fn name(&self) -> &str {
        "http://owner"
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        if fetch.batch.is_none_or(BatchMember::is_last) {
            self.requests.fetch_add(1, SeqCst);
        }
        if let Some(member) = fetch.batch {
            member.ready();
            member.all_ready().await;
        }
        let entry = self.entry.clone();
        Ok(entry
            .unwrap_or_else(|| Entry::value(fetch.key.clone()))
            .into())
    }

    async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), PeerError> {
        Ok(())
    }
}

struct AllTheirs(Arc<Owner>);

impl Router for AllTheirs {
    fn route(&self, _: &[u8]) -> Route {
        Route::Theirs(self.0.clone())
    }

    fn owner(&self, _: &[u8]) -> Member {
        Member {
            address: "".into(),
            name: self.0.name().into(),
            is_self: false,
            up: true,
            requests: PeerRequests::default(),
        }
    }

    fn members(&self) -> Vec<Member> {
        vec![self.owner(b"")]
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![self.0.clone()]
    }

    fn digest(&self) -> String {
        String::new()
    }
}

/// A group all of whose keys that node owns.
pub(crate) fn owned_by(owner: &Arc<Owner>) -> Group {
    Group::builder("scores")
        .origin_fn(|_: Bytes| async { Err::<Option<Bytes>, _>("every key is the owner's") })
        .router(Arc::new(AllTheirs(Arc::clone(owner))))
        .hot_copies(NoHotCopies)
        .build()
        .unwrap()
}

#[tokio::test]
async fn each_window_of_a_batch_asks_an_owner_once() {
    let owner = Arc::new(Owner::default());
    let group = owned_by(&owner);
    let options = FrontOptions::default();
    let step = options.batch_loads;
    let client = Client(front_door(Groups::new([group]).unwrap(), options));
    // The first window is small, as nothing is known of the values.
    for (count, requests) in [(16, 1), (100, 2), (16 + 2 * step, 3)] {
        let keys: Vec<String> = (0..count).map(|n| format!("{count}-{n}")).collect();
        let answer = client.post("/v1/scores", &json!({ "keys": keys })).await;
        let answer = answer.json();
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), count);
        assert!(results.iter().all(|row| row["status"] == 200));
        assert_eq!(owner.requests.swap(0, SeqCst), requests);
    }
}
