//! What travels: the generated messages and service, and the bounds of a message.

/// The largest request in bytes, the whole message. Known to both sides, so that a client never sends what a server
/// would not read, and an "out of range" can only be about the answer.
pub(crate) const MAX_REQUEST: usize = 1 << 20;

/// The most that an answer adds to its value, in bytes: tags, lengths, the time to live, or a failure's account.
pub(crate) const ENVELOPE: usize = 8 << 10;

/// The longest account of a failure, in bytes.
pub(crate) const MAX_ACCOUNT: usize = 4 << 10;

/// `text`, cut off at a character's border so that it has at most [`MAX_ACCOUNT`] bytes.
pub(crate) fn account(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_ACCOUNT));
    text
}

/// The largest answer that carries a value of `max_value` bytes.
pub(crate) fn max_answer(max_value: u64) -> usize {
    usize::try_from(max_value)
        .unwrap_or(usize::MAX)
        .saturating_add(ENVELOPE)
}

pub(crate) use generated::*;

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/gaggle.peer.v1.rs"));
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
