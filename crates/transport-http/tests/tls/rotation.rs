//! Certificates and CAs that change under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use futures_util::future::join_all;
use gaggle_transport_http::HttpPeer;
use tokio::task::JoinHandle;

use crate::world::*;

/// Asks without a pause until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    askers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(peer: &Arc<HttpPeer>) -> Self {
        let (stop, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let askers = (0..8).map(|asker| {
            let (peer, stop, asked) = (Arc::clone(peer), Arc::clone(&stop), Arc::clone(&asked));
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    let key = format!("{asker}/{}", asked.fetch_add(1, Relaxed));
                    ask(&peer, &key).await.unwrap();
                }
            })
        });
        let askers = askers.collect();
        Self {
            stop,
            asked,
            askers,
        }
    }

    /// Waits for that many more requests.
    async fn goes_on(&self) {
        let until = self.asked.load(Relaxed) + 100;
        while self.asked.load(Relaxed) < until {
            assert!(!self.askers.iter().any(JoinHandle::is_finished));
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) {
        self.stop.store(true, Relaxed);
        for asked in join_all(self.askers).await {
            asked.unwrap();
        }
    }
}

#[tokio::test]
async fn certificates_and_cas_change_without_a_failure() {
    let (old, new) = (Ca::new("old CA"), Ca::new("new CA"));
    let both = format!("{}{}", old.pem(), new.pem());
    let owner = Certificates::new(&old, "127.0.0.1");
    let asker = Certificates::new(&old, "asker");
    let node = Node::start(&owner).await;
    let peer = node.peer("a", asker.options());
    let load = Load::start(&peer);
    load.goes_on().await;
    assert_eq!(node.shown.lock().unwrap().len(), 1);

    // Other certificates by the same CA: each side's new ones are in use soon after.
    for changes in 2..5 {
        owner.replace(&old, "127.0.0.1", &old.pem());
        load.goes_on().await;
        asker.replace(&old, "asker", &old.pem());
        while node.shown.lock().unwrap().len() < changes {
            load.goes_on().await;
        }
    }
    // Another CA: first both are trusted, then the new one signs, then the old one is not trusted
    // any more.
    for (ca, trusted) in [(&old, &both), (&new, &both), (&new, &new.pem())] {
        owner.replace(ca, "127.0.0.1", trusted);
        load.goes_on().await;
        asker.replace(ca, "asker", trusted);
        load.goes_on().await;
    }
    while node.shown.lock().unwrap().len() < 7 {
        load.goes_on().await;
    }
    load.stop().await;

    // A client with only the old CA's certificate is refused.
    let late = node.peer("a", Certificates::new(&old, "late").options());
    let reason = refusal(&late).await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    drop((peer, late));
    node.stop().await;
}
