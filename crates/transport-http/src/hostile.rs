//! What the tests with hostile input share: a stored corpus, and nearly valid messages.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// As many cases as `PROPTEST_CASES` says. Failures belong in the corpus, so no other record of
/// them is kept.
pub(crate) fn cases() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The inputs in `corpus/{target}`, with their names.
pub(crate) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|file| {
        let file = file.unwrap();
        let name = file.file_name().to_string_lossy().into_owned();
        (name, std::fs::read(file.path()).unwrap())
    });
    let files: Vec<_> = files.collect();
    assert!(!files.is_empty(), "{target}");
    files
}

/// Any bytes, or one of these messages with a few bytes changed and perhaps its end cut off.
pub(crate) fn nearly(messages: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (
        proptest::sample::select(messages),
        vec(any::<(Index, u8)>(), 0..4),
        proptest::option::of(any::<Index>()),
    );
    let changed = changed.prop_map(|(mut message, changes, cut)| {
        for (at, byte) in changes {
            if !message.is_empty() {
                let at = at.index(message.len());
                message[at] = byte;
            }
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len() + 1));
        }
        message
    });
    prop_oneof![1 => vec(any::<u8>(), 0..600), 3 => changed]
}
