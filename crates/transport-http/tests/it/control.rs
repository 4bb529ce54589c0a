//! Values to keep, and the question for removals, between two Gaggle nodes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    Entry, Field, Freshness, Group, Key, Known, Limits, LocalOnly, Member, Metadata, Peer,
    PeerError, Put, RemovalId, Route, Router, Scope, Verdict,
};
use gaggle_transport_http::ServerOptions;

use crate::support::{echo, new_id, peer, raw, removal, serve};

fn put<'a>(key: &'a Key, entry: &'a Entry, removal: RemovalId) -> Put<'a> {
    Put::new("echo", key, entry, removal)
}

#[tokio::test]
async fn a_value_is_kept_as_it_was_given() {
    let group = echo();
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = peer(server);
    let hour = Duration::from_secs(3_600);
    let metadata = Metadata::default().with(Field::ETag, "\"1\"");
    let freshness = Freshness::for_ttl(hour).stale_if_error(2 * hour);
    for len in [0, 1, 16 << 10, (16 << 10) + 1, 5 << 20] {
        let key = Key::from(format!("key {len}"));
        let value: Bytes = (0..=250u8).cycle().take(len).collect();
        let entry = Entry::value(value.clone())
            .with_freshness(freshness)
            .with_metadata(metadata.clone());
        peer.put(put(&key, &entry, new_id())).await.unwrap();
        let kept = group.cached(&key).expect("kept");
        assert_eq!(kept.value, Some(value), "{len}");
        assert_eq!(kept.metadata, metadata);
        assert_eq!(kept.freshness.error_window(), 2 * hour);
        let ttl = kept.freshness.ttl.unwrap();
        assert!(ttl <= hour && ttl > hour / 2, "{ttl:?}");
    }
    // An absence, in place of a value.
    let key = Key::from("key 1");
    let gone = Entry::absent().with_freshness(Freshness::for_ttl(hour));
    let id = new_id();
    peer.put(put(&key, &gone, id)).await.unwrap();
    assert_eq!(group.cached(&key).unwrap().value, None);
    // A put that was applied is not applied again.
    let entry = Entry::value("later");
    peer.put(put(&key, &entry, id)).await.unwrap();
    assert_eq!(group.cached(&key).unwrap().value, None);
}

#[tokio::test]
async fn a_value_that_the_group_would_not_keep_is_told_with_a_verdict() {
    let limits = Limits {
        max_value: 10,
        max_key: 3,
        ..Limits::default()
    };
    let group = Group::builder("echo")
        .limits(limits)
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap();
    let server = serve([group], ServerOptions::default()).await;
    let peer = peer(server);
    let verdict = async |key: &'static str, len: usize| {
        let (key, entry) = (Key::from(key), Entry::value(vec![0; len]));
        match peer.put(put(&key, &entry, new_id())).await {
            Err(PeerError::Verdict { verdict, .. }) => verdict,
            other => panic!("{other:?}"),
        }
    };
    let too_large = Verdict::ValueTooLarge {
        len: Some(11),
        limit: 10,
    };
    assert_eq!(verdict("k", 11).await, too_large);
    assert_eq!(verdict("long", 1).await, Verdict::KeyTooLong { limit: 3 });

    let (key, entry) = (Key::from("k"), Entry::value("v"));
    let elsewhere = Put::new("nobody", &key, &entry, new_id());
    let failure = peer.put(elsewhere).await.unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
}

/// Records which nodes follow.
struct Followed(LocalOnly, Arc<Mutex<Vec<String>>>);

impl Router for Followed {
    fn route(&self, key: &[u8]) -> Route {
        self.0.route(key)
    }

    fn owner(&self, key: &[u8]) -> Member {
        self.0.owner(key)
    }

    fn members(&self) -> Vec<Member> {
        self.0.members()
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        self.0.peers()
    }

    fn followed_by(&self, name: &str) {
        self.1.lock().unwrap().push(name.to_owned());
    }

    fn digest(&self) -> String {
        self.0.digest()
    }
}

#[tokio::test]
async fn news_are_told_to_those_who_ask_and_their_names_are_noted() {
    let group = echo();
    let followers = Arc::new(Mutex::new(Vec::new()));
    let router = Followed(LocalOnly::new("http://self"), Arc::clone(&followers));
    group.set_router(Arc::new(router));
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = peer(server);

    let me = "http://10.0.0.9:8001";
    let nothing = peer.news("echo", &Known::default(), me).await.unwrap();
    assert_eq!(nothing, Some(Default::default()));

    let mut notices = [&[&b"a"[..], b""][..], &[b"\xff\0"], &[]].map(removal);
    notices[2].scope = Scope::Group;
    for notice in &notices {
        assert!(group.apply(notice));
    }
    let known = Known(vec![notices[1].id]);
    let news = peer.news("echo", &known, me).await.unwrap().unwrap();
    // Of the issuers the one with the lowest identity comes first.
    assert_eq!(news.notices, [notices[0].clone(), notices[2].clone()]);
    assert!(news.unlisted.is_empty() && !news.more);

    // A text that is not a node's name is ignored, and the question is answered.
    let long = format!("http://{}", "a".repeat(256));
    for name in ["", "node", "ftp://node", "http://me:pass@node", &long] {
        let news = peer.news("echo", &known, name).await.unwrap().unwrap();
        assert_eq!(news.notices.len(), 2);
    }
    assert_eq!(*followers.lock().unwrap(), [me, me]);

    let failure = peer.news("nobody", &known, me).await.unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
}

#[tokio::test]
async fn many_news_come_in_parts_and_a_huge_one_is_told_as_of_the_group() {
    let group = echo();
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = peer(server);
    let large = vec![b'k'; 60_000];
    let keys: Vec<&[u8]> = std::iter::repeat_n(&large[..], 40).collect();
    let huge = removal(&keys);
    group.apply(&huge);
    let small: Vec<_> = (0..1_500).map(|_| removal(&[b"k"])).collect();
    for notice in &small {
        group.apply(notice);
    }
    let (mut known, mut told) = (Known::default(), Vec::new());
    loop {
        let news = peer.news("echo", &known, "").await.unwrap().unwrap();
        known.0.extend(news.notices.iter().map(|notice| notice.id));
        told.extend(news.notices);
        if !news.more {
            break;
        }
    }
    assert_eq!(told.len(), 1_501);
    let of_huge = told.iter().find(|notice| notice.id == huge.id).unwrap();
    assert_eq!(of_huge.scope, Scope::Group);
    assert!(small.iter().all(|notice| told.contains(notice)));
}

async fn post(address: SocketAddr, headers: &str, body: &[u8]) -> String {
    let mut request = format!(
        "POST /_groupcache/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ngaggle-control: 1\r\n{headers}\r\n"
    )
    .into_bytes();
    request.extend(body);
    raw(address, &request).await
}

#[tokio::test]
async fn bad_control_requests_are_refused_and_marked() {
    let limits = Limits {
        max_value: 1_000,
        ..Limits::default()
    };
    let group = Group::builder("g")
        .limits(limits)
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap();
    let server = serve([group], ServerOptions::default()).await;
    let status = async |body: &[u8]| {
        let length = format!("content-length: {}\r\n", body.len());
        let answer = post(server, &length, body).await;
        assert!(answer.contains("\r\ngaggle-control: 1\r\n"), "{answer}");
        answer[9..12].to_owned()
    };
    let id = b"\x09\x01\0\0\0\0\0\0\0\x10\x01";
    let within = |tag: u8, inner: &[u8]| {
        let len = inner.len();
        let mut message = vec![tag];
        // Long lengths in three bytes.
        match u8::try_from(len) {
            Ok(len) if len < 128 => message.push(len),
            _ => message.extend(
                [(len & 0x7f) | 0x80, (len >> 7 & 0x7f) | 0x80, len >> 14]
                    .map(|b| u8::try_from(b).unwrap()),
            ),
        }
        message.extend(inner);
        message
    };
    let remove = |notice: &[u8]| within(0x0a, &[&b"\x0a\x01g"[..], &within(0x1a, notice)].concat());
    assert_eq!(status(&remove(&within(0x0a, id))).await, "200");
    let two_keys = [&within(0x0a, id)[..], b"\x12\x01a\x12\x00"].concat();
    assert_eq!(status(&remove(&two_keys)).await, "200");
    let long_key = [within(0x0a, id), within(0x12, &vec![0; (64 << 10) + 1])].concat();
    let many_keys = [within(0x0a, id), b"\x12\x00".repeat((1 << 18) + 1)].concat();
    for bad in [
        &b""[..],
        b"text",
        b"\x0a\x00",
        b"\x0a\x03\x0a\x01g",
        // No name; a name without a number.
        &remove(b"\x18\x01"),
        &remove(b"\x0a\x00"),
        &remove(&long_key),
        &remove(&many_keys),
        // A value without a name, and without an entry.
        b"\x12\x03\x0a\x01g",
        &within(0x12, &[&b"\x0a\x01g"[..], &within(0x1a, id)].concat()),
        // Metadata that is none.
        &within(
            0x12,
            &[
                &b"\x0a\x01g"[..],
                &within(0x1a, id),
                b"\x22\x03\x32\x01\x01",
            ]
            .concat(),
        ),
    ] {
        let no_group = bad == b"\x0a\x00";
        let expected = if no_group { "404" } else { "400" };
        assert_eq!(
            status(bad).await,
            expected,
            "{:?}",
            &bad[..bad.len().min(40)]
        );
    }
    // The length is stated and the body not sent: the stated length must be enough. It includes
    // the largest value.
    let too_long = post(server, "content-length: 2098153\r\n", b"").await;
    assert!(too_long.starts_with("HTTP/1.1 413 "), "{too_long}");
    let text = "a control request has at most 2098152 bytes\n";
    assert!(too_long.ends_with(text), "{too_long}");
    // Without a value the larger limit does not hold.
    let mut news = within(0x1a, b"\x0a\x01g");
    let padding = (2 << 20) - 100;
    news.extend(within(0x7a, &vec![0; 1 << 20]));
    news.extend(within(0x7a, &vec![0; padding - (1 << 20)]));
    assert_eq!(status(&news).await, "200");
    news.extend(within(0x7a, &[0; 200]));
    assert_eq!(status(&news).await, "413");
}
