//! A directory with a feed of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gaggle_follow::{Change, Feed as _, Opened};
use gaggle_follow_files::FilesFeed;
use gaggle_group::Key;
use tempfile::TempDir;
use tokio::time::timeout;

/// Every expected event happens within this time, however busy the machine is.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Watched {
    pub(crate) dir: TempDir,
    pub(crate) root: PathBuf,
    pub(crate) feed: FilesFeed,
}

pub(crate) fn key(name: &str) -> Change {
    Change::Key(Key::copy_from_slice(name.as_bytes()))
}

pub(crate) fn write(path: impl AsRef<Path>, text: &str) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

impl Watched {
    /// A tree of those files, and an open feed of it.
    pub(crate) async fn of(files: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        for file in files {
            write(root.join(file), "1");
        }
        Self::at(dir, &root).await
    }

    /// An open feed of that root.
    pub(crate) async fn at(dir: TempDir, root: &Path) -> Self {
        let mut feed = FilesFeed::new(root).unwrap();
        assert!(matches!(feed.open().await.unwrap(), Opened::Missed(_)));
        let mut watched = Self {
            dir,
            root: root.to_owned(),
            feed,
        };
        // What the origin may have loaded just after the open from where the root led before.
        watched.tells(&Change::All).await;
        watched
    }

    /// Waits until that is reported; returns everything that was reported until then.
    pub(crate) async fn tells(&mut self, change: &Change) -> Vec<Change> {
        let mut told = Vec::new();
        let tells = async {
            while !told.contains(change) {
                let batch = self.feed.next().await.unwrap();
                assert_eq!(batch.position, None);
                told.extend(batch.changes);
            }
        };
        if timeout(WITHIN, tells).await.is_err() {
            panic!("{change:?} was not told, only {told:?}");
        }
        told
    }

    /// Waits until that is reported, or that everything may have changed; returns whether it was
    /// the latter.
    pub(crate) async fn tells_all_or(&mut self, change: &Change) -> bool {
        let tells = async {
            loop {
                let told = self.feed.next().await.unwrap().changes;
                if told.contains(&Change::All) {
                    return true;
                }
                if told.contains(change) {
                    return false;
                }
            }
        };
        timeout(WITHIN, tells).await.expect("a change")
    }

    /// Waits until those keys are reported, and not that everything may have changed.
    pub(crate) async fn tells_keys(&mut self, names: &[&str]) {
        let mut missing: Vec<_> = names.iter().map(|name| key(name)).collect();
        while let Some(first) = missing.first().cloned() {
            let told = self.tells(&first).await;
            assert!(!told.contains(&Change::All), "{told:?}");
            missing.retain(|change| !told.contains(change));
        }
    }

    /// The next failure.
    pub(crate) async fn fails(&mut self) -> String {
        let fails = async {
            loop {
                if let Err(error) = self.feed.next().await {
                    return error.to_string();
                }
            }
        };
        timeout(WITHIN, fails).await.expect("a failure")
    }
}
