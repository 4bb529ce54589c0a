//! Detection of a peer that answers late, or no longer.

use std::sync::atomic::AtomicBool;

use gaggle_group::{Entry, Key};

use super::*;

/// Pings hang, and fetches are answered as long as `answering`.
struct Busy {
    answering: AtomicBool,
}

#[async_trait]
impl Peer for Busy {
    fn name(&self) -> &str {
        "busy"
    }
    async fn fetch(&self, _: Fetch<'_>) -> Result<Fetched, PeerError> {
        if !self.answering.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(Entry::absent().into())
    }
    async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
        Ok(())
    }
    async fn ping(&self) -> Result<(), PeerError> {
        std::future::pending().await
    }
}

fn watched(answering: bool) -> (Arc<Busy>, Watched) {
    let busy = Arc::new(Busy {
        answering: AtomicBool::new(answering),
    });
    let shared = Shared {
        options: Options::default(),
        hedges: true,
        fleet: Arc::default(),
        went_down: Arc::default(),
        node: Weak::new(),
    };
    (
        busy.clone(),
        Watched::new(busy, "busy", "http://busy", false, &shared),
    )
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_requests_is_up_whatever_its_pings_say() {
    let (busy, watched) = watched(true);
    let key = Key::from_static(b"k");
    let fetch = Fetch::new("g", &key, 1, Duration::from_secs(5));
    for _ in 0..20 {
        watched.check();
        sleep(Duration::from_millis(100)).await;
        watched.fetch(fetch).await.unwrap();
        assert!(watched.is_usable());
    }
    busy.answering.store(false, Relaxed);
    assert!(watched.fetch(fetch).await.is_err());
    assert!(!watched.is_usable(), "silence on both ends is death");
}

// Row 2 of the fault matrix: this took 0.95 s before, because it waited for the next probe.
#[tokio::test(start_paused = true)]
async fn a_fetch_that_set_out_just_before_its_peer_was_marked_down_fails_with_the_others() {
    let (_, watched) = watched(false);
    let key = Key::from_static(b"k");
    let fetch = Fetch::new("g", &key, 1, Duration::from_secs(5));
    let began = Instant::now();
    let first = async {
        assert!(watched.fetch(fetch).await.is_err());
        began.elapsed()
    };
    // The monitor decides while this one is in its first 100 ms.
    let last = async {
        sleep(Duration::from_millis(350)).await;
        let began = Instant::now();
        assert!(watched.fetch(fetch).await.is_err());
        began.elapsed()
    };
    let (first, last) = tokio::join!(first, last);
    println!("row 2: the first fetch failed after {first:?}, the last after {last:?}");
    assert!(first <= Duration::from_millis(410), "{first:?}");
    assert!(last <= Duration::from_millis(110), "{last:?}");
}
