//! Two nodes that disagree about who owns a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use gaggle_group::{Group, Source};
use gaggle_transport_http::{ServerOptions, Unmarked};
use tokio::time::timeout;

use crate::support::{AllTheirs, LONG, ask, peer, serve};

/// A group that counts the requests to its origin.
fn counting(loads: &Arc<AtomicUsize>) -> Group {
    let loads = loads.clone();
    Group::builder("scores")
        .origin_fn(move |_: Bytes| {
            loads.fetch_add(1, SeqCst);
            async { Ok::<_, std::io::Error>(Some("630")) }
        })
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_forward_ends_at_its_second_node() {
    let (here, there) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (one, two) = (counting(&here), counting(&there));
    let address_one = serve([one.clone()], ServerOptions::default()).await;
    let address_two = serve([two.clone()], ServerOptions::default()).await;
    one.set_router(Arc::new(AllTheirs(peer(address_two))));
    two.set_router(Arc::new(AllTheirs(peer(address_one))));

    let answer = timeout(LONG, one.lookup(b"Tom"))
        .await
        .expect("no ring of waits")
        .unwrap();
    assert_eq!(
        (answer.source, &answer.value.unwrap()[..]),
        (Source::Peer, &b"630"[..])
    );
    assert_eq!((here.load(SeqCst), there.load(SeqCst)), (0, 1));
    assert_eq!(one.stats().server_requests, 0);
    assert_eq!(two.stats().server_requests, 1);
}

#[tokio::test]
async fn a_request_without_the_mark_is_passed_on_once_or_not_at_all() {
    for (unmarked, expected) in [(Unmarked::Route, (0, 1)), (Unmarked::Answer, (1, 0))] {
        let (here, there) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (one, two) = (counting(&here), counting(&there));
        let options = ServerOptions {
            unmarked,
            ..ServerOptions::default()
        };
        let address_one = serve([one.clone()], options.clone()).await;
        let address_two = serve([two.clone()], options).await;
        one.set_router(Arc::new(AllTheirs(peer(address_two))));
        two.set_router(Arc::new(AllTheirs(peer(address_one))));

        let answer = ask(address_one, "GET /_groupcache/scores/Tom", "").await;
        assert!(answer.ends_with("\r\n\r\n\x0a\x03630"), "{answer}");
        assert_eq!(
            (here.load(SeqCst), there.load(SeqCst)),
            expected,
            "{unmarked:?}"
        );
    }
}
