//! Protocol Buffers.

use bytes::Bytes;
use prost::{DecodeError, Message};

use super::{Codec, Prost};

impl<V: Message + Default + 'static> Codec<V> for Prost {
    type Error = DecodeError;

    fn name(&self) -> &'static str {
        "prost"
    }

    fn encode(&self, value: &V) -> Result<Bytes, DecodeError> {
        Ok(value.encode_to_vec().into())
    }

    /// A field of type `bytes` that the message keeps as `Bytes` shares the memory of the value.
    fn decode(&self, bytes: &Bytes) -> Result<V, DecodeError> {
        V::decode(bytes.clone())
    }

    fn content_type(&self) -> Option<&'static str> {
        Some("application/x-protobuf")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Score {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(uint32, tag = "2")]
        points: u32,
    }

    #[test]
    fn a_message_reads_back_and_a_cut_one_does_not() {
        let tom = Score {
            name: "Tom".into(),
            points: 630,
        };
        let bytes = Prost.encode(&tom).unwrap();
        assert_eq!(Codec::<Score>::decode(&Prost, &bytes).unwrap(), tom);
        assert!(Codec::<Score>::decode(&Prost, &bytes.slice(..bytes.len() - 1)).is_err());
    }
}
