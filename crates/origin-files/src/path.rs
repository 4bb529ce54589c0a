//! Which keys name a file, and by what path.

use std::path::PathBuf;

/// The path below the root that `key` names; `None` if a key of this form can name no file.
///
/// The path has only plain components, spelled as in the key: two different keys never make the
/// same path.
pub(crate) fn path_of(key: &[u8]) -> Option<PathBuf> {
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    if key.contains(&0) || !key.split(|&byte| byte == b'/').all(plain) {
        return None;
    }
    native(key)
}

#[cfg(unix)]
#[allow(
    clippy::unnecessary_wraps,
    reason = "other platforms have names that bytes cannot spell"
)]
fn native(key: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;

    Some(PathBuf::from(std::ffi::OsStr::from_bytes(key)))
}

#[cfg(not(unix))]
fn native(key: &[u8]) -> Option<PathBuf> {
    // A backslash separates components there, and a colon names a drive or a stream: both would be
    // aliases or escapes.
    let key = std::str::from_utf8(key).ok()?;
    (!key.contains(['\\', ':'])).then(|| PathBuf::from(key))
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    /// Whatever the key: no path, or one of plain names that spells the key.
    fn check(key: &[u8]) {
        let Some(path) = path_of(key) else {
            return;
        };
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        assert!(path.components().all(plain), "{path:?}");
        assert_eq!(path.as_os_str().as_encoded_bytes(), key);
        let names = key.split(|&byte| byte == b'/').count();
        assert_eq!(path.components().count(), names, "{path:?}");
    }

    #[test]
    fn the_corpus_names_nothing_or_what_it_spells() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/keys");
        let mut read = 0;
        for file in std::fs::read_dir(corpus).unwrap() {
            check(&std::fs::read(file.unwrap().path()).unwrap());
            read += 1;
        }
        assert!(read >= 20, "{read}");
    }

    proptest! {
        #[test]
        fn any_key_names_nothing_or_what_it_spells(key in any::<Vec<u8>>()) {
            check(&key);
        }

        #[test]
        fn dots_and_slashes_name_nothing_or_what_they_spell(key in "[./a\\\\:\0]{0,12}") {
            check(key.as_bytes());
        }
    }

    #[test]
    fn plain_components_are_a_path_as_spelled() {
        for key in [
            "a", "a/b", "...", "..a", "a.", ".hidden", "a b", "张三", "a\\b",
        ] {
            if cfg!(not(unix)) && key.contains('\\') {
                continue;
            }
            assert_eq!(path_of(key.as_bytes()), Some(PathBuf::from(key)), "{key}");
        }
    }

    #[test]
    fn all_other_spellings_name_nothing() {
        for key in [
            "", "/", "/a", "a/", "a//b", ".", "./a", "a/.", "a/./b", "..", "../a", "a/..",
            "a/../b", "a\0", "\0",
        ] {
            assert_eq!(path_of(key.as_bytes()), None, "{key:?}");
        }
    }
}
