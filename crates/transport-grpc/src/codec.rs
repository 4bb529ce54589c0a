//! Decodes messages, with bounds that are checked before anything is decoded.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use gaggle_proto::{MAX_HANDED, MAX_LISTED, count, inspect};
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::ProstEncoder;

use crate::wire::{
    GetRequest, GetResponse, HandOverRequest, HandOverResponse, HelloRequest, HelloResponse,
    InspectRequest, InspectResponse, LeavingRequest, LeavingResponse, MAX_REQUEST, NewsRequest,
    NewsResponse, PingRequest, PingResponse, PutRequest, PutResponse, RemoveRequest,
    RemoveResponse,
};

/// The bounds of a message.
pub(crate) trait Bounds {
    /// The most bytes of it, if it differs from the limit of the whole service.
    const MOST: usize = usize::MAX;
    /// Fields whose elements are counted: each is a field's number, after those of the messages
    /// that contain it, and the most elements.
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

impl Bounds for InspectRequest {
    const MOST: usize = MAX_REQUEST;
}

impl Bounds for InspectResponse {
    const REPEATED: &[(&[u32], usize)] = &[
        (&[1, 7], inspect::MAX_LISTED),
        (&[1, 8], inspect::MAX_LISTED),
    ];
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
        // Not copied: a slice of the buffer that tonic has read.
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
