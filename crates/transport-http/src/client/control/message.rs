//! Requests with values, written as prost would write the messages, but by hand, since prost can
//! only copy values.

use bytes::{BufMut, Bytes, BytesMut};
use gaggle_group::{Entry, HandOver, Put};
use gaggle_proto::peer::{HandOverRequest, HandedOver, PutRequest};
use gaggle_proto::{notices, peer, terms};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::message::SMALL;

/// A value for the peer to keep.
pub(super) struct PutMessage {
    pub(super) parts: Vec<Bytes>,
}

impl PutMessage {
    pub(super) fn new(put: &Put<'_>) -> Self {
        let entry = Field::new(4, put.entry);
        let message = PutRequest {
            group: put.group.to_owned(),
            key: put.key.clone(),
            id: Some(notices::put_id(put.removal)),
            entry: None,
        };
        let mut parts = Writer::default();
        parts.open(2, message.encoded_len() + entry.encoded_len());
        parts.put(&message);
        entry.write(&mut parts);
        Self {
            parts: parts.finish(),
        }
    }
}

/// The entries that the peer has to keep from now on.
pub(super) struct HandOverMessage {
    pub(super) parts: Vec<Bytes>,
    /// Its length without the largest value, in bytes.
    pub(super) beside_largest: usize,
}

impl HandOverMessage {
    pub(super) fn new(hand_over: &HandOver<'_>) -> Self {
        let message = HandOverRequest {
            group: hand_over.group.to_owned(),
            entries: Vec::new(),
            known: notices::put_known(hand_over.known),
        };
        let entries = hand_over.entries.iter().map(|(key, entry)| {
            let handed = HandedOver {
                key: key.clone(),
                entry: None,
            };
            let entry = Field::new(2, entry);
            (handed.encoded_len() + entry.encoded_len(), handed, entry)
        });
        let entries: Vec<_> = entries.collect();
        let len =
            message.encoded_len() + entries.iter().map(|(len, ..)| within(*len)).sum::<usize>();
        let values = hand_over.entries.iter();
        let values = values.filter_map(|(_, entry)| entry.value.as_ref());
        let largest = values.map(Bytes::len).max().unwrap_or(0);
        let mut parts = Writer::default();
        parts.open(4, len);
        parts.put(&message);
        for (len, handed, entry) in &entries {
            parts.open(2, *len);
            parts.put(handed);
            entry.write(&mut parts);
        }
        Self {
            parts: parts.finish(),
            beside_largest: within(len) - largest,
        }
    }
}

/// An entry as a field of a message.
struct Field<'a> {
    number: u32,
    head: peer::Entry,
    value: Option<&'a Bytes>,
    len: usize,
}

impl<'a> Field<'a> {
    fn new(number: u32, entry: &'a Entry) -> Self {
        let head = peer::Entry {
            value: None,
            ..terms::put_entry(entry)
        };
        let value = entry.value.as_ref();
        let len = head.encoded_len() + value.map_or(0, |value| within(value.len()));
        Self {
            number,
            head,
            value,
            len,
        }
    }

    fn encoded_len(&self) -> usize {
        within(self.len)
    }

    fn write(&self, parts: &mut Writer) {
        parts.open(self.number, self.len);
        parts.put(&self.head);
        if let Some(value) = self.value {
            parts.open(1, value.len());
            parts.value(value);
        }
    }
}

/// The bytes of a field of that length, with its tag and its length. All tags here are one byte
/// long.
fn within(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// A message in parts: large values are parts by themselves.
#[derive(Default)]
struct Writer {
    parts: Vec<Bytes>,
    last: BytesMut,
}

impl Writer {
    /// Begins a field of that length.
    fn open(&mut self, number: u32, len: usize) {
        encode_key(number, WireType::LengthDelimited, &mut self.last);
        encode_varint(len as u64, &mut self.last);
    }

    fn put(&mut self, message: &impl Message) {
        self.last.reserve(message.encoded_len());
        message.encode_raw(&mut self.last);
    }

    fn value(&mut self, value: &Bytes) {
        if value.len() <= SMALL {
            self.last.put_slice(value);
        } else {
            self.parts.push(self.last.split().freeze());
            self.parts.push(value.clone());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        if !self.last.is_empty() {
            self.parts.push(self.last.freeze());
        }
        self.parts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gaggle_group::{Entry, Field, Freshness, Key, Known, Metadata, RemovalId};
    use gaggle_proto::peer::ControlRequest;
    use gaggle_proto::peer::control_request::Request as Kind;

    use super::*;

    #[test]
    fn a_value_is_written_as_prost_reads_it() {
        let freshness = Freshness::for_ttl(Duration::from_millis(300))
            .stale_while_revalidate(Duration::from_millis(4));
        let metadata = Metadata::default().with(Field::ETag, "\"1\"");
        for len in [
            None,
            Some(0),
            Some(1),
            Some(200),
            Some(SMALL),
            Some(SMALL + 1),
        ] {
            let entry = match len {
                Some(len) => Entry::value(vec![7; len]),
                None => Entry::absent(),
            };
            for entry in [
                entry.clone(),
                entry
                    .with_freshness(freshness)
                    .with_metadata(metadata.clone()),
            ] {
                let key = Key::from_static(b"Tom");
                let removal = RemovalId {
                    issuer: 5,
                    number: 6,
                };
                let put = PutMessage::new(&Put::new("scores", &key, &entry, removal));
                let whole = put.parts.concat();
                let Some(Kind::Put(read)) = ControlRequest::decode(&whole[..]).unwrap().request
                else {
                    panic!("another request")
                };
                assert_eq!((&*read.group, &read.key), ("scores", &key));
                assert_eq!(notices::id(read.id.unwrap()).unwrap(), removal);
                let read = terms::entry(read.entry.unwrap(), |value| value).unwrap();
                assert_eq!(read, entry, "{len:?}");
            }
        }
    }

    #[test]
    fn what_is_handed_over_is_written_as_prost_reads_it() {
        let freshness = Freshness::for_ttl(Duration::from_millis(300));
        let metadata = Metadata::default().with(Field::ETag, "\"1\"");
        let entry = |len| {
            let entry = Entry::value(vec![7; len]);
            entry
                .with_freshness(freshness)
                .with_metadata(metadata.clone())
        };
        let entries = [
            (Key::new(), entry(0)),
            (Key::from_static(b"gone"), Entry::absent()),
            (Key::from(vec![0; 300]), entry(SMALL + 1)),
            (Key::from_static(b"Tom"), entry(SMALL)),
            (Key::from_static(b"large"), entry(100_000)),
        ];
        let known = Known(vec![RemovalId {
            issuer: 5,
            number: 6,
        }]);
        for entries in [&entries[..0], &entries[..1], &entries[..4], &entries] {
            let message = HandOverMessage::new(&HandOver::new("scores", entries, &known));
            let whole = message.parts.concat();
            let largest = entries.iter().filter_map(|(_, entry)| entry.value.as_ref());
            let largest = largest.map(Bytes::len).max().unwrap_or(0);
            assert_eq!(message.beside_largest, whole.len() - largest);
            let Some(Kind::HandOver(read)) = ControlRequest::decode(&whole[..]).unwrap().request
            else {
                panic!("another request")
            };
            assert_eq!(read.group, "scores");
            assert_eq!(notices::known(read.known), known);
            let read: Vec<_> = read
                .entries
                .into_iter()
                .map(|handed| {
                    let entry = terms::entry(handed.entry.unwrap(), |value| value);
                    (handed.key, entry.unwrap())
                })
                .collect();
            assert_eq!(read, entries);
        }
    }
}
