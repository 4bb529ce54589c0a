//! Reads the value of each key from the answer to a batch.

use std::collections::HashMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::BatchAnswer;

/// The value of each key as it is written, `None` if there is none. The reason for an unusable
/// answer contains no part of it, since the answer may repeat keys and values.
pub(super) fn values<'a>(
    text: &'a [u8],
    shape: BatchAnswer,
    keys: &[&str],
) -> Result<Vec<Option<&'a RawValue>>, String> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let (found, shaped) = match shape {
        BatchAnswer::Array => {
            let found = json.deserialize_seq(Array { len: keys.len() });
            (found.map(|it| it.of(keys.len())), "array")
        }
        BatchAnswer::Object => {
            let found = json.deserialize_map(Object::of(keys));
            (found.map(|it| it.of(keys)), "object")
        }
    };
    let no_json = |error: &serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => format!("is no JSON {shaped}"),
            Category::Eof => "is JSON that breaks off".to_owned(),
            Category::Syntax | Category::Io => {
                format!("is not JSON (line {line}, column {column})")
            }
        }
    };
    let found = found.map_err(|error| no_json(&error))??;
    json.end().map_err(|error| no_json(&error))?;
    Ok(found)
}

/// An existing value.
fn some(raw: &RawValue) -> Option<&RawValue> {
    (raw.get() != "null").then_some(raw)
}

/// Reads an array and keeps at most `len` values of it.
struct Array {
    len: usize,
}

struct Elements<'a> {
    kept: Vec<Option<&'a RawValue>>,
    beyond: usize,
}

impl<'a> Visitor<'a> for Array {
    type Value = Elements<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut all: A) -> Result<Elements<'a>, A::Error> {
        let mut kept = Vec::with_capacity(self.len);
        while kept.len() < self.len {
            match all.next_element()? {
                Some(raw) => kept.push(some(raw)),
                None => return Ok(Elements { kept, beyond: 0 }),
            }
        }
        let mut beyond = 0;
        while all.next_element::<IgnoredAny>()?.is_some() {
            beyond += 1;
        }
        Ok(Elements { kept, beyond })
    }
}

impl<'a> Elements<'a> {
    fn of(self, keys: usize) -> Result<Vec<Option<&'a RawValue>>, String> {
        let len = self.kept.len() + self.beyond;
        if len != keys {
            return Err(format!("has {len} values for {keys} keys"));
        }
        Ok(self.kept)
    }
}

/// Reads an object and keeps the requested keys.
struct Object<'k> {
    places: HashMap<&'k str, usize>,
}

struct Members<'k, 'a> {
    places: HashMap<&'k str, usize>,
    kept: Vec<Option<&'a RawValue>>,
    twice: bool,
}

impl<'k> Object<'k> {
    fn of(keys: &[&'k str]) -> Self {
        let places = keys.iter().enumerate();
        Self {
            places: places.map(|(at, key)| (*key, at)).collect(),
        }
    }
}

impl<'k, 'a> Visitor<'a> for Object<'k> {
    type Value = Members<'k, 'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let len = self.places.values().max().map_or(0, |last| last + 1);
        let mut seen = vec![false; len];
        let mut members = Members {
            places: self.places,
            kept: vec![None; len],
            twice: false,
        };
        while let Some(key) = all.next_key::<String>()? {
            let Some(&at) = members.places.get(key.as_str()) else {
                all.next_value::<IgnoredAny>()?;
                continue;
            };
            members.kept[at] = some(all.next_value()?);
            members.twice |= std::mem::replace(&mut seen[at], true);
        }
        Ok(members)
    }
}

impl<'a> Members<'_, 'a> {
    fn of(self, keys: &[&str]) -> Result<Vec<Option<&'a RawValue>>, String> {
        if self.twice {
            return Err("has a key twice".to_owned());
        }
        let kept = |key: &&str| self.places.get(key).and_then(|&at| self.kept[at]);
        Ok(keys.iter().map(kept).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const KEYS: [&str; 3] = ["a", "b\"", "张"];

    fn read(text: &str, shape: BatchAnswer) -> Result<Vec<Option<String>>, String> {
        let found = values(text.as_bytes(), shape, &KEYS)?;
        let text = |raw: &RawValue| raw.get().to_owned();
        Ok(found.into_iter().map(|it| it.map(text)).collect())
    }

    fn some(texts: [Option<&str>; 3]) -> Result<Vec<Option<String>>, String> {
        Ok(texts.map(|it| it.map(str::to_owned)).to_vec())
    }

    #[test]
    fn an_array_has_a_value_for_each_key_as_it_is_written() {
        let array = |text| read(text, BatchAnswer::Array);
        assert_eq!(
            array(" [ 1.50 ,null, {\"x\" : [ 1e3 ]} ]\n"),
            some([Some("1.50"), None, Some("{\"x\" : [ 1e3 ]}")])
        );
        assert_eq!(
            array(r#"["",false,"null"]"#),
            some([Some("\"\""), Some("false"), Some("\"null\"")])
        );
    }

    #[test]
    fn an_object_has_values_by_keys() {
        let object = |text| read(text, BatchAnswer::Object);
        assert_eq!(
            object(r#"{"\u5f20":1e9999, "other": {"a":2}, "a" : null, "b\"":"x"}"#),
            some([None, Some("\"x\""), Some("1e9999")])
        );
        assert_eq!(object("{}"), some([None, None, None]));
    }

    #[test]
    fn an_answer_of_another_shape_has_a_reason_without_a_part_of_it() {
        use BatchAnswer::{Array, Object};
        let deep = format!("[1,2,{}1{}]", "[".repeat(200_000), "]".repeat(200_000));
        let long = format!("[{}1]", "1,".repeat(100_000));
        for (shape, text, reason) in [
            (Array, "", "breaks off"),
            (Array, "[\"secret\",1", "breaks off"),
            (Array, "[1,2]", "has 2 values for 3 keys"),
            (Array, "[]", "has 0 values for 3 keys"),
            (Array, "[1,2,3,\"secret\"]", "has 4 values for 3 keys"),
            (Array, &long, "has 100001 values for 3 keys"),
            (Array, "{\"secret\":1}", "is no JSON array"),
            (Array, "\"secret\"", "is no JSON array"),
            (Array, "null", "is no JSON array"),
            (Array, "[1,2,3] secret", "is not JSON (line 1, column 9)"),
            (Array, "[1,2,3][1]", "is not JSON"),
            (Array, "[1,2,secret]", "is not JSON"),
            (Array, "<html>secret", "is not JSON"),
            (Array, "[1,2,3,]", "is not JSON"),
            (Array, "\u{feff}[1,2,3]", "is not JSON"),
            (Object, "[\"secret\"]", "is no JSON object"),
            (Object, "7", "is no JSON object"),
            (Object, "{\"a\":1,\"a\":2}", "has a key twice"),
            (Object, "{\"a\":null,\"\\u0061\":2}", "has a key twice"),
            (Object, "{\"a\":1", "breaks off"),
            (Object, "{secret:1}", "is not JSON"),
        ] {
            let said = read(text, shape).unwrap_err();
            assert!(said.contains(reason), "{text}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
        // Depth costs no stack.
        assert!(read(&deep, Array).is_ok());
        let odd = values(b"[1,2,\"\xFF\"]", Array, &KEYS).unwrap_err();
        assert!(odd.contains("is not JSON"), "{odd}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(text in any::<Vec<u8>>()) {
            for shape in [BatchAnswer::Array, BatchAnswer::Object] {
                let _ = values(&text, shape, &KEYS);
            }
        }

        /// Of the bytes that matter.
        #[test]
        fn what_is_taken_is_what_json_has(text in "[\\[\\]{}:,\"ab1 nul]{0,30}") {
            let plain = serde_json::from_str::<Value>(&text).ok();
            for shape in [BatchAnswer::Array, BatchAnswer::Object] {
                let Ok(found) = values(text.as_bytes(), shape, &KEYS) else { continue };
                let found: Vec<Value> = found
                    .into_iter()
                    .map(|raw| raw.map_or(Value::Null, |raw| json!(raw)))
                    .collect();
                let plain = plain.as_ref();
                let expected = match shape {
                    BatchAnswer::Array => plain.and_then(Value::as_array).cloned(),
                    BatchAnswer::Object => plain.and_then(Value::as_object).map(|all| {
                        let of = |key: &&str| all.get(*key).cloned().unwrap_or(Value::Null);
                        KEYS.iter().map(of).collect()
                    }),
                };
                prop_assert_eq!(Some(found), expected, "{}", text);
            }
        }
    }
}
