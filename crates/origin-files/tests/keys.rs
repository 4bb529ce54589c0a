//! No key leads outside of the root, whatever its bytes and whatever links exist.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::symlink;

use gaggle_group::{ByteBudget, Content, Key, Load, Origin, OriginError};
use gaggle_origin_files::FilesOrigin;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A root with files that say `inside`, links of all kinds, and a file beside it that says
/// `outside`.
struct Site {
    _outer: TempDir,
    origin: FilesOrigin,
    runtime: Runtime,
}

impl Site {
    fn new() -> Self {
        let outer = TempDir::new().unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("dir")).unwrap();
        std::fs::write(outer.path().join("secret"), "outside").unwrap();
        for name in ["a", "dir/a", "dir/b", "..."] {
            std::fs::write(root.join(name), "inside").unwrap();
        }
        let secret = outer.path().join("secret");
        for (target, link) in [
            ("dir".as_ref(), "inside"),
            ("..".as_ref(), "parent"),
            ("../..".as_ref(), "dir/up"),
            ("loop".as_ref(), "loop"),
            ("nobody".as_ref(), "dangling"),
            (outer.path(), "outside"),
            (secret.as_path(), "absolute"),
            ("/".as_ref(), "system"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread();
        Self {
            origin: FilesOrigin::open(&root).unwrap(),
            runtime: { runtime }.build().unwrap(),
            _outer: outer,
        }
    }

    /// The bytes of the value, if there is one, with the check that they are from inside.
    fn check(&self, key: &[u8]) -> Option<usize> {
        let key = Key::copy_from_slice(key);
        let budget = ByteBudget::unlimited();
        let load = Load::new(&key, 1 << 20).within(&budget);
        match self.runtime.block_on(self.origin.load(load)) {
            Ok(loaded) => match loaded.content {
                Content::Value(value) => {
                    assert_eq!(value, "inside", "{key:?}");
                    Some(value.len())
                }
                Content::Absent => None,
                other => panic!("{key:?}: {other:?}"),
            },
            Err(OriginError::Failed(_)) => None,
            Err(other) => panic!("{key:?}: {other:?}"),
        }
    }
}

#[test]
fn no_key_of_the_corpus_leads_outside() {
    let site = Site::new();
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/keys");
    for file in std::fs::read_dir(corpus).unwrap() {
        site.check(&std::fs::read(file.unwrap().path()).unwrap());
    }
    assert!(
        site.check(b"inside/b").is_some(),
        "links inside are followed"
    );
}

#[test]
fn no_key_leads_outside() {
    let site = Site::new();
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            "a", "b", "dir", "inside", "parent", "outside", "absolute", "system", "loop", "up",
            "secret", "etc", "passwd", "root",
        ])
        .prop_map(str::as_bytes)
        .prop_map(<[u8]>::to_vec),
        2 => prop::sample::select(vec!["", ".", "..", "...", "\\", "\0"])
            .prop_map(str::as_bytes)
            .prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    let keys = prop::collection::vec(part, 0..6).prop_map(|parts| parts.join(&b'/'));
    TestRunner::default()
        .run(&keys, |key| {
            site.check(&key);
            Ok(())
        })
        .unwrap();
}
