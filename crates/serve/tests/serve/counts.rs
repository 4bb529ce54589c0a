use std::time::Duration;

use gaggle_serve::{Counted, Options};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn connections_and_requests_are_counted() {
    let options = Options {
        max_connections: 1,
        ..patient()
    };
    let running = Running::start(options, hello()).await;
    let counts = running.counts.clone();
    assert_eq!(
        (counts.snapshot().limit, counts.snapshot().accepted),
        (1, 0)
    );
    let mut first = running.connect().await;
    for _ in 0..2 {
        send(&mut first, GET).await;
        read_hello(&mut first).await;
    }
    // There is no room for another one until the first is closed.
    let mut second = running.connect().await;
    send(&mut second, GET).await;
    read_hello(&mut second).await;

    let seen = counts.snapshot();
    assert_eq!((seen.open, seen.accepted, seen.requests), (1, 2, 3));
    assert_eq!((seen.waited, seen.made_room), (1, 1));
    assert_eq!((seen.accept_failures, seen.handshake_failures), (0, 0));
    drop(second);
    assert_eq!(running.drained().await.cut, 0);
    let Counted { open, cut, .. } = counts.snapshot();
    assert_eq!((open, cut), (0, Default::default()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_is_counted_by_why() {
    let options = Options {
        header_read_timeout: Duration::from_secs(3),
        drain: SECOND,
        ..patient()
    };
    let (router, _hold, mut begun) = gated();
    let running = Running::start(options, router).await;
    let counts = running.counts.clone();
    let mut slow = running.connect().await;
    send(&mut slow, "GET / HT").await;
    assert_eq!(read_to_close(&mut slow).await, "");
    assert_eq!(counts.snapshot().cut.head, 1);

    let mut busy = running.connect().await;
    send(&mut busy, GET).await;
    begun.recv().await.unwrap();
    assert_eq!(running.drained().await.cut, 1);
    let cut = counts.snapshot().cut;
    assert_eq!((cut.head, cut.shutdown), (1, 1));
    let reasons = cut.by_reason();
    assert_eq!(reasons.map(|(_, n)| n).iter().sum::<u64>(), 2);
}
