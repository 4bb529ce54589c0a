//! A root that becomes another directory, or is deleted.

use std::fs;
use std::path::Path;

use gaggle_follow::{Change, Feed as _};
use gaggle_follow_files::FilesFeed;

use crate::watched::{WITHIN, Watched, key, write};

#[cfg(unix)]
fn turn(link: &Path, to: &Path) {
    let new = link.with_extension("new");
    std::os::unix::fs::symlink(to, &new).unwrap();
    fs::rename(&new, link).unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_changed_to_another_directory_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("releases/1"), dir.path().join("releases/2"));
    write(first.join("a"), "1");
    write(second.join("a"), "2");
    let link = dir.path().join("current");
    turn(&link, &first);
    let mut watched = Watched::at(dir, &link).await;
    fs::write(first.join("a"), "1.1").unwrap();
    watched.tells_keys(&["a"]).await;

    turn(&link, &second);
    watched.tells(&Change::All).await;
    // Once more for what the origin has loaded by the old one meanwhile.
    watched.tells(&Change::All).await;
    fs::write(second.join("a"), "2.1").unwrap();
    watched.tells_keys(&["a"]).await;
    fs::write(first.join("old"), "1").unwrap();
    fs::write(second.join("new"), "1").unwrap();
    let told = watched.tells(&key("new")).await;
    assert!(!told.contains(&key("old")), "{told:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_middle_of_the_roots_path_may_change_too() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("1/pages/a"), "1");
    write(dir.path().join("2/pages/a"), "2");
    let link = dir.path().join("data");
    turn(&link, &dir.path().join("1"));
    let mut watched = Watched::at(dir, &link.join("pages")).await;
    turn(&link, &watched.dir.path().join("2"));
    watched.tells(&Change::All).await;
    watched.tells(&Change::All).await;
    fs::write(watched.dir.path().join("2/pages/a"), "3").unwrap();
    watched.tells_keys(&["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_directory_at_the_roots_place_is_followed() {
    let mut watched = Watched::of(&["a"]).await;
    let other = watched.dir.path().join("other");
    write(other.join("a"), "2");
    // For a moment there is no root. If the feed notices that, it is a failure.
    fs::rename(&watched.root, watched.dir.path().join("old")).unwrap();
    fs::rename(&other, &watched.root).unwrap();
    let until = std::time::Instant::now() + WITHIN;
    let all = loop {
        assert!(std::time::Instant::now() < until);
        match watched.feed.next().await {
            Ok(batch) if batch.changes.contains(&Change::All) => break true,
            Ok(_) => {}
            Err(_) => break false,
        }
    };
    if !all {
        watched.feed.open().await.unwrap();
    }
    fs::write(watched.root.join("a"), "3").unwrap();
    watched.tells(&key("a")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_goes_away_is_a_failure_until_it_is_back() {
    let mut watched = Watched::of(&["a"]).await;
    fs::remove_dir_all(&watched.root).unwrap();
    let failure = watched.fails().await;
    let root = watched.root.display().to_string();
    assert!(failure.contains(&root), "{failure}");
    assert!(
        watched
            .feed
            .open()
            .await
            .unwrap_err()
            .to_string()
            .contains(&root)
    );
    fs::create_dir(&watched.root).unwrap();
    watched.feed.open().await.unwrap();
    fs::write(watched.root.join("a"), "1").unwrap();
    watched.tells(&key("a")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_no_root() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    write(&file, "1");
    let failure = FilesFeed::new(&file).unwrap().open().await.unwrap_err();
    assert!(failure.to_string().contains("is no directory"), "{failure}");
    assert!(FilesFeed::new("").is_err());
}

/// Passes without a check for a user who may read any directory, such as root.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_may_not_be_read_is_a_failure_until_it_may() {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

    let mut watched = Watched::of(&["a", "secret/b"]).await;
    let secret = watched.root.join("secret");
    let allow = |mode| fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    if fs::read_dir(&secret).is_ok() {
        return;
    }
    let failure = watched.feed.open().await.unwrap_err().to_string();
    let named = secret.display().to_string();
    assert!(failure.contains(&named), "{failure}");
    assert!(failure.contains("cannot be read"), "{failure}");
    allow(0o700);
    watched.feed.open().await.unwrap();
    fs::write(secret.join("b"), "2").unwrap();
    watched.tells(&key("secret/b")).await;

    // One that appears while the feed is open.
    let hidden = watched.root.join("hidden");
    fs::DirBuilder::new().mode(0o000).create(&hidden).unwrap();
    let failure = watched.fails().await;
    let named = hidden.display().to_string();
    assert!(failure.contains(&named), "{failure}");
    fs::remove_dir(&hidden).unwrap();
    watched.feed.open().await.unwrap();
    fs::write(secret.join("b"), "3").unwrap();
    watched.tells(&key("secret/b")).await;
}
