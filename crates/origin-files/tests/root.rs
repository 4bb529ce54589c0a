//! A root that is changed to another directory, removed, and restored.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use gaggle_group::{Content, Key, Load, Loaded, Metadata, Origin, OriginError, OriginFault};
use gaggle_origin_files::FilesOrigin;
use tempfile::TempDir;

/// Directories with a file `f` each, and the link `current` to one of them, which is the root.
struct Site {
    dir: TempDir,
    origin: FilesOrigin,
}

impl Site {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        make(dir.path().join("v1"), "one");
        symlink("v1", dir.path().join("current")).unwrap();
        let origin = FilesOrigin::open(dir.path().join("current")).unwrap();
        Self { dir, origin }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes the link, in one step.
    fn turn(&self, to: &str) {
        symlink(to, self.at("next")).unwrap();
        fs::rename(self.at("next"), self.at("current")).unwrap();
    }

    async fn load_known(&self, known: Option<&Metadata>) -> Result<Loaded, OriginError> {
        load(&self.origin, "f", known).await
    }

    async fn content(&self, key: &str) -> Content {
        load(&self.origin, key, None).await.unwrap().content
    }

    async fn failure(&self) -> OriginError {
        let failure = self.load_known(None).await.unwrap_err();
        let root = self.at("current").display().to_string();
        assert!(failure.to_string().contains(&root), "{failure}");
        failure
    }
}

/// Always with the same time of writing, as an archive has it.
fn make(dir: impl AsRef<Path>, content: &str) {
    let dir = dir.as_ref();
    fs::create_dir(dir).unwrap();
    fs::write(dir.join("f"), content).unwrap();
    let file = fs::File::options().write(true).open(dir.join("f"));
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    file.unwrap().set_modified(at).unwrap();
}

async fn load(
    origin: &FilesOrigin,
    key: &str,
    known: Option<&Metadata>,
) -> Result<Loaded, OriginError> {
    let key = Key::copy_from_slice(key.as_bytes());
    let load = Load::new(&key, 100);
    let load = known.map_or(load, |known| load.with_stale(known));
    origin.load(load).await
}

fn value(content: &'static str) -> Content {
    Content::Value(content.into())
}

/// Lets a second pass at once, and no more than that.
async fn a_second_later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_root_that_is_turned_under_load_is_followed_and_nothing_is_ever_missing() {
    let site = Site::new();
    let over = Arc::new(AtomicBool::new(false));
    let loaders: Vec<_> = (0..8)
        .map(|_| {
            let (origin, over) = (site.origin.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Relaxed) {
                    let found = load(&origin, "f", None).await.unwrap().content;
                    assert!(found == value("one") || found == value("two"), "{found:?}");
                }
            })
        })
        .collect();
    assert_eq!(site.content("f").await, value("one"));
    make(site.at("v2"), "two");
    site.turn("v2");
    // As after a tree has been replaced.
    fs::remove_dir_all(site.at("v1")).unwrap();
    for _ in 0..100 {
        assert_eq!(site.content("f").await, value("two"));
    }
    over.store(true, Relaxed);
    for loader in loaders {
        loader.await.unwrap();
    }
}

#[tokio::test]
async fn a_root_that_is_turned_is_followed_within_a_second_while_the_old_one_is_there() {
    let site = Site::new();
    make(site.at("v2"), "two");
    assert_eq!(site.content("f").await, value("one"));
    for (to, content) in [("v2", "two"), ("v1", "one"), ("v2", "two")] {
        site.turn(to);
        a_second_later().await;
        assert_eq!(site.content("f").await, value(content));
    }
}

#[tokio::test]
async fn a_file_that_the_new_root_alone_has_is_found_at_once() {
    let site = Site::new();
    make(site.at("v2"), "two");
    fs::write(site.at("v2").join("new"), "new").unwrap();
    assert_eq!(site.content("new").await, Content::Absent);
    site.turn("v2");
    assert_eq!(site.content("new").await, value("new"));
}

#[tokio::test]
async fn what_is_known_of_a_file_does_not_hold_below_another_root() {
    let site = Site::new();
    // The same length and time of writing as the other.
    make(site.at("v2"), "two");
    let one = site.load_known(None).await.unwrap().metadata;
    site.turn("v2");
    a_second_later().await;
    let found = site.load_known(Some(&one)).await.unwrap();
    assert_eq!(found.content, value("two"));
    let two = found.metadata;
    let again = site.load_known(Some(&two)).await.unwrap();
    assert_eq!(again.content, Content::NotModified);
    // Nor does what was known before hold when the old root is back.
    site.turn("v1");
    a_second_later().await;
    for known in [&one, &two] {
        let found = site.load_known(Some(known)).await.unwrap();
        assert_eq!(found.content, value("one"));
    }
}

#[tokio::test]
async fn a_root_that_is_gone_is_a_failure_until_it_is_back() {
    let site = Site::new();
    for content in ["two", "three"] {
        assert!(site.load_known(None).await.is_ok());
        fs::remove_dir_all(site.at("v1")).unwrap();
        // At once, as otherwise the keys would be kept as not found.
        for _ in 0..2 {
            let failure = site.failure().await;
            assert_eq!(failure.fault(), OriginFault::Unreachable, "{failure}");
        }
        a_second_later().await;
        site.failure().await;
        make(site.at("v1"), content);
        assert_eq!(site.content("f").await, value(content));
        assert_eq!(site.content("nobody").await, Content::Absent);
    }
    // The link alone.
    fs::remove_file(site.at("current")).unwrap();
    a_second_later().await;
    site.failure().await;
    symlink("v1", site.at("current")).unwrap();
    assert_eq!(site.content("f").await, value("three"));
    // A file in its place.
    fs::remove_file(site.at("current")).unwrap();
    fs::write(site.at("current"), "").unwrap();
    a_second_later().await;
    site.failure().await;
}

#[tokio::test]
async fn links_below_a_root_that_was_turned_lead_nowhere_outside() {
    let site = Site::new();
    fs::write(site.at("secret"), "outside").unwrap();
    make(site.at("v2"), "two");
    symlink("../secret", site.at("v2").join("up")).unwrap();
    symlink(site.at("secret"), site.at("v2").join("absolute")).unwrap();
    symlink("..", site.at("v2").join("parent")).unwrap();
    site.turn("v2");
    a_second_later().await;
    assert_eq!(site.content("f").await, value("two"));
    for key in ["up", "absolute", "parent/secret"] {
        let refused = load(&site.origin, key, None).await;
        assert!(refused.is_err(), "{key}: {refused:?}");
    }
    assert_eq!(site.content("../secret").await, Content::Absent);
}
