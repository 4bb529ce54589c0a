//! Deserialization of a value, with errors that can be told without what was found.
//!
//! The errors of serde quote the value that they refuse. It may be a secret wherever it stands: a
//! header that is written in the place of the table of headers, or a URL with a password in the
//! place of a list.

use std::fmt::Display;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Value;

/// A value of a file, the environment or a flag.
pub(super) struct Found(pub(super) Value);

/// Why a value was refused. What it displays does not quote the value.
#[derive(Debug, thiserror::Error)]
#[error("{masked}")]
pub(super) struct Refused {
    masked: String,
    /// The same with the value, if that was left out.
    quoting: Option<Quoting>,
}

/// A message that may hold a secret. `Debug` does not show it.
struct Quoting(String);

impl std::fmt::Debug for Quoting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(super::secret::MASKED)
    }
}

impl Refused {
    /// The message for the field of that path. It quotes the value if that cannot be a secret.
    pub(super) fn message(self, path: &[String]) -> String {
        match self.quoting {
            Some(Quoting(message)) if is_plain(path) => message,
            _ => self.masked,
        }
    }
}

/// Whether no secret belongs in a field, or in the fields around it. A table that may hold a
/// secret somewhere below it does not count, and neither does a member of a list, since the list
/// may stand in the place of a table.
fn is_plain(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path[..] {
        [.., member] if member.starts_with('[') => false,
        ["node" | "cluster", _, ..] => true,
        ["groups", _, field, ..] => !["origin", "follow"].contains(&field),
        _ => false,
    }
}

/// The kind of a value.
fn kind<'f>(found: &'f Unexpected<'f>) -> &'f dyn Display {
    match found {
        Unexpected::Bool(_) => &"a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => &"an integer",
        Unexpected::Float(_) => &"a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => &"a string",
        Unexpected::Bytes(_) => &"bytes",
        // The others have no value.
        other => other,
    }
}

impl de::Error for Refused {
    fn custom<T: Display>(message: T) -> Self {
        Self {
            masked: message.to_string(),
            quoting: None,
        }
    }

    /// A string in the place of something else is never quoted. It may belong to another field.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let quoted = !matches!(
            found,
            Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_)
        );
        let quoting = || Quoting(format!("invalid type: {found}, expected {expected}"));
        Self {
            masked: format!("invalid type: {}, expected {expected}", kind(&found)),
            quoting: quoted.then(quoting),
        }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let quoting = format!("invalid value: {found}, expected {expected}");
        Self {
            masked: format!("invalid value: {}, expected {expected}", kind(&found)),
            quoting: Some(Quoting(quoting)),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let names: Vec<_> = expected.iter().map(|name| format!("`{name}`")).collect();
        let expected = match &names[..] {
            [] => "there are no variants".to_owned(),
            [one] => format!("expected {one}"),
            [one, other] => format!("expected {one} or {other}"),
            all => format!("expected one of {}", all.join(", ")),
        };
        let quoting = format!("unknown variant `{variant}`, {expected}");
        Self {
            masked: format!("unknown variant, {expected}"),
            quoting: Some(Quoting(quoting)),
        }
    }
}

impl IntoDeserializer<'_, Refused> for Found {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Found {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(truth) => visitor.visit_bool(truth),
            // No field is a date.
            Value::Datetime(_) => Err(de::Error::invalid_type(
                Unexpected::Other("a date or a time of day"),
                &visitor,
            )),
            Value::Array(members) => {
                let mut members = SeqDeserializer::new(members.into_iter().map(Found));
                let read = visitor.visit_seq(&mut members)?;
                members.end()?;
                Ok(read)
            }
            Value::Table(fields) => {
                let fields = fields.into_iter();
                let mut fields =
                    MapDeserializer::new(fields.map(|(name, value)| (name, Found(value))));
                let read = visitor.visit_map(&mut fields)?;
                fields.end()?;
                Ok(read)
            }
        }
    }

    /// What is given is there: TOML has no null.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    /// A list in the place of a table is refused. It would give the fields in the order of their
    /// declaration.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match self.0 {
            Value::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    /// No variant has fields, except where a `kind` chooses it, which is no enum for serde.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            other => Found(other).deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}
