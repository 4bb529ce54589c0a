//! The body of a batch: JSON with a place for the keys.

use bytes::Bytes;
use serde_json::Value;

const PLACE: &str = "{keys}";

/// A body with a place for the keys, checked.
#[derive(Debug)]
pub(super) struct Body {
    before: String,
    after: String,
}

impl Body {
    /// Splits and checks it; the error is for its author, and contains no part of it.
    pub(super) fn parse(template: &str) -> Result<Self, String> {
        let Some((before, after)) = template.split_once(PLACE) else {
            return Err(format!("must contain {PLACE}"));
        };
        if after.contains(PLACE) {
            return Err(format!("must contain {PLACE} only once"));
        }
        let body = Self {
            before: before.to_owned(),
            after: after.to_owned(),
        };
        // Different marks: if the place is in a string, or a name, they are not found.
        for mark in ["a", "b"] {
            let text = body.of([mark].into_iter());
            let json: Value = serde_json::from_slice(&text)
                .map_err(|_| format!("is not JSON with an array for {PLACE}"))?;
            if !has(&json, &Value::from(vec![mark])) {
                return Err(format!("must have {PLACE} outside of strings"));
            }
        }
        Ok(body)
    }

    /// The body for these keys.
    pub(super) fn of<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Bytes {
        let mut text = self.before.clone();
        text.push('[');
        for (at, key) in keys.enumerate() {
            if at > 0 {
                text.push(',');
            }
            // This is the JSON of a string, whatever is in it.
            text.push_str(&Value::from(key).to_string());
        }
        text.push(']');
        text.push_str(&self.after);
        text.into()
    }
}

/// Whether `sought` is a part of `json`, or all of it.
fn has(json: &Value, sought: &Value) -> bool {
    json == sought
        || match json {
            Value::Array(all) => all.iter().any(|it| has(it, sought)),
            Value::Object(all) => all.values().any(|it| has(it, sought)),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(template: &str, keys: &[&str]) -> String {
        let body = Body::parse(template).unwrap().of(keys.iter().copied());
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn keys_take_their_place_as_an_array_of_strings() {
        let keys = ["Tom", "a\"b\\", "\n\0", "张", ""];
        let array = r#"["Tom","a\"b\\","\n\u0000","张",""]"#;
        assert_eq!(body("{keys}", &keys), array);
        assert_eq!(
            body(r#"{"keys":{keys}}"#, &keys),
            format!("{{\"keys\":{array}}}")
        );
        assert_eq!(
            body(r#"{"q":"ids","v":{"ids": {keys} }, "n":[1]}"#, &["a"]),
            r#"{"q":"ids","v":{"ids": ["a"] }, "n":[1]}"#
        );
    }

    #[test]
    fn a_body_that_cannot_work_says_why_and_shows_nothing_of_it() {
        for (template, reason) in [
            ("", "must contain {keys}"),
            (r#"{"secret":{key}}"#, "must contain {keys}"),
            ("[{keys},{keys}]", "only once"),
            (r#"{"secret":{keys}"#, "not JSON"),
            ("secret={keys}", "not JSON"),
            (r#"{"a":{keys}} secret"#, "not JSON"),
            (r#"{"secret":"{keys}"}"#, "not JSON"),
            (r#"{"q":"secret\\u007b{keys}"}"#, "not JSON"),
            (r#"{{keys}:1}"#, "not JSON"),
        ] {
            let said = Body::parse(template).unwrap_err();
            assert!(said.contains(reason), "{template}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn whatever_keys_there_are_arrive(keys in prop::collection::vec(any::<String>(), 0..5)) {
            let body = Body::parse(r#"{"a":"b","keys":{keys}}"#).unwrap();
            let text = body.of(keys.iter().map(String::as_str));
            let json: Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(&json["keys"], &Value::from(keys));
            prop_assert_eq!(json.as_object().unwrap().len(), 2);
        }
    }
}
