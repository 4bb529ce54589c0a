//! The failure of a request, as text that contains no key.

use std::error::Error;
use std::io;

use super::send::SendError;
use crate::escape::one_line;

/// Whether the peer closed the connection before it answered: a request finds this on a pooled
/// connection that the peer has just closed as idle. hyper retries by itself only if it knows that
/// the request was not sent.
pub(super) fn broke_off(error: &SendError) -> bool {
    !error.is_connect()
        && sources(error).any(|source| {
            if let Some(error) = source.downcast_ref::<hyper::Error>() {
                error.is_incomplete_message() || error.is_canceled()
            } else if let Some(error) = source.downcast_ref::<io::Error>() {
                matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                )
            } else {
                false
            }
        })
}

/// An error of a request, or of its answer's body.
pub(super) trait Failed: Error + 'static {
    /// There was no connection.
    fn is_connect(&self) -> bool;
}

impl Failed for reqwest::Error {
    fn is_connect(&self) -> bool {
        self.is_connect()
    }
}

impl Failed for SendError {
    fn is_connect(&self) -> bool {
        self.is_connect()
    }
}

/// The innermost cause. reqwest's own text holds the URL, and so the key.
pub(super) fn cause(error: &impl Failed) -> String {
    let cause = match sources(error).last() {
        Some(cause) => one_line(cause.to_string().as_bytes(), 200),
        None => "the request failed".to_owned(),
    };
    if error.is_connect() {
        format!("cannot connect: {cause}")
    } else {
        cause
    }
}

fn sources(error: &impl Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

/// The answer of a Gaggle port with TLS to plain HTTP.
const SPEAKS_TLS: &str = "this port speaks TLS";
const USE_HTTPS: &str = "it speaks TLS: its address must begin with https://";

/// Whether the text is that answer.
pub(super) fn speaks_tls(said: &[u8]) -> Option<&'static str> {
    said.starts_with(SPEAKS_TLS.as_bytes()).then_some(USE_HTTPS)
}

/// A known text for a peer's message, whose own text may contain a key in any form; `None` if the
/// message is unknown. The message itself is logged at `debug`, where keys are allowed.
pub(super) fn known(peer: &str, text: &[u8], key: &[u8]) -> Option<&'static str> {
    tracing::debug!(peer, said = %said(text, key), "a peer refuses");
    let begins = |with: &str| text.trim_ascii().starts_with(with.as_bytes());
    [
        ("no such group", "it has no such group"),
        (SPEAKS_TLS, USE_HTTPS),
        (
            "this node is of another cluster",
            "it is of another cluster",
        ),
        ("method not allowed", "it takes no such request"),
        ("bad request", "it calls the request a bad one"),
    ]
    .into_iter()
    .find_map(|(theirs, ours)| begins(theirs).then_some(ours))
}

/// At most 200 bytes of a peer's message, on one line, with the key removed where it appears by
/// itself. The key may still be there in another form.
fn said(text: &[u8], key: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.trim_ascii());
    let key = match std::str::from_utf8(key) {
        Ok(key) if !key.is_empty() => key,
        _ => return one_line(text.as_bytes(), 200),
    };
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(key) {
        let end = at + key.len();
        let part_of_a_word = text[..at]
            .chars()
            .next_back()
            .is_some_and(char::is_alphanumeric)
            || text[end..]
                .chars()
                .next()
                .is_some_and(char::is_alphanumeric);
        if !part_of_a_word {
            kept.push_str(&text[from..at]);
            kept.push_str("(key)");
            from = end;
        }
    }
    kept.push_str(&text[from..]);
    one_line(kept.as_bytes(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_struck_out_of_what_a_peer_says() {
        assert_eq!(
            said(b"no row for \"Kesa\"\n", b"Kesa"),
            "no row for \"(key)\""
        );
        assert_eq!(said(b"e: internal error", b"e"), "(key): internal error");
        assert_eq!(
            said("没有 张三".as_bytes(), "张三".as_bytes()),
            "没有 (key)"
        );
        assert_eq!(said(b"failed", b""), "failed");
        assert_eq!(said(b"failed \xff", b"\xff"), "failed \u{fffd}");
        assert_eq!(said(&[b'x'; 4_000], b"y").len(), 200);
    }
}
