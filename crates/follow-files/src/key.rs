//! The key of a file: its path below the root, as in gaggle-origin-files.

use std::path::Path;

use gaggle_group::Key;

/// The key of that path, relative to the root; `None` if no key names it.
#[cfg(unix)]
#[allow(
    clippy::unnecessary_wraps,
    reason = "other platforms have names that keys cannot spell"
)]
pub(crate) fn key_of(path: &Path) -> Option<Key> {
    use std::os::unix::ffi::OsStrExt as _;

    Some(Key::copy_from_slice(path.as_os_str().as_bytes()))
}

#[cfg(not(unix))]
pub(crate) fn key_of(path: &Path) -> Option<Key> {
    let names: Option<Vec<&str>> = path.iter().map(std::ffi::OsStr::to_str).collect();
    Some(Key::from(names?.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_relative_path() {
        for name in ["a", "a/b", "...", ".hidden", "a b", "张三"] {
            assert_eq!(key_of(Path::new(name)).unwrap(), name);
        }
    }
}
