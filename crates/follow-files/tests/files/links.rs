//! Symbolic links below the root: a file has a key by each of them.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;

use gaggle_follow::Change;

use crate::watched::{Watched, key};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_told_by_each_of_its_names() {
    let mut watched = Watched::of(&["a/file"]).await;
    let root = watched.root.clone();
    symlink("a/file", root.join("link")).unwrap();
    watched.tells_keys(&["link"]).await;
    fs::write(root.join("a/file"), "2").unwrap();
    watched.tells_keys(&["a/file", "link"]).await;

    symlink("a", root.join("dir")).unwrap();
    watched.tells(&Change::All).await;
    fs::write(root.join("a/file"), "3").unwrap();
    watched.tells_keys(&["a/file", "link", "dir/file"]).await;

    fs::remove_file(root.join("link")).unwrap();
    watched.tells_keys(&["link"]).await;
    fs::write(root.join("a/file"), "4").unwrap();
    let told = watched.tells(&key("dir/file")).await;
    assert!(!told.contains(&key("link")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_there_from_the_start_count() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("a")).unwrap();
    fs::write(root.join("a/file"), "1").unwrap();
    symlink("a", root.join("dir")).unwrap();
    symlink("/", root.join("outside")).unwrap();
    let mut watched = Watched::at(dir, &root).await;
    fs::write(root.join("a/file"), "2").unwrap();
    watched.tells_keys(&["a/file", "dir/file"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_link_to_a_directory_that_is_turned_everything_may_have_changed() {
    let mut watched = Watched::of(&["a/file", "b/file"]).await;
    let root = watched.root.clone();
    symlink("a", root.join("dir")).unwrap();
    watched.tells(&Change::All).await;
    symlink("b", root.join("new")).unwrap();
    watched.tells(&Change::All).await;
    fs::rename(root.join("new"), root.join("dir")).unwrap();
    watched.tells(&Change::All).await;
    fs::write(root.join("b/file"), "2").unwrap();
    watched.tells(&key("dir/file")).await;
    fs::remove_file(root.join("dir")).unwrap();
    watched.tells(&Change::All).await;
}
