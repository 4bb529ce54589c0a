//! A group that serves files, and follows them.

use std::fs;
use std::time::Instant;

use gaggle_follow::{Follower, Options};
use gaggle_follow_files::FilesFeed;
use gaggle_group::{FollowState, Group};
use gaggle_origin_files::FilesOrigin;

use crate::watched::{WITHIN, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_served_without_any_ttl() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("en/page"), "0");
    let pages = Group::builder("pages").origin(FilesOrigin::open(dir.path()).unwrap());
    let pages = pages.build().unwrap();
    let feed = FilesFeed::new(dir.path()).unwrap();
    let follower = Follower::start(pages.clone(), feed, Options::default());
    let until = Instant::now() + WITHIN;
    while pages.stats().follow.unwrap().state != FollowState::Following {
        assert!(Instant::now() < until);
        tokio::task::yield_now().await;
    }
    for n in 1..20 {
        let text = format!("{n}");
        fs::write(dir.path().join("en/page"), &text).unwrap();
        let until = Instant::now() + WITHIN;
        while pages.get("en/page").await.unwrap() != text {
            assert!(Instant::now() < until, "{n} is not served");
            tokio::task::yield_now().await;
        }
    }
    follower.stop().await;
}
