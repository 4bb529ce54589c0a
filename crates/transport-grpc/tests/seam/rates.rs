//! The rate of a key, which its owner returns with the value.

use bytes::Bytes;
use gaggle_group::{Fetch, Group, Peer};

use crate::node::{LONG, Node, echo};

#[tokio::test]
async fn a_rate_comes_with_a_value_and_with_nothing_else() {
    let node = Node::serve([echo()]).await;
    let (peer, key) = (node.peer(), Bytes::from("k"));
    let fetch = Fetch::new("g", &key, 99, LONG);
    for requests in [1.0, 2.0, 3.0] {
        let fetched = peer.fetch(fetch).await.unwrap();
        let rate = fetched.minute_qps.unwrap();
        // Little has passed of the minute in which they count.
        assert!(rate <= requests && rate > 0.5 * requests, "{fetched:?}");
    }
    let kept = peer.fetch(fetch.kept_only()).await.unwrap();
    assert_eq!(kept.minute_qps, None);

    let empty = Group::builder("g")
        .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(None::<Bytes>) })
        .build()
        .unwrap();
    let absent = Node::serve([empty]).await.peer().fetch(fetch).await;
    assert_eq!(absent.unwrap().minute_qps, None);
}
