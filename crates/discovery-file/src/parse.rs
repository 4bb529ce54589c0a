//! A file's bytes as a list.

use std::collections::HashMap;

use gaggle_peers::Listed;

use crate::FileError;
use crate::entry::{Entries, Entry, place, quoted};
use serde::de::DeserializeSeed as _;

/// The most nodes that a file may list.
pub const MAX_NODES: usize = 1024;

/// The word that says that there is no node.
const NONE: &str = "none";

/// Reads lines, or JSON if the first character is a bracket. `scheme` is for addresses without
/// one.
pub(crate) fn parse(bytes: &[u8], scheme: &str) -> Result<Vec<Listed>, FileError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|failure| {
        let before = &bytes[..failure.valid_up_to()];
        line(count_lines(before), "it is no UTF-8")
    })?;
    let entries = if text.trim_start().starts_with('[') {
        let entries = json(text, scheme).map_err(FileError::Json)?;
        if entries.is_empty() {
            return Err(FileError::Empty);
        }
        entries
    } else {
        lines(text, scheme)?
    };
    if entries.len() > MAX_NODES {
        return Err(FileError::TooMany(entries.len()));
    }
    let entries = once(entries)?;
    Ok(entries.into_iter().map(Entry::listed).collect())
}

fn count_lines(before: &[u8]) -> usize {
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn line(line: usize, what: impl Into<String>) -> FileError {
    FileError::Line {
        line,
        what: what.into(),
    }
}

fn json(text: &str, scheme: &str) -> Result<Vec<Entry>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = Entries(scheme).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(entries)
}

fn lines(text: &str, scheme: &str) -> Result<Vec<Entry>, FileError> {
    let mut entries = Vec::new();
    let mut none = None;
    for (number, whole) in (1..).zip(text.lines()) {
        let mut words = without_comment(whole).split_whitespace();
        let Some(first) = words.next() else {
            continue;
        };
        if first == NONE {
            if let Some(more) = words.next() {
                return Err(line(number, format!("{} after none", quoted(more))));
            }
            none = Some(number);
            continue;
        }
        entries.push(entry(first, scheme, words).map_err(|what| line(number, what))?);
    }
    match none {
        Some(number) if !entries.is_empty() => Err(line(number, "none, in a list of nodes")),
        None if entries.is_empty() => Err(FileError::Empty),
        _ => Ok(entries),
    }
}

/// A comment begins with `#`, at the start of the line or after white space.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (index, c) in line.char_indices() {
        if c == '#' && before.is_whitespace() {
            return &line[..index];
        }
        before = c;
    }
    line
}

fn entry<'a>(
    address: &str,
    scheme: &str,
    fields: impl Iterator<Item = &'a str>,
) -> Result<Entry, String> {
    let mut entry = Entry::new(address, scheme)?;
    for field in fields {
        let twice = match field.split_once('=') {
            Some(("name", name)) => {
                let twice = entry.name.is_some();
                entry.set_name(name)?;
                twice
            }
            Some(("member", member)) => {
                let twice = entry.member.is_some();
                entry.member = Some(member.parse().map_err(|_| {
                    format!("member is {}; expected true or false", quoted(member))
                })?);
                twice
            }
            _ => {
                let field = quoted(field);
                return Err(format!(
                    "{field}; expected name=... or member=true or false"
                ));
            }
        };
        if twice {
            return Err(format!("{} comes twice", quoted(field)));
        }
    }
    Ok(entry)
}

/// Each node once. A repeated line is allowed; lines that contradict each other would make two
/// nodes of one, or one of two.
fn once(entries: Vec<Entry>) -> Result<Vec<Entry>, FileError> {
    let mut by_place: HashMap<String, Entry> = HashMap::new();
    let mut by_name: HashMap<String, String> = HashMap::new();
    let mut kept = Vec::new();
    for entry in entries {
        let place = place(&entry.address);
        if let Some(other) = by_place.get(&place) {
            if (&other.name, other.member) != (&entry.name, entry.member) {
                let what = format!("{} is listed twice, differently", entry.address);
                return Err(FileError::Twice(what));
            }
            continue;
        }
        if let Some(name) = &entry.name
            && let Some(other) = by_name.insert(name.clone(), entry.address.clone())
        {
            let (name, address) = (quoted(name), &entry.address);
            let what = format!("{other} and {address} have one name, {name}");
            return Err(FileError::Twice(what));
        }
        by_place.insert(place, entry.clone());
        kept.push(entry);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Vec<Listed> {
        parse(text.as_bytes(), "http").unwrap()
    }

    fn bad(text: impl AsRef<[u8]>) -> String {
        let failure = parse(text.as_ref(), "http").unwrap_err().to_string();
        assert!(!failure.contains('\n'), "{failure:?}");
        failure
    }

    #[test]
    fn lines_are_nodes() {
        let text = "\u{feff}# the cluster\n\nhttp://10.0.0.1:8001\n  10.0.0.2:8001 name=pod-2 # new\r\n\
            https://node-3 member=false name=pod-3\n[fd00::1]:8001\nhttp://10.0.0.5:8001/";
        let expected = [
            Listed::new("http://10.0.0.1:8001"),
            Listed::new("http://10.0.0.2:8001").named("pod-2"),
            Listed::new("https://node-3").named("pod-3").member(false),
            Listed::new("http://[fd00::1]:8001"),
            Listed::new("http://10.0.0.5:8001"),
        ];
        assert_eq!(good(text), expected);
    }

    #[test]
    fn json_is_taken_as_well() {
        let text = r#"
            [
              "10.0.0.1:8001",
              {"address": "https://10.0.0.2:8001", "name": "pod-2", "member": false},
              {"address": "http://10.0.0.3:8001"}
            ]"#;
        let expected = [
            Listed::new("http://10.0.0.1:8001"),
            Listed::new("https://10.0.0.2:8001")
                .named("pod-2")
                .member(false),
            Listed::new("http://10.0.0.3:8001"),
        ];
        assert_eq!(good(text), expected);
    }

    #[test]
    fn the_scheme_is_that_of_addresses_without_one() {
        for text in [
            "http://10.0.0.1:1\n10.0.0.2:2",
            r#"["http://10.0.0.1:1", "10.0.0.2:2"]"#,
        ] {
            let expected = ["http://10.0.0.1:1", "https://10.0.0.2:2"].map(Listed::new);
            assert_eq!(parse(text.as_bytes(), "https").unwrap(), expected);
        }
    }

    #[test]
    fn a_line_that_cannot_be_is_named() {
        for (text, expected) in [
            (
                "10.0.0.1:8001\n10.0.0.2\n",
                "line 2: \"10.0.0.2\" is no address",
            ),
            ("10.0.0.1:8001\n\n10.0.0", "line 3: "),
            ("ftp://10.0.0.1", "line 1: "),
            ("http://0.0.0.0:8001", "line 1: "),
            ("http://[::]:8001", "line 1: "),
            ("10.0.0.1:0", "line 1: "),
            ("10.0.0.1:80010", "line 1: "),
            ("10.0.0.1:8001/path", "line 1: "),
            ("http://me@10.0.0.1:8001", "line 1: "),
            ("10.0.0.1:8001#x", "line 1: "),
            ("10.0.0.1:8001 pod-1", "line 1: \"pod-1\"; expected name="),
            ("10.0.0.1:8001 name=", "line 1: name \"\""),
            (
                "10.0.0.1:8001 name=a name=b",
                "line 1: \"name=b\" comes twice",
            ),
            ("10.0.0.1:8001 member=yes", "line 1: member is \"yes\""),
            ("10.0.0.1:8001\nnone", "line 2: none, in a list"),
            ("none at-all", "line 1: \"at-all\" after none"),
            ("<html>", "line 1: \"<html>\""),
        ] {
            let failure = bad(text);
            assert!(failure.starts_with(expected), "{text:?}: {failure}");
        }
        let failure = bad(b"10.0.0.1:8001\n\xff\xfe");
        assert_eq!(failure, "line 2: it is no UTF-8");
        let failure = bad(format!("{}:1", "a".repeat(100_000)));
        assert!(failure.len() < 200, "{failure}");
    }

    #[test]
    fn json_that_cannot_be_tells_the_line() {
        for (text, expected) in [
            ("[\n\"10.0.0.1:8001\",\n", "line 3"),
            ("[\n\"10.0.0.1:8001\",\n\"10.0.0", "line 3"),
            ("[\n\"10.0.0.1\"]", "line 2"),
            ("[\n\"10.0.0.1:1\\n\"]", "line 2"),
            (
                "[\n{\"address\": \"10.0.0.1:8001\", \"nam\": \"a\"}]",
                "unknown field `nam`",
            ),
            ("[\n{\"name\": \"a\"}]", "missing field `address`"),
            (
                "[\n{\"address\": \"10.0.0.1:1\", \"name\": \"a b\"}]",
                "line 2",
            ),
            ("[1]", "expected an address, or an object"),
            ("[\"10.0.0.1:1\"] x", "trailing characters"),
        ] {
            let failure = bad(text);
            assert!(
                failure.starts_with("JSON: ") && failure.contains(expected),
                "{text:?}: {failure}"
            );
        }
    }

    #[test]
    fn an_empty_list_must_be_meant() {
        for text in ["", "\n", "# nobody\n", "[]", " [ ] "] {
            assert!(bad(text).contains("none"), "{text:?}");
        }
        assert_eq!(good("# all off\nnone\n"), []);
    }

    #[test]
    fn contradictions_are_refused() {
        let twice = "10.0.0.1:8001 name=a\nhttp://10.0.0.1:8001/ name=a\n";
        assert_eq!(good(twice).len(), 1);
        assert_eq!(good("http://node\nhttp://NODE:80\n").len(), 1);
        assert!(bad("10.0.0.1:8001 name=a\n10.0.0.1:8001 name=b").contains("listed twice"));
        assert!(bad("10.0.0.1:8001\n10.0.0.1:8001 member=false").contains("listed twice"));
        assert!(bad("10.0.0.1:8001 name=a\n10.0.0.2:8001 name=a").contains("one name"));
    }

    #[test]
    fn the_number_of_nodes_is_bounded() {
        let text = |count: usize| -> String {
            (1..=count)
                .map(|port| format!("10.0.0.1:{port}\n"))
                .collect()
        };
        assert_eq!(good(&text(MAX_NODES)).len(), MAX_NODES);
        assert!(bad(text(MAX_NODES + 1)).contains("1025 nodes"));
    }
}
