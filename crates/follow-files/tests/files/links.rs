//! Symbolic links below the root: a file has a key by each of them.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;

use gaggle_follow::Change;

use crate::watched::{Watched, key, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_reported_by_each_of_its_names() {
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
async fn with_a_changed_link_to_a_directory_everything_may_have_changed() {
    let mut watched = Watched::of(&["a/file", "b/file"]).await;
    let root = watched.root.clone();
    symlink("a", root.join("dir")).unwrap();
    watched.tells(&Change::All).await;
    turn(&watched, "dir", "b");
    watched.tells(&Change::All).await;
    fs::write(root.join("b/file"), "2").unwrap();
    watched.tells(&key("dir/file")).await;
    fs::remove_file(root.join("dir")).unwrap();
    watched.tells(&Change::All).await;
}

/// Changes a link's target in one step: the new link is made outside of the root, so that only one
/// event is seen.
fn turn(watched: &Watched, link: &str, to: &str) {
    let new = watched.dir.path().join("new-link");
    symlink(to, &new).unwrap();
    fs::rename(&new, watched.root.join(link)).unwrap();
}

/// Waits until all earlier changes are reported. Each mark is a file that does not exist yet.
async fn drain(watched: &mut Watched, mark: &str) {
    fs::write(watched.root.join(mark), "").unwrap();
    watched.tells(&key(mark)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_through_a_changed_link_leads_to_the_new_target() {
    let mut watched = Watched::of(&["releases/1/x", "releases/2/x"]).await;
    let root = watched.root.clone();
    symlink("releases/1", root.join("cur")).unwrap();
    watched.tells(&Change::All).await;
    symlink("cur/x", root.join("a")).unwrap();
    symlink("a", root.join("b")).unwrap();
    watched.tells_keys(&["a", "b"]).await;
    fs::write(root.join("releases/1/x"), "2").unwrap();
    watched
        .tells_keys(&["a", "b", "cur/x", "releases/1/x"])
        .await;

    turn(&watched, "cur", "releases/2");
    watched.tells(&Change::All).await;
    fs::write(root.join("releases/2/x"), "2").unwrap();
    watched
        .tells_keys(&["a", "b", "cur/x", "releases/2/x"])
        .await;
    drain(&mut watched, "mark").await;
    fs::write(root.join("releases/1/x"), "3").unwrap();
    fs::write(root.join("end"), "1").unwrap();
    let told = watched.tells(&key("end")).await;
    assert!(!told.contains(&key("a")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_link_to_a_file_is_reported_when_that_changes() {
    let mut watched = Watched::of(&["1", "2"]).await;
    let root = watched.root.clone();
    symlink("1", root.join("inner")).unwrap();
    symlink("inner", root.join("outer")).unwrap();
    watched.tells_keys(&["inner", "outer"]).await;
    drain(&mut watched, "mark").await;
    turn(&watched, "inner", "2");
    watched.tells_keys(&["inner", "outer"]).await;
    fs::write(root.join("2"), "2").unwrap();
    watched.tells_keys(&["2", "inner", "outer"]).await;
    drain(&mut watched, "mark-2").await;
    fs::remove_file(root.join("inner")).unwrap();
    watched.tells_keys(&["inner", "outer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_through_a_replaced_directory_is_reported() {
    let mut watched = Watched::of(&["d/x", "new/x"]).await;
    let root = watched.root.clone();
    symlink("d/x", root.join("a")).unwrap();
    watched.tells_keys(&["a"]).await;
    fs::rename(root.join("d"), root.join("old")).unwrap();
    watched.tells(&Change::All).await;
    drain(&mut watched, "mark").await;
    symlink("new", root.join("d")).unwrap();
    watched.tells(&Change::All).await;
    fs::write(root.join("new/x"), "2").unwrap();
    watched.tells_keys(&["a", "d/x", "new/x"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dangling_link_is_reported_once_its_target_exists() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    // One that exists from the start, and one that is made later.
    symlink("b", root.join("early")).unwrap();
    let mut watched = Watched::at(dir, &root).await;
    symlink("b", root.join("late")).unwrap();
    watched.tells_keys(&["late"]).await;
    fs::write(root.join("b"), "1").unwrap();
    watched.tells_keys(&["b", "early", "late"]).await;
    drain(&mut watched, "mark-1").await;
    fs::write(root.join("b"), "2").unwrap();
    watched.tells_keys(&["b", "early", "late"]).await;
    drain(&mut watched, "mark-2").await;

    // Gone and back, the file has its names still.
    fs::remove_file(root.join("b")).unwrap();
    watched.tells_keys(&["b", "early", "late"]).await;
    drain(&mut watched, "mark-3").await;
    fs::write(root.join("b"), "3").unwrap();
    watched.tells_keys(&["b", "early", "late"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dangling_link_to_a_file_of_a_new_directory_is_reported() {
    let mut watched = Watched::of(&["x"]).await;
    let root = watched.root.clone();
    symlink("new/file", root.join("a")).unwrap();
    watched.tells_keys(&["a"]).await;
    let made = watched.dir.path().join("made");
    write(made.join("file"), "1");
    fs::rename(&made, root.join("new")).unwrap();
    watched.tells_keys(&["a", "new/file"]).await;
    drain(&mut watched, "mark").await;
    fs::write(root.join("new/file"), "2").unwrap();
    watched.tells_keys(&["a", "new/file"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_many_links_each_change_is_one_of_everything() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    for n in 0..1_100 {
        symlink("nothing", root.join(format!("{n}"))).unwrap();
    }
    let mut watched = Watched::at(dir, &root).await;
    fs::write(root.join("nothing"), "1").unwrap();
    let told = watched.tells(&Change::All).await;
    assert_eq!(told, [Change::All]);
}
