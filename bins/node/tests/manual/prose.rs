//! The manual has the words that readers search for, and none of the phrases that are hard to
//! understand.

use std::fs;

use crate::links::markdown_below;
use crate::root;

/// The text of all chapters, in lower case, with the name of each before it.
fn chapters() -> Vec<(String, String)> {
    let src = root().join("docs/src");
    let read = |file: std::path::PathBuf| {
        let name = file.strip_prefix(&src).unwrap().display().to_string();
        (name, fs::read_to_string(file).unwrap().to_lowercase())
    };
    markdown_below(&src).into_iter().map(read).collect()
}

#[test]
fn the_words_of_the_field_are_found() {
    let chapters = chapters();
    for word in [
        "authentication",
        "timeout",
        "gateway",
        "invalidation",
        "waiter",
        "batch",
        "deadline",
        "owner",
        "origin",
        "hot copy",
        "eviction",
        "stale",
        "revalidat",
        "health check",
        "rolling restart",
        "time to live",
        "replica",
        "failover",
        "load shedding",
        "rate limit",
    ] {
        assert!(
            chapters.iter().any(|(_, text)| text.contains(word)),
            "no chapter has the word {word:?}"
        );
    }
}

#[test]
fn no_phrase_has_to_be_read_twice() {
    let mut found = Vec::new();
    for (name, text) in chapters() {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for phrase in [
            "for ever",
            "anew",
            "in vain",
            "come by",
            "would else",
            " mended",
            "parted by commas",
            "found wanting",
            "asks who is there",
            "who may come in",
            ". else",
        ] {
            let mut found_at = text.match_indices(phrase);
            let ends = |at: usize| !text[at + phrase.len()..].starts_with(char::is_alphanumeric);
            if found_at.any(|(at, _)| ends(at)) {
                found.push(format!("{name}: {phrase:?}"));
            }
        }
    }
    assert_eq!(found, [""; 0]);
}
