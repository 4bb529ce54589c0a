//! Names in PostgreSQL: of tables, slots and channels, and how SQL writes them.

use std::fmt;

use crate::OptionsError;

/// The longest name that PostgreSQL keeps whole, in bytes.
pub(crate) const LONGEST: usize = 63;

/// A table and the schema that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TableName {
    pub(crate) schema: String,
    pub(crate) table: String,
}

impl TableName {
    /// `table`, which is in `public`, or `schema.table`. Names are taken as they are written here,
    /// upper case included.
    pub(crate) fn parse(name: &str) -> Result<Self, OptionsError> {
        let (schema, table) = name.split_once('.').unwrap_or(("public", name));
        for part in [schema, table] {
            if part.is_empty() || part.len() > LONGEST || part.contains(['.', '\0']) {
                return Err(OptionsError::new(
                    format!("table {name:?}"),
                    "expected \"table\" or \"schema.table\", each of 1 to 63 bytes",
                ));
            }
        }
        Ok(Self {
            schema: schema.into(),
            table: table.into(),
        })
    }

    /// As a statement names it.
    pub(crate) fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.table))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A name in quotes.
pub(crate) fn identifier(name: &str) -> String {
    postgres_protocol::escape::escape_identifier(name)
}

/// A text in quotes. One with backslashes becomes `E'…'`, whatever the session's settings are.
pub(crate) fn literal(text: &str) -> String {
    postgres_protocol::escape::escape_literal(text)
        .trim_start()
        .to_owned()
}

/// The name of the slot, or by default `gaggle_` and the group's name with `_` in place of
/// characters that the name of a slot cannot have.
pub(crate) fn slot(name: &str, group: &str) -> Result<String, OptionsError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() {
        return Ok(default_name(group));
    }
    if name.len() > LONGEST || !name.chars().all(fits) {
        return Err(OptionsError::new(
            "slot",
            format!("{name:?}: expected 1 to 63 lower-case letters, digits and underscores"),
        ));
    }
    Ok(name.into())
}

/// The name of the publication, or by default that of the group.
pub(crate) fn publication(name: &str, group: &str) -> Result<String, OptionsError> {
    if name.is_empty() {
        return Ok(default_name(group));
    }
    check("publication", name)?;
    Ok(name.into())
}

/// `gaggle_` and the group's name. Where that name has to be changed to fit, a number made from it
/// follows, so that two groups do not share a slot.
pub(crate) fn default_name(group: &str) -> String {
    let kept: String = group
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '_' => c,
            'A'..='Z' => c.to_ascii_lowercase(),
            _ => '_',
        })
        .collect();
    let name = format!("gaggle_{kept}");
    if kept == group {
        fitting(&name)
    } else {
        numbered(&name, group)
    }
}

/// The name itself, or its beginning and a number made from all of it.
fn fitting(name: &str) -> String {
    if name.len() <= LONGEST {
        name.to_owned()
    } else {
        numbered(name, name)
    }
}

/// The beginning of the name, as far as it fits, and the FNV-1a hash of the other text.
pub(crate) fn numbered(name: &str, hashed: &str) -> String {
    let hash = hashed.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let mut end = name.len().min(LONGEST - 9);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{hash:08x}", &name[..end])
}

/// Checks a name that becomes an identifier.
pub(crate) fn check(option: &str, name: &str) -> Result<(), OptionsError> {
    if name.is_empty() || name.len() > LONGEST || name.contains('\0') {
        return Err(OptionsError::new(
            option,
            format!("{name:?}: expected 1 to 63 bytes"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_in_public_unless_it_says_otherwise() {
        let sql = |name| TableName::parse(name).unwrap().sql();
        assert_eq!(sql("players"), r#""public"."players""#);
        assert_eq!(sql("Game.Play\"ers"), r#""Game"."Play""ers""#);
        for name in ["", ".", "a.", ".b", "a.b.c"] {
            assert!(TableName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_slot_is_named_after_its_group() {
        assert_eq!(slot("", "scores").unwrap(), "gaggle_scores");
        assert_eq!(slot("mine", "scores").unwrap(), "mine");
        for name in ["Mine", "a-b", "a b", &"x".repeat(64)] {
            assert!(slot(name, "scores").is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_do_not_fit_stay_different() {
        let names = [
            "a-b",
            "a.b",
            "a_b",
            "A_b",
            &"x".repeat(80),
            &"x".repeat(81),
            "é",
        ];
        let slots: Vec<String> = names.iter().map(|name| default_name(name)).collect();
        for (at, slot) in slots.iter().enumerate() {
            assert!(super::slot(slot, "").is_ok(), "{slot}");
            assert!(!slots[..at].contains(slot), "{slot} twice");
        }
    }

    #[test]
    fn a_literal_holds_whatever_the_text_has() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
    }
}
