//! The body of a 200: a value as protobuf or bare.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use gaggle_group::{ByteBudget, Hold};
use gaggle_proto::groupcache::GetResponse;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::Encoding;

/// The most bytes that a message takes in addition to the value: a tag and a length, `minute_qps`,
/// and a field or two that other versions add (mailgun's `expire`).
pub(crate) const OVERHEAD: u64 = 64;

/// Values up to this size are copied if that avoids keeping a larger allocation alive, or a write.
pub(crate) const SMALL: usize = 16 << 10;

/// The body with `value`, which counts against the budget until it is written. A large value is
/// not copied. A raw body has no place for the rate.
pub(crate) fn encode(
    encoding: Encoding,
    value: Bytes,
    minute_qps: Option<f64>,
    hold: Hold,
) -> Body {
    match encoding {
        Encoding::Raw => Body::from(held(value, hold)),
        Encoding::Protobuf => {
            // Written as prost would write the message, but by hand, since prost can only copy the
            // value.
            let copied = if value.len() <= SMALL { value.len() } else { 0 };
            let mut head = BytesMut::with_capacity(11 + copied + RATE);
            encode_key(1, WireType::LengthDelimited, &mut head);
            encode_varint(value.len() as u64, &mut head);
            if value.len() <= SMALL {
                head.put_slice(&value);
                put_rate(2, minute_qps, &mut head);
                Body::from(held(head.freeze(), hold))
            } else {
                let mut parts = vec![head.freeze(), held(value, hold)];
                if minute_qps.is_some() {
                    let mut rate = BytesMut::with_capacity(RATE);
                    put_rate(2, minute_qps, &mut rate);
                    parts.push(rate.freeze());
                }
                Body::new(Parts::new(parts))
            }
        }
    }
}

/// How many bytes a rate takes.
pub(crate) const RATE: usize = 9;

/// Appends a rate as the field of that number, of at most 15.
pub(crate) fn put_rate(field: u32, minute_qps: Option<f64>, out: &mut BytesMut) {
    if let Some(rate) = minute_qps {
        encode_key(field, WireType::SixtyFourBit, out);
        out.put_f64_le(rate);
    }
}

/// Bytes that count against the budget as long as they exist. The body that they are part of ends
/// earlier: a connection takes the last bytes out of it, and writes them when the other side
/// reads.
pub(crate) fn held<H: Send + 'static>(bytes: Bytes, hold: H) -> Bytes {
    struct Held<H> {
        bytes: Bytes,
        _hold: H,
    }
    impl<H> AsRef<[u8]> for Held<H> {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    // Bytes that draw on no budget need no allocation.
    if bytes.len() < ByteBudget::SMALL {
        return bytes;
    }
    Bytes::from_owner(Held { bytes, _hold: hold })
}

/// A body of known parts, so that hyper can state its length.
pub(crate) struct Parts {
    parts: vec::IntoIter<Bytes>,
}

impl Parts {
    pub(crate) fn new(parts: Vec<Bytes>) -> Self {
        Self {
            parts: parts.into_iter(),
        }
    }
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.parts.next().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        let parts = self.parts.as_slice().iter();
        SizeHint::with_exact(parts.map(|part| part.len() as u64).sum())
    }
}

/// The value of a complete body, and the rate of its key as received. Unknown fields are ignored,
/// and an empty body is an empty value.
///
/// A value is kept in a cache for long and counted there by its length, so it must not keep much
/// more memory alive: it is a slice of `body` only if it fills most of it.
pub(crate) fn decode(
    encoding: Encoding,
    body: Vec<u8>,
) -> Result<(Bytes, Option<f64>), prost::DecodeError> {
    let held = body.capacity();
    let body = Bytes::from(body);
    let (value, minute_qps) = match encoding {
        Encoding::Raw => (body, None),
        Encoding::Protobuf => {
            let message = GetResponse::decode(body)?;
            (message.value.unwrap_or_default(), message.minute_qps)
        }
    };
    Ok((kept(value, held), minute_qps))
}

/// A value to keep, from a buffer of `held` bytes: a slice of it if it fills most of it.
pub(crate) fn kept(value: Bytes, held: usize) -> Bytes {
    let wasteful = held > value.len() + value.len() / 8;
    if value.len() <= SMALL || wasteful {
        Bytes::copy_from_slice(&value)
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_messages_are_read() {
        let vectors: [(&[u8], &[u8], Option<f64>); 6] = [
            (b"\x0a\x03630", b"630", None),
            (b"\x0a\x00", b"", None),
            (b"", b"", None),
            // minute_qps, before and after the value.
            (b"\x0a\x01a\x11\0\0\0\0\0\0\xf0\x3f", b"a", Some(1.0)),
            (b"\x11\0\0\0\0\0\0\xf0\x3f\x0a\x01a", b"a", Some(1.0)),
            // mailgun's expire, and a field of a version to come.
            (b"\x0a\x01a\x18\x80\x01\x7a\x02xy", b"a", None),
        ];
        for (body, value, rate) in vectors {
            let read = decode(Encoding::Protobuf, body.to_vec()).unwrap();
            assert_eq!(read, (Bytes::from_static(value), rate));
        }
    }

    #[test]
    fn half_a_message_is_no_value() {
        for body in [
            &b"\x0a"[..],
            b"\x0a\x05630",
            b"630 in plain text",
            b"\x0a\x03630\x0a",
            b"\xff",
        ] {
            assert!(
                decode(Encoding::Protobuf, body.to_vec()).is_err(),
                "{body:?}"
            );
        }
    }

    #[test]
    fn a_large_value_is_not_copied_and_a_wasteful_buffer_is_let_go() {
        let large = vec![7; 1 << 20];
        let body = large.clone();
        let at = body.as_ptr();
        assert_eq!(decode(Encoding::Raw, body).unwrap().0.as_ptr(), at);

        let mut body = Vec::with_capacity(2 * large.len());
        body.extend_from_slice(&large);
        let at = body.as_ptr();
        let (value, _) = decode(Encoding::Raw, body).unwrap();
        assert_ne!(value.as_ptr(), at);
        assert_eq!(value, large);
    }
}
