//! Values of every size arrive unchanged, and none over the limit.

use bytes::Bytes;
use gaggle_group::{Group, PeerError, Verdict};
use gaggle_transport_http::{ClientOptions, Encoding, ServerOptions};

use crate::support::{fetch_most, peer_with, serve};

const LIMIT: u64 = 1 << 20;

/// The key is a number, and the value that many bytes.
fn sized() -> Group {
    Group::builder("sized")
        .origin_fn(|key: Bytes| async move {
            let len: usize = std::str::from_utf8(&key)?.parse()?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some(pattern(len)))
        })
        .build()
        .unwrap()
}

fn pattern(len: usize) -> Bytes {
    (0..=250u8).cycle().take(len).collect()
}

#[tokio::test]
async fn every_size_comes_through_up_to_the_limit() {
    for encoding in [Encoding::Protobuf, Encoding::Raw] {
        let server = serve(
            [sized()],
            ServerOptions {
                encoding,
                ..ServerOptions::default()
            },
        )
        .await;
        let peer = peer_with(
            server,
            ClientOptions {
                encoding,
                ..ClientOptions::default()
            },
        );
        // Around the places where lengths, copies and buffers change.
        for len in [0, 1, 127, 128, 16_383, 16_384, 16_385, 100_000, 1 << 20] {
            let fetched = fetch_most(&peer, "sized", len.to_string().as_bytes(), LIMIT).await;
            assert_eq!(fetched.unwrap().value, Some(pattern(len)), "{len}");
        }
        let over = LIMIT + 1;
        match fetch_most(&peer, "sized", over.to_string().as_bytes(), LIMIT).await {
            Err(PeerError::Verdict { verdict, .. }) => {
                assert_eq!(
                    verdict,
                    Verdict::ValueTooLarge {
                        len: Some(over),
                        limit: LIMIT
                    }
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
