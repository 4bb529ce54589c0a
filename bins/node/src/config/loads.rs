//! How many loads may ask an origin at one time: a number, or `"auto"`.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// The bound of `"auto"` where none is given.
const AUTO_MOST: usize = 256;

/// `256`, or `"auto"`, which finds the number by itself and stays at or below 256, or `"auto:64"`
/// for another bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OriginLoads {
    pub(crate) most: usize,
    pub(crate) adapt: bool,
}

impl Default for OriginLoads {
    fn default() -> Self {
        Self {
            most: AUTO_MOST,
            adapt: false,
        }
    }
}

impl Serialize for OriginLoads {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.adapt, self.most) {
            (false, most) => serializer.serialize_u64(most as u64),
            (true, AUTO_MOST) => serializer.serialize_str("auto"),
            (true, most) => serializer.collect_str(&format_args!("auto:{most}")),
        }
    }
}

impl<'de> Deserialize<'de> for OriginLoads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = OriginLoads;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a number above 0, \"auto\", or \"auto:N\" with the most that it may reach",
                )
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<OriginLoads, E> {
                let most = usize::try_from(number).ok().filter(|most| *most > 0);
                let wrong = || E::invalid_value(de::Unexpected::Signed(number), &self);
                let most = most.ok_or_else(wrong)?;
                Ok(OriginLoads { most, adapt: false })
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<OriginLoads, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OriginLoads, E> {
                let most = match text.strip_prefix("auto") {
                    Some("") => Some(AUTO_MOST),
                    Some(rest) => rest.strip_prefix(':').and_then(|most| most.parse().ok()),
                    None => None,
                };
                let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
                let most = most.filter(|most| *most > 0).ok_or_else(wrong)?;
                Ok(OriginLoads { most, adapt: true })
            }
        }

        deserializer.deserialize_any(Read)
    }
}
