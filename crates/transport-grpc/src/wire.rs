//! The messages, the generated service, and the bounds of a message.

use bytes::Bytes;

/// The largest request in bytes, the whole message; a request with a value may have the value's
/// bytes in addition, and one for removals twice as many. Both sides know it, so that a client
/// never sends a request that a server would not read, and an "out of range" can only be about the
/// answer.
pub(crate) const MAX_REQUEST: usize = 1 << 20;

/// The most that an answer adds to its value, in bytes: tags, lengths, the time to live, or the
/// text of a failure.
pub(crate) const ENVELOPE: usize = 8 << 10;

/// The longest text of a failure, in bytes.
pub(crate) const MAX_ACCOUNT: usize = 4 << 10;

/// `text`, cut off at a character's border so that it has at most [`MAX_ACCOUNT`] bytes.
pub(crate) fn account(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_ACCOUNT));
    text
}

/// The largest request of all: one that hands over a value of `max_value` bytes, and others.
pub(crate) fn max_request(max_value: u64) -> usize {
    usize::try_from(max_value)
        .unwrap_or(usize::MAX)
        .saturating_add(2 * MAX_REQUEST)
}

/// The largest answer that carries a value of `max_value` bytes.
pub(crate) fn max_answer(max_value: u64) -> usize {
    usize::try_from(max_value)
        .unwrap_or(usize::MAX)
        .saturating_add(ENVELOPE)
}

/// Values up to this length, in bytes, get an allocation of their own.
const COPY_UP_TO: usize = 16 << 10;

/// The value without the buffer that it was received in. A slice keeps all of its buffer alive, 8
/// KiB at the least, and a cache that counts the slice's bytes would hold many times its budget.
/// Beyond [`COPY_UP_TO`] the value makes up nearly all of its buffer, and is not copied.
pub(crate) fn owned(value: Bytes) -> Bytes {
    if value.len() <= COPY_UP_TO {
        Bytes::copy_from_slice(&value)
    } else {
        value
    }
}

pub(crate) use gaggle_proto::peer::*;
pub(crate) use service::*;

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated"
)]
mod service {
    include!(concat!(env!("OUT_DIR"), "/gaggle.peer.v1.Peers.rs"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_cut_between_characters() {
        assert_eq!(account("short".to_owned()), "short");
        // Three bytes a character, which does not divide the limit.
        let cut = account("€".repeat(MAX_ACCOUNT));
        assert_eq!(cut.len(), MAX_ACCOUNT / 3 * 3);
        assert!(cut.chars().all(|c| c == '€'));
    }
}
