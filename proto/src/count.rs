//! How many elements a message has, before it is decoded.

use bytes::Buf;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The most elements of one field that a transport accepts in a message. Each field is counted
/// by itself.
pub const MAX_LISTED: usize = 1 << 18;

/// Counts how often a field occurs in a message. An element may take two bytes there and many
/// times as many in memory, so call this before the message is decoded.
///
/// `path` has the numbers of the enclosing messages, and the field's own number last. Only fields
/// with a length count: messages, bytes, strings.
///
/// # Errors
///
/// If the message cannot be read that far.
pub fn count(mut message: &[u8], path: &[u32]) -> Result<usize, DecodeError> {
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
            // Decoding reports what is wrong.
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
