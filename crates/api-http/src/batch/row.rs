//! What became of one key, as text.

use axum::http::StatusCode;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use base64::{Engine, encoded_len};
use bytes::Bytes;
use gaggle_group::{ByteBudget, Error, Field, Hold, Key, Metadata};
use serde::Serialize;

use crate::reply;

/// A value is encoded in pieces of so many bytes: a multiple of three, so that there is padding at
/// its end only.
const PIECE: usize = 48 << 10;

/// What a row takes besides its key and its value, roughly, in bytes.
const OVERHEAD: usize = 64;

/// What became of one key.
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) found: Found,
    /// Whether the key is asked for once more when it is the row's turn: it failed for lack of room
    /// that other rows of the same answer may have taken.
    pub(super) again: bool,
    /// What the origin said of the value.
    pub(super) metadata: Metadata,
}

pub(super) enum Found {
    Value(Bytes, Option<Hold>),
    Absent,
    Failed(Error),
    /// The answer has no room for it.
    Full,
}

/// A row but for its value. It has `key` or `key64`, as the request had.
#[derive(Serialize)]
struct Head<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_base64")]
    key64: Option<&'a [u8]>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Row {
    /// Whether its value must count as in flight before it is written, and does not yet.
    pub(super) fn wants_hold(&self) -> bool {
        matches!(&self.found, Found::Value(value, None) if value.len() >= ByteBudget::SMALL)
    }

    /// Whether it holds bytes in flight.
    pub(super) fn has_hold(&self) -> bool {
        matches!(&self.found, Found::Value(_, Some(_)))
    }

    pub(super) fn value_len(&self) -> usize {
        match &self.found {
            Found::Value(value, _) => value.len(),
            _ => 0,
        }
    }

    /// Gives up the bytes in flight that it holds, and returns how many.
    pub(super) fn give_back(&mut self) -> usize {
        match &mut self.found {
            Found::Value(value, hold) => hold.take().map_or(0, |_| value.len()),
            _ => 0,
        }
    }

    /// Its length as text, roughly, where its value is encoded at once.
    pub(super) fn len(&self) -> usize {
        let value = match &self.found {
            Found::Value(value, _) => value.len().min(PIECE).div_ceil(3) * 4,
            _ => 0,
        };
        self.key.len() + OVERHEAD + value
    }

    /// Writes it, but for the end of a value: that is returned.
    pub(super) fn write(self, base64: bool, out: &mut Vec<u8>) -> Option<Rest> {
        let (status, value, error) = match self.found {
            Found::Value(value, hold) => (StatusCode::OK, Some((value, hold)), None),
            Found::Absent => (StatusCode::NOT_FOUND, None, None),
            Found::Failed(error) => {
                let line = reply::error_line(&error.public());
                (reply::status(&error), None, Some(line))
            }
            Found::Full => {
                let line = "the answer is full".to_owned();
                (StatusCode::PAYLOAD_TOO_LARGE, None, Some(line))
            }
        };
        // It came as text, so that it is text.
        let text = String::from_utf8_lossy(if base64 { b"" } else { &self.key });
        let encoding = self.metadata.get(Field::ContentEncoding);
        // An origin's field is visible ASCII, or it was dropped.
        let encoding = encoding.and_then(|encoding| std::str::from_utf8(encoding).ok());
        let head = Head {
            key: (!base64).then_some(&text),
            key64: base64.then_some(&self.key),
            status: status.as_u16(),
            content_encoding: value.is_some().then_some(encoding).flatten(),
            error,
        };
        // Writing texts and numbers to a Vec cannot fail.
        let _ = serde_json::to_writer(&mut *out, &head);
        let (value, hold) = value?;
        // The value goes before the end of the object.
        out.pop();
        out.extend_from_slice(br#","value":""#);
        let rest = Rest {
            value,
            written: 0,
            _hold: hold,
        };
        rest.write(out)
    }
}

/// The end of a value.
pub(super) struct Rest {
    value: Bytes,
    written: usize,
    _hold: Option<Hold>,
}

impl Rest {
    /// Writes a piece. What is left is returned.
    pub(super) fn write(mut self, out: &mut Vec<u8>) -> Option<Self> {
        let end = (self.written + PIECE).min(self.value.len());
        encode(&self.value[self.written..end], out);
        self.written = end;
        if end < self.value.len() {
            return Some(self);
        }
        out.extend_from_slice(br#""}"#);
        None
    }

    /// Whether most of it is written.
    pub(super) fn is_near_its_end(&self) -> bool {
        self.written >= self.value.len() / 4 * 3
    }

    /// The length of the next piece as text.
    pub(super) fn len(&self) -> usize {
        (self.value.len() - self.written).min(PIECE).div_ceil(3) * 4 + OVERHEAD
    }
}

/// Appends bytes in base64.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    // None is a length that no memory has.
    out.resize(begin + encoded_len(bytes.len(), true).unwrap_or(0), 0);
    // The room is what it takes.
    let _ = STANDARD.encode_slice(bytes, &mut out[begin..]);
}

/// Writes the base64 straight into the document, without a string in between.
fn as_base64<S: serde::Serializer>(key: &Option<&[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.collect_str(&Base64Display::new(key, &STANDARD)),
        None => serializer.serialize_none(),
    }
}
