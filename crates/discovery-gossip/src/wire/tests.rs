use chitchat::{ChitchatMessage, Deserializable as _};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn id(generation: u64, port: u16) -> Id {
    Id {
        generation,
        address: ([10, 0, 0, 1], port.max(1)).into(),
    }
}

fn known() -> impl Strategy<Value = Vec<Known>> {
    let node = (any::<u64>(), any::<u16>(), any::<u64>(), any::<u64>());
    vec(node, 0..20).prop_map(|nodes| {
        nodes
            .into_iter()
            .map(|(generation, port, heartbeat, version)| Known {
                id: id(generation, port),
                heartbeat,
                version,
            })
            .collect()
    })
}

fn news() -> impl Strategy<Value = Vec<News>> {
    let value = (0_usize..4, ".{0,4}");
    let node = (any::<u16>(), any::<u64>(), vec(value, 0..6), 0_u64..2);
    vec(node, 0..20).prop_map(|nodes| {
        // Each node once: the generation is its index.
        (0_u64..)
            .zip(nodes)
            .map(|(generation, (port, after, values, more))| {
                let keys = [Key::Name, Key::Address, Key::Member, Key::State];
                let values: Vec<Value> = (1..)
                    .zip(values)
                    .map(|(version, (key, value))| Value {
                        key: keys[key],
                        value,
                        version,
                    })
                    .collect();
                News {
                    id: id(generation, port),
                    after,
                    upto: values.last().map_or(0, |last| last.version + more),
                    values,
                }
            })
            .collect()
    })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (known(), ".{0,9}").prop_map(|(known, cluster)| Message::Syn { known, cluster }),
        (known(), news()).prop_map(|(known, news)| Message::SynAck { known, news }),
        news().prop_map(|news| Message::Ack { news }),
    ]
}

/// An accepted message must be a message to chitchat as well.
fn is_read_by_chitchat(message: &Message) {
    let bytes = message.encode();
    let mut rest = &bytes[..];
    ChitchatMessage::deserialize(&mut rest).unwrap();
    assert!(rest.is_empty());
}

proptest! {
    #[test]
    fn a_message_survives_the_way(message in message()) {
        is_read_by_chitchat(&message);
        let mut read = Message::decode(&message.encode()).unwrap();
        // A version without a value is not read.
        let mut expected = message;
        for side in [&mut read, &mut expected] {
            for news in side.news_mut().into_iter().flatten() {
                news.upto = news.values.last().map_or(0, |last| last.version);
            }
        }
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), kind in 0_u8..4) {
        let _refused = Message::decode(&bytes);
        let mut headed = vec![0x53, 0xb0, 0, kind];
        headed.extend(bytes);
        if let Ok(message) = Message::decode(&headed) {
            is_read_by_chitchat(&message);
        }
    }

    #[test]
    fn mutated_messages_are_read_or_refused(
        message in message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..4),
    ) {
        let mut bytes = message.encode();
        for (index, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let index = index.index(bytes.len());
            match how {
                0 => bytes[index] = byte,
                1 => bytes.truncate(index),
                2 => bytes.insert(index, byte),
                _ => drop(bytes.remove(index)),
            }
        }
        if let Ok(message) = Message::decode(&bytes) {
            is_read_by_chitchat(&message);
        }
    }
}

/// An acknowledgement with that delta.
fn ack(delta: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x53, 0xb0, 0, 2];
    bytes.extend_from_slice(delta);
    bytes
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(bytes, 0).unwrap();
    let mut block = vec![1];
    block.extend(u16::try_from(packed.len()).unwrap().to_le_bytes());
    block.extend(packed);
    block
}

#[test]
fn packed_blocks_are_read() {
    let news = News {
        id: id(1, 1),
        after: 0,
        values: vec![Value {
            key: Key::Name,
            value: "node".into(),
            version: 1,
        }],
        upto: 1,
    };
    let mut operations = Vec::new();
    put_news(&mut operations, &news);
    let (first, second) = operations.split_at(20);
    let mut delta = packed(first);
    delta.extend(packed(second));
    delta.push(0);
    let read = Message::decode(&ack(&delta)).unwrap();
    assert_eq!(read, Message::Ack { news: vec![news] });
}

#[test]
fn a_datagram_cannot_unpack_to_more_than_a_mebibyte() {
    // Each block becomes 65,535 bytes; a datagram has room for thousands of them.
    let block = packed(&[0; MAX_BLOCK]);
    let mut delta = block.repeat(60_000 / block.len());
    delta.push(0);
    let refused = Message::decode(&ack(&delta)).unwrap_err();
    assert_eq!(refused, Malformed("too much news"));
}

#[test]
fn what_no_node_of_ours_sends_is_refused() {
    let operations = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut operations = Vec::new();
        put_news(
            &mut operations,
            &News {
                id: id(1, 1),
                after: 0,
                values: Vec::new(),
                upto: 0,
            },
        );
        write(&mut operations);
        let mut delta = vec![2];
        delta.extend(u16::try_from(operations.len()).unwrap().to_le_bytes());
        delta.extend(operations);
        delta.push(0);
        Message::decode(&ack(&delta))
    };
    let value = |out: &mut Vec<u8>, key: &str, value: &str, version: u64, removed: u8| {
        out.push(1);
        put_text(out, key);
        put_text(out, value);
        out.extend(version.to_le_bytes());
        out.push(removed);
    };
    operations(&|out| value(out, "name", "a", 1, 0)).unwrap();
    operations(&|out| value(out, "name", "a", 0, 0)).unwrap_err();
    operations(&|out| value(out, "name", "a", 1, 1)).unwrap_err();
    operations(&|out| {
        value(out, "name", "a", 2, 0);
        value(out, "state", "ready", 2, 0);
    })
    .unwrap_err();
    // The same node twice.
    operations(&|out| {
        put_news(
            out,
            &News {
                id: id(1, 1),
                after: 0,
                values: Vec::new(),
                upto: 0,
            },
        );
    })
    .unwrap_err();
}

#[test]
fn values_that_are_unknown_or_too_long_are_passed_over() {
    let mut operations = Vec::new();
    put_news(
        &mut operations,
        &News {
            id: id(1, 1),
            after: 0,
            values: Vec::new(),
            upto: 0,
        },
    );
    let long = "n".repeat(Key::Name.max_len() + 1);
    for (version, (key, value)) in
        (1_u64..).zip([("name", &long[..]), ("state", "ready"), ("zone", "a")])
    {
        operations.push(1);
        put_text(&mut operations, key);
        put_text(&mut operations, value);
        operations.extend(version.to_le_bytes());
        operations.push(0);
    }
    let mut delta = packed(&operations);
    delta.push(0);
    let mut read = Message::decode(&ack(&delta)).unwrap();
    is_read_by_chitchat(&read);
    let [news] = &read.news_mut().unwrap()[..] else {
        panic!("{read:?}");
    };
    assert_eq!(news.upto, 3);
    assert_eq!(news.values.len(), 1);
    assert_eq!(news.values[0].key, Key::State);
}

#[test]
fn a_message_that_is_too_large_goes_without_its_last_news() {
    let nodes = 1..=u64::try_from(MAX_NODES).unwrap();
    let v6 = |generation| Id {
        generation,
        address: ([0xfd00, 0, 0, 0, 0, 0, 0, 1], 7946).into(),
    };
    let known: Vec<Known> = nodes
        .clone()
        .map(|generation| Known {
            id: v6(generation),
            heartbeat: u64::MAX,
            version: u64::MAX,
        })
        .collect();
    let news: Vec<News> = nodes
        .map(|generation| News {
            id: v6(generation),
            after: 0,
            values: vec![Value {
                key: Key::Name,
                value: "n".repeat(Key::Name.max_len()),
                version: 1,
            }],
            upto: 1,
        })
        .collect();
    let limit = crate::seal::MAX_MESSAGE;
    let mut message = Message::SynAck {
        known: known.clone(),
        news: news.clone(),
    };
    let bytes = message.encode_within(limit).unwrap();
    assert!(
        bytes.len() <= limit && bytes.len() > limit - 500,
        "{}",
        bytes.len()
    );
    let read = Message::decode(&bytes).unwrap();
    let Message::SynAck {
        known: all,
        news: some,
    } = read
    else {
        panic!("{read:?}");
    };
    assert_eq!(all, known);
    assert!(!some.is_empty());
    assert_eq!(some[..], news[..some.len()]);
    // The digest of all nodes is sent whole, or not at all.
    let cluster = "gaggle".to_owned();
    assert!(
        Message::Syn {
            known: known.clone(),
            cluster: cluster.clone()
        }
        .encode_within(limit)
        .is_some()
    );
    assert_eq!(Message::Syn { known, cluster }.encode_within(100), None);
}
