//! Every key passes the client, the wire and the server unchanged.

use gaggle_group::{Peer, PeerError, Verdict};
use gaggle_transport_http::{ClientOptions, Encoding, ServerOptions};

use crate::support::{echo, fetch, found, peer_with, removal, serve};

fn nasty_keys() -> Vec<Vec<u8>> {
    let texts = [
        "Tom",
        "",
        " ",
        "a b",
        " a ",
        "+",
        "a+b",
        "%",
        "%20",
        "%2F",
        "%zz",
        "/",
        "//",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "...",
        "./",
        "../",
        "/.",
        "/..",
        "a/../b",
        "%2E",
        "%2e%2e",
        "?",
        "a?b=c",
        "#",
        "a#b",
        "&",
        "=",
        ";",
        ":",
        "@",
        "\\",
        "\"",
        "'",
        "<>",
        "{}",
        "|",
        "^",
        "`",
        "~",
        "*",
        "张三",
        "é",
        "\r\n",
        "\t",
        "http://x/y",
    ];
    let mut keys: Vec<Vec<u8>> = texts
        .into_iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    keys.extend((0..=255).map(|byte| vec![byte]));
    keys.push((0..=255).collect());
    keys.push(b"\xff\xfe\0".to_vec());
    // The longest that the group allows, when every byte needs an escape.
    keys.push(vec![0xff; 1 << 10]);
    keys
}

#[tokio::test]
async fn every_key_round_trips_in_every_dialect() {
    for (base_path, encoding) in [
        ("/_groupcache/", Encoding::Protobuf),
        ("/_gocache/", Encoding::Raw),
        ("/geecache/", Encoding::Protobuf),
        ("/carrotCache/", Encoding::Protobuf),
        ("/", Encoding::Raw),
    ] {
        let base_path: gaggle_transport_http::BasePath = base_path.parse().unwrap();
        let options = ServerOptions {
            base_path: base_path.clone(),
            encoding,
            ..ServerOptions::default()
        };
        let group = echo();
        let server = serve([group.clone()], options).await;
        let peer = peer_with(
            server,
            ClientOptions {
                base_path,
                encoding,
                ..ClientOptions::default()
            },
        );
        for key in nasty_keys() {
            assert_eq!(
                fetch(&peer, "echo", &key).await.unwrap(),
                found(key.clone()),
                "{key:?}"
            );
            assert!(
                group.cached(&key).is_some(),
                "{key:?} is kept under its own name"
            );
            peer.remove("echo", &removal(&[&key])).await.unwrap();
            assert!(group.cached(&key).is_none(), "{key:?}");
        }
    }
}

#[tokio::test]
async fn one_byte_over_the_limit_is_told() {
    let server = serve([echo()], ServerOptions::default()).await;
    let peer = peer_with(server, ClientOptions::default());
    match fetch(&peer, "echo", &[0xff; 1025]).await {
        Err(PeerError::Verdict { verdict, .. }) => {
            assert_eq!(verdict, Verdict::KeyTooLong { limit: 1024 });
        }
        other => panic!("{other:?}"),
    }
}
