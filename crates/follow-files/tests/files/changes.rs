//! Files and directories that are made, changed and deleted.

use std::fs;
use std::io::Write as _;

use gaggle_follow::{Change, Feed as _};

use crate::watched::{Watched, key, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_in_any_way_is_reported_by_its_relative_path() {
    let mut watched = Watched::of(&["a", "en/index.html"]).await;
    let root = watched.root.clone();
    fs::write(root.join("a"), "2").unwrap();
    watched.tells_keys(&["a"]).await;
    fs::write(root.join("en/index.html"), "2").unwrap();
    watched.tells_keys(&["en/index.html"]).await;
    fs::OpenOptions::new()
        .append(true)
        .open(root.join("a"))
        .unwrap()
        .write_all(b"3")
        .unwrap();
    watched.tells_keys(&["a"]).await;
    fs::write(root.join(".new"), "4").unwrap();
    fs::rename(root.join(".new"), root.join("a")).unwrap();
    watched.tells_keys(&["a", ".new"]).await;
    fs::write(root.join("en/new"), "1").unwrap();
    watched.tells_keys(&["en/new"]).await;
    fs::rename(root.join("en/new"), root.join("moved")).unwrap();
    watched.tells_keys(&["en/new", "moved"]).await;
    fs::remove_file(root.join("en/index.html")).unwrap();
    watched.tells_keys(&["en/index.html"]).await;
    // One that is moved in from outside, and one that is moved there.
    write(watched.dir.path().join("outside"), "1");
    fs::rename(watched.dir.path().join("outside"), root.join("inside")).unwrap();
    watched.tells_keys(&["inside"]).await;
    fs::rename(root.join("inside"), watched.dir.path().join("outside")).unwrap();
    watched.tells_keys(&["inside"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_a_file_is_no_change() {
    let mut watched = Watched::of(&["a", "b"]).await;
    for _ in 0..100 {
        fs::read(watched.root.join("a")).unwrap();
    }
    fs::write(watched.root.join("b"), "2").unwrap();
    let told = watched.tells(&key("b")).await;
    assert!(!told.contains(&key("a")), "{told:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_name_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStrExt as _;

    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let mut watched = Watched::of(&["a"]).await;
    // Not every file system has such names.
    if fs::write(watched.root.join(name), "1").is_ok() {
        watched
            .tells(&Change::Key(b"\xff\xfe".as_slice().into()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_and_later_files_of_a_new_directory_are_reported() {
    let mut watched = Watched::of(&["a"]).await;
    let root = watched.root.clone();
    // All of it is there when the watch begins.
    let made = watched.dir.path().join("made");
    write(made.join("1"), "1");
    write(made.join("deep/2"), "1");
    fs::rename(&made, root.join("new")).unwrap();
    watched.tells_keys(&["new/1", "new/deep/2"]).await;
    fs::write(root.join("new/deep/3"), "1").unwrap();
    watched.tells_keys(&["new/deep/3"]).await;

    // Each of these is made while the watch begins.
    for n in 0..20 {
        let (name, later) = (format!("x{n}/y/z/file"), format!("x{n}/y/later"));
        write(root.join(&name), "1");
        watched.tells_keys(&[&name]).await;
        write(root.join(&later), "1");
        watched.tells_keys(&[&later]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_directory_that_goes_away_everything_may_have_changed() {
    let mut watched = Watched::of(&["a/1", "b/c/2", "d/3"]).await;
    let root = watched.root.clone();
    fs::remove_dir_all(root.join("a")).unwrap();
    watched.tells(&Change::All).await;
    fs::rename(root.join("b/c"), root.join("moved")).unwrap();
    watched.tells(&Change::All).await;
    fs::rename(root.join("d"), watched.dir.path().join("outside")).unwrap();
    watched.tells(&Change::All).await;
    // What was moved inside is still watched, by its new name.
    fs::write(root.join("moved/2"), "2").unwrap();
    watched.tells(&key("moved/2")).await;
    // A directory that takes the place of a file, and the other way round.
    fs::write(root.join("e"), "1").unwrap();
    watched.tells(&key("e")).await;
    fs::remove_file(root.join("e")).unwrap();
    write(root.join("e/1"), "1");
    watched.tells(&key("e/1")).await;
    fs::remove_dir_all(root.join("e")).unwrap();
    fs::write(root.join("e"), "1").unwrap();
    watched.tells(&Change::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_directory_replaces_is_reported() {
    let mut watched = Watched::of(&["e"]).await;
    // Both are examined together.
    fs::remove_file(watched.root.join("e")).unwrap();
    fs::create_dir(watched.root.join("e")).unwrap();
    watched.tells_keys(&["e"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_more_changes_than_are_kept_everything_may_have_changed() {
    let mut watched = Watched::of(&["a"]).await;
    // The feed is not read meanwhile. Some changes may be taken before all of them were seen, so
    // that no part is too large: then it is tried again.
    let mut was_all = false;
    for round in 0..50 {
        for n in 0..9_000 {
            fs::write(watched.root.join(format!("{n}")), "").unwrap();
        }
        let mark = format!("mark-{round}");
        fs::write(watched.root.join(&mark), "").unwrap();
        was_all = watched.tells_all_or(&key(&mark)).await;
        if was_all {
            break;
        }
    }
    assert!(was_all);
    fs::create_dir(watched.root.join("later")).unwrap();
    // The rest of the earlier changes may be reported as a change of everything once more.
    let mut was_all = true;
    for n in 0..50 {
        let name = format!("later/{n}");
        fs::write(watched.root.join(&name), "").unwrap();
        was_all = watched.tells_all_or(&key(&name)).await;
        if !was_all {
            break;
        }
    }
    assert!(!was_all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_closed_reports_nothing_until_it_is_opened() {
    let mut watched = Watched::of(&["a"]).await;
    watched.feed.close().await;
    assert!(watched.fails().await.contains("not open"));
    watched.feed.open().await.unwrap();
    fs::write(watched.root.join("a"), "2").unwrap();
    watched.tells(&key("a")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_whose_next_is_dropped_again_and_again_loses_nothing() {
    let mut watched = Watched::of(&["a"]).await;
    for n in 0..50 {
        fs::write(watched.root.join(format!("{n}")), "").unwrap();
    }
    let mut told = Vec::new();
    let until = std::time::Instant::now() + crate::watched::WITHIN;
    while !(0..50).all(|n| told.contains(&key(&format!("{n}")))) {
        assert!(std::time::Instant::now() < until, "{told:?}");
        tokio::select! {
            biased;
            batch = watched.feed.next() => told.extend(batch.unwrap().changes),
            () = tokio::task::yield_now() => {}
        }
    }
}
