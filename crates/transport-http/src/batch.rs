//! Batches on the wire: many gets in one request, and their answers as a sequence of messages.

use bytes::{BufMut, BytesMut};
use gaggle_group::Verdict;
use gaggle_proto::peer::batch_answer::Result as Kind;
use gaggle_proto::peer::{BatchAnswer, NotKept, Refused, Separately};
use gaggle_proto::terms::Terms;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::message::{RATE, put_rate};

mod failure;
mod frames;

pub(crate) use failure::read as read_failure;
pub(crate) use frames::Frames;

/// The most gets in one request that a server takes.
pub(crate) const MAX_ITEMS: usize = 1 << 10;

/// The longest request that a server takes, in bytes.
pub(crate) const MAX_REQUEST: usize = 1 << 20;

/// The most bytes that an answer takes in addition to the value: tags and lengths, or the text of
/// a failure.
pub(crate) const OVERHEAD: u64 = 8 << 10;

/// The result of one get of a batch, if it is not a value.
#[derive(Debug)]
pub(crate) enum Valueless {
    NotFound(Terms),
    Failed(Verdict),
    Refused(String),
    Separately,
    NotKept,
}

/// Appends an answer without a value.
pub(crate) fn put_valueless(index: u32, answer: Valueless, out: &mut BytesMut) {
    let result = match answer {
        Valueless::NotFound(terms) => Kind::NotFound(terms),
        Valueless::Failed(verdict) => failure::write(verdict).map_or_else(
            || refused("a failure that cannot be told".to_owned()),
            Kind::Failure,
        ),
        Valueless::Refused(reason) => refused(reason),
        Valueless::Separately => Kind::Separately(Separately {}),
        Valueless::NotKept => Kind::NotKept(NotKept {}),
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

/// Appends an answer except for the value, which follows. It writes the message as prost would,
/// but by hand, since prost can only copy the value, and measures each message twice.
pub(crate) fn put_value_head(
    index: u32,
    len: usize,
    terms: &Terms,
    minute_qps: Option<f64>,
    out: &mut BytesMut,
) {
    // All tags here are one byte long.
    let len = len as u64;
    let terms_len = terms.encoded_len();
    let rate_len = minute_qps.map_or(0, |_| RATE);
    let value = (terms_len + rate_len + 1 + encoded_len_varint(len)) as u64 + len;
    let answer =
        (1 + encoded_len_varint(index.into()) + 1 + encoded_len_varint(value)) as u64 + value;
    encode_varint(answer, out);
    encode_key(1, WireType::Varint, out);
    encode_varint(index.into(), out);
    encode_key(2, WireType::LengthDelimited, out);
    encode_varint(value, out);
    if terms_len > 0 {
        out.reserve(terms_len);
        terms.encode_raw(out);
    }
    put_rate(7, minute_qps, out);
    encode_key(1, WireType::LengthDelimited, out);
    encode_varint(len, out);
}

/// Appends an answer with a value that is small enough to be copied.
pub(crate) fn put_value(
    index: u32,
    value: &[u8],
    terms: &Terms,
    minute_qps: Option<f64>,
    out: &mut BytesMut,
) {
    out.reserve(value.len() + 64 + RATE);
    put_value_head(index, value.len(), terms, minute_qps, out);
    out.put_slice(value);
}

#[cfg(test)]
mod tests {
    use gaggle_proto::terms::split;

    use super::*;

    #[test]
    fn a_value_is_written_as_prost_reads_it() {
        let all = Terms {
            ttl_ms: Some(u64::MAX),
            stale_while_revalidate_ms: 1,
            stale_if_error_ms: 300,
            age_ms: Some(0),
            metadata: vec![9; 1_024].into(),
        };
        let fresh = Terms {
            ttl_ms: Some(0),
            ..Terms::default()
        };
        for index in [0, 1, 127, 128, 1_023] {
            for len in [0, 1, 127, 128, 20_000] {
                let told = [
                    (&Terms::default(), None),
                    (&fresh, Some(1.0)),
                    (&all, Some(1e9)),
                ];
                for (terms, rate) in told {
                    let value = vec![7; len];
                    let mut out = BytesMut::new();
                    put_value(index, &value, terms, rate, &mut out);
                    let answer = BatchAnswer::decode_length_delimited(&mut out).unwrap();
                    assert!(out.is_empty(), "the length is that of the message");
                    assert_eq!(answer.index, index);
                    let Some(Kind::Value(message)) = answer.result else {
                        panic!("no value")
                    };
                    assert_eq!(split(message), (value.into(), terms.clone(), rate));
                }
            }
        }
    }
}
