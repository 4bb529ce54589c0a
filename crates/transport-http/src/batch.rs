//! Batches on the wire: many gets in one request, and their answers as a sequence of messages.

use bytes::{BufMut, BytesMut};
use gaggle_group::Verdict;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use self::proto::batch_answer::Result as Kind;
use self::proto::{BatchAnswer, NotFound, Refused, Separately};

mod failure;
mod frames;

pub(crate) use failure::read as read_failure;
pub(crate) use frames::Frames;

/// Of the file that the gRPC transport has too, this one needs the messages of an answer alone.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated"
)]
pub(crate) mod proto {
    include!(concat!(env!("OUT_DIR"), "/gaggle.peer.v1.rs"));
}

/// The most gets in one request that a server takes.
pub(crate) const MAX_ITEMS: usize = 1 << 10;

/// The longest request that a server takes, in bytes.
pub(crate) const MAX_REQUEST: usize = 1 << 20;

/// The most bytes that an answer takes beside the value: tags and lengths, or the text of a failure.
pub(crate) const OVERHEAD: u64 = 8 << 10;

/// Where one get of a batch led, apart from a value.
#[derive(Debug)]
pub(crate) enum Valueless {
    NotFound,
    Failed(Verdict),
    Refused(String),
    Separately,
}

/// Appends an answer without a value.
pub(crate) fn put_valueless(index: u32, answer: Valueless, out: &mut BytesMut) {
    let result = match answer {
        Valueless::NotFound => Kind::NotFound(NotFound {}),
        Valueless::Failed(verdict) => failure::write(verdict).map_or_else(
            || refused("a failure that cannot be told".to_owned()),
            Kind::Failure,
        ),
        Valueless::Refused(reason) => refused(reason),
        Valueless::Separately => Kind::Separately(Separately {}),
    };
    let answer = BatchAnswer {
        index,
        result: Some(result),
    };
    let len = answer.encoded_len();
    out.reserve(len + 10);
    encode_varint(len as u64, out);
    answer.encode_raw(out);
}

fn refused(reason: String) -> Kind {
    Kind::Refused(Refused { reason })
}

/// Appends all of an answer but the value, which follows: as prost would write the message; by hand, because prost can
/// only copy the value, and measures each message twice.
pub(crate) fn put_value_head(index: u32, len: usize, ttl_ms: Option<u64>, out: &mut BytesMut) {
    // All tags here are one byte long.
    let len = len as u64;
    let ttl_len = ttl_ms.map_or(0, |ttl| 1 + encoded_len_varint(ttl));
    let value = (ttl_len + 1 + encoded_len_varint(len)) as u64 + len;
    let answer =
        (1 + encoded_len_varint(index.into()) + 1 + encoded_len_varint(value)) as u64 + value;
    encode_varint(answer, out);
    encode_key(1, WireType::Varint, out);
    encode_varint(index.into(), out);
    encode_key(2, WireType::LengthDelimited, out);
    encode_varint(value, out);
    if let Some(ttl) = ttl_ms {
        encode_key(2, WireType::Varint, out);
        encode_varint(ttl, out);
    }
    encode_key(1, WireType::LengthDelimited, out);
    encode_varint(len, out);
}

/// Appends an answer with a value that is small enough to be copied.
pub(crate) fn put_value(index: u32, value: &[u8], ttl_ms: Option<u64>, out: &mut BytesMut) {
    out.reserve(value.len() + 64);
    put_value_head(index, value.len(), ttl_ms, out);
    out.put_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::proto::Value;

    #[test]
    fn a_value_is_written_as_prost_reads_it() {
        for index in [0, 1, 127, 128, 1_023] {
            for len in [0, 1, 127, 128, 20_000] {
                for ttl_ms in [None, Some(0), Some(u64::MAX)] {
                    let value = vec![7; len];
                    let mut out = BytesMut::new();
                    put_value(index, &value, ttl_ms, &mut out);
                    let expected = Value {
                        value: value.into(),
                        ttl_ms,
                    };
                    let answer = BatchAnswer::decode_length_delimited(&mut out).unwrap();
                    assert!(out.is_empty(), "the length is that of the message");
                    assert_eq!(answer.index, index);
                    assert_eq!(answer.result, Some(Kind::Value(expected)));
                }
            }
        }
    }
}
