//! Messages out of bytes, with bounds that are looked at before anything is decoded.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::ProstEncoder;

use crate::wire::{
    GetRequest, GetResponse, HandOverRequest, HandOverResponse, HelloRequest, HelloResponse,
    LeavingRequest, LeavingResponse, MAX_HANDED, MAX_REQUEST, NewsRequest, NewsResponse,
    PingRequest, PingResponse, PutRequest, PutResponse, RemoveRequest, RemoveResponse,
};

/// The most elements of a field in one message: an element may take two bytes there and many times as many in memory.
const MAX_LISTED: usize = 1 << 18;

/// What a message may be like.
pub(crate) trait Bounds {
    /// The most bytes of it, where the limit of the whole service is not its own.
    const MOST: usize = usize::MAX;
    /// Fields whose elements are counted: each a field's number behind those of the messages that
    /// it is in, and how many there may be.
    const REPEATED: &[(&[u32], usize)] = &[];
}

impl Bounds for GetRequest {
    const MOST: usize = MAX_REQUEST;
    const REPEATED: &[(&[u32], usize)] = &[(&[4], MAX_LISTED)];
}

impl Bounds for RemoveRequest {
    const MOST: usize = MAX_REQUEST;
    const REPEATED: &[(&[u32], usize)] = &[(&[3, 2], MAX_LISTED)];
}

impl Bounds for PutRequest {}

impl Bounds for NewsRequest {
    const MOST: usize = 2 * MAX_REQUEST;
    const REPEATED: &[(&[u32], usize)] = &[(&[2], MAX_LISTED)];
}

impl Bounds for NewsResponse {
    const REPEATED: &[(&[u32], usize)] = &[
        (&[1], MAX_LISTED),
        (&[1, 2], MAX_LISTED),
        (&[2], MAX_LISTED),
        (&[4], MAX_LISTED),
    ];
}

impl Bounds for HandOverRequest {
    const REPEATED: &[(&[u32], usize)] = &[(&[2], MAX_HANDED), (&[3], MAX_LISTED)];
}

impl Bounds for LeavingRequest {
    const MOST: usize = MAX_REQUEST;
}

impl Bounds for HelloRequest {
    const MOST: usize = MAX_REQUEST;
    const REPEATED: &[(&[u32], usize)] = &[(&[1, 10], MAX_LISTED)];
}

impl Bounds for HelloResponse {
    const MOST: usize = MAX_REQUEST;
    const REPEATED: &[(&[u32], usize)] = &[(&[1, 10], MAX_LISTED)];
}

impl Bounds for PingRequest {
    const MOST: usize = MAX_REQUEST;
}

impl Bounds for GetResponse {}
impl Bounds for RemoveResponse {}
impl Bounds for PutResponse {}
impl Bounds for HandOverResponse {}
impl Bounds for LeavingResponse {}
impl Bounds for PingResponse {}

/// prost's messages, each within its bounds.
pub(crate) struct Bounded<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Bounded<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Bounded<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Bounds + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

pub(crate) struct BoundedDecoder<U>(PhantomData<U>);

impl<U: Message + Default + Bounds> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let len = from.remaining();
        if len > U::MOST {
            let most = U::MOST;
            let text = format!("a request of {len} bytes is over the limit of {most}");
            return Err(Status::new(Code::OutOfRange, text));
        }
        // Not copied: a slice of what tonic has read.
        decode(from.copy_to_bytes(len)).map(Some)
    }
}

/// The message, if it keeps the bounds on its fields.
pub(crate) fn decode<U: Message + Default + Bounds>(bytes: Bytes) -> Result<U, Status> {
    let bad = |error: prost::DecodeError| Status::new(Code::Internal, error.to_string());
    for (path, most) in U::REPEATED {
        if count(&bytes, path).map_err(bad)? > *most {
            let text = format!("more than {most} of a kind in a message");
            return Err(Status::new(Code::InvalidArgument, text));
        }
    }
    U::decode(bytes).map_err(bad)
}

/// How often a field is in the message.
fn count(mut message: &[u8], path: &[u32]) -> Result<usize, prost::DecodeError> {
    let Some((&field, inner)) = path.split_first() else {
        return Ok(0);
    };
    let mut found = 0;
    while message.has_remaining() {
        let (number, kind) = decode_key(&mut message)?;
        if number != field || kind != WireType::LengthDelimited {
            skip_field(kind, number, &mut message, DecodeContext::default())?;
            continue;
        }
        let len = usize::try_from(decode_varint(&mut message)?).unwrap_or(usize::MAX);
        let Some((element, rest)) = message.split_at_checked(len) else {
            // Decoding it says what is wrong.
            return Ok(found);
        };
        message = rest;
        found += if inner.is_empty() {
            1
        } else {
            count(element, inner)?
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_where_they_are() {
        // Field 3 with fields 2, 2 and 1 in it; a number in field 1; an empty field 3.
        let message = b"\x1a\x06\x12\x00\x12\x00\x0a\x00\x08\x05\x1a\x00";
        assert_eq!(count(message, &[3]).unwrap(), 2);
        assert_eq!(count(message, &[3, 2]).unwrap(), 2);
        assert_eq!(count(message, &[3, 1]).unwrap(), 1);
        assert_eq!(count(message, &[1]).unwrap(), 0);
        assert!(count(b"\xff", &[1]).is_err());
    }
}
