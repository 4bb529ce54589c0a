//! What a client asks for.

use std::fmt;

use axum::body::Body;
use axum::http::StatusCode;
use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine};
use gaggle_group::{Group, Key, Reservation};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::FrontOptions;
use crate::body::{self, Bounds};
use crate::reply::Refusal;

/// What a key takes besides its bytes: the handle, and what an allocator adds to each.
const KEY_OVERHEAD: usize = size_of::<Key>() + 16;

/// The keys that a client names.
pub(crate) struct Batch {
    pub(crate) keys: Vec<Key>,
    /// Whether the client writes them in base64.
    pub(crate) base64: bool,
    /// What they have reserved of the bytes in flight.
    pub(crate) room: Option<Reservation>,
}

impl Batch {
    pub(crate) async fn read(
        body: Body,
        group: &Group,
        options: &FrontOptions,
    ) -> Result<Self, Refusal> {
        let limit = options.max_body;
        let over = || {
            let line = format!("the body is over the limit of {limit} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, line)
        };
        let bounds = Bounds {
            limit,
            within: options.body_timeout,
        };
        let mut body = body::read(body, group, bounds, over).await?;
        body.reserve(group, most(&body.bytes, options.max_batch_keys))
            .await?;
        let (keys, base64) = parse(&body.bytes, options.max_batch_keys)?;
        let taken = keys.iter().map(|key| key.len() + KEY_OVERHEAD).sum();
        Ok(Self {
            keys,
            base64,
            room: body.into_room(taken),
        })
    }
}

/// The most that a body takes while it is parsed: itself, the keys in it, and the text of one key
/// without its escapes.
fn most(body: &[u8], max_keys: usize) -> usize {
    let separators = body.iter().filter(|byte| **byte == b',').count();
    let keys = (separators + 1).min(max_keys.saturating_mul(2));
    3 * body.len() + keys * KEY_OVERHEAD
}

/// The keys, and whether they were in base64.
fn parse(body: &[u8], max_keys: usize) -> Result<(Vec<Key>, bool), Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let asked = Asked { max_keys }
        .deserialize(&mut json)
        .and_then(|asked| json.end().map(|()| asked));
    let asked = asked.map_err(|error| Refusal::bad_request(format!("bad JSON: {error}")))?;
    let (list, base64) = match asked {
        (Some(list), None) => (list, false),
        (None, Some(list)) => (list, true),
        _ => {
            let line = "exactly one of the fields keys and keys64 is needed";
            return Err(Refusal::bad_request(line.to_owned()));
        }
    };
    if list.count > max_keys {
        let line = format!("{} keys are over the limit of {max_keys}", list.count);
        return Err(Refusal::bad_request(line));
    }
    if let Some((at, error)) = list.bad {
        let line = format!("keys64[{at}] is not base64: {error}");
        return Err(Refusal::bad_request(line));
    }
    Ok((list.keys, base64))
}

const FIELDS: &[&str] = &["keys", "keys64"];

/// The body: an object of exactly one of the two fields, though that is not checked here.
struct Asked {
    max_keys: usize,
}

impl<'de> DeserializeSeed<'de> for Asked {
    type Value = (Option<List>, Option<List>);

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Asked {
    type Value = (Option<List>, Option<List>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut keys, mut keys64) = (None, None);
        while let Some(at) = map.next_key_seed(Name)? {
            let (field, base64) = match at {
                0 => (&mut keys, false),
                _ => (&mut keys64, true),
            };
            if field.is_some() {
                return Err(A::Error::duplicate_field(FIELDS[usize::from(base64)]));
            }
            let max_keys = self.max_keys;
            *field = Some(map.next_value_seed(Keys { max_keys, base64 })?);
        }
        // One that is null is as one that is not there.
        Ok((keys.flatten(), keys64.flatten()))
    }
}

/// The name of a field, as its place in [`FIELDS`].
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let at = FIELDS.iter().position(|field| *field == name);
        // The name can be as long as the body.
        let shown = || name.chars().take(64).collect::<String>();
        at.ok_or_else(|| E::unknown_field(&shown(), FIELDS))
    }
}

/// A list of keys, of which no more than are allowed are kept.
#[derive(Default)]
struct List {
    keys: Vec<Key>,
    /// How many are in the body.
    count: usize,
    /// The first that cannot be decoded.
    bad: Option<(usize, DecodeError)>,
}

#[derive(Clone, Copy)]
struct Keys {
    max_keys: usize,
    base64: bool,
}

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Option<List>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = Option<List>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = List::default();
        while list.count < self.max_keys {
            let name = Text {
                base64: self.base64,
            };
            match seq.next_element_seed(name)? {
                Some(Ok(key)) if list.bad.is_none() => list.keys.push(key),
                Some(Ok(_)) => {}
                Some(Err(error)) => list.bad = list.bad.or(Some((list.count, error))),
                None => return Ok(Some(list)),
            }
            list.count += 1;
        }
        // Those beyond the limit are counted, for the error, and not kept.
        while seq.next_element::<IgnoredAny>()?.is_some() {
            list.count += 1;
        }
        Ok(Some(list))
    }
}

/// One key as text, made the key that it stands for.
struct Text {
    base64: bool,
}

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Result<Key, DecodeError>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Text {
    type Value = Result<Key, DecodeError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(if self.base64 {
            // Not in a buffer of the length that it could have had.
            let decoded = STANDARD.decode(text);
            decoded.map(|key| Key::from(key.into_boxed_slice()))
        } else {
            Ok(Key::copy_from_slice(text.as_bytes()))
        })
    }
}
