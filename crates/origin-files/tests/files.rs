//! What a directory answers, and what it must never answer.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{ByteBudget, Content, Key, Load, Origin, OriginError};
use gaggle_origin_files::FilesOrigin;
use tempfile::TempDir;

const LIMIT: u64 = 1 << 20;

/// A directory to serve, with a secret beside it.
struct Site {
    outer: TempDir,
    origin: FilesOrigin,
}

impl Site {
    fn new() -> Self {
        let outer = TempDir::new().unwrap();
        std::fs::create_dir(outer.path().join("root")).unwrap();
        std::fs::write(outer.path().join("secret"), "outside").unwrap();
        let origin = FilesOrigin::open(outer.path().join("root")).unwrap();
        Self { outer, origin }
    }

    fn root(&self) -> &Path {
        self.origin.root()
    }

    fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    async fn load(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, OriginError> {
        self.load_within(key, LIMIT).await
    }

    async fn load_within(
        &self,
        key: impl AsRef<[u8]>,
        limit: u64,
    ) -> Result<Option<Bytes>, OriginError> {
        let key = Key::copy_from_slice(key.as_ref());
        match self.origin.load(Load::new(&key, limit)).await?.content {
            Content::Value(value) => Ok(Some(value)),
            Content::Absent => Ok(None),
            other => panic!("{other:?}"),
        }
    }
}

/// The failure's text, with the check that it names the origin and not the key.
fn failure(site: &Site, key: &str, answer: Result<Option<Bytes>, OriginError>) -> String {
    let text = match answer.unwrap_err() {
        OriginError::Failed(error) => {
            assert!(error.source().is_some(), "{error}");
            error.to_string()
        }
        other => panic!("{other:?}"),
    };
    assert!(text.contains(&site.root().display().to_string()), "{text}");
    assert!(!text.contains(key), "{text}");
    text
}

#[tokio::test]
async fn a_file_is_its_bytes() {
    let site = Site::new();
    let all_bytes: Vec<u8> = (0..=255).collect();
    site.write("all", &all_bytes);
    site.write("empty", "");
    site.write("deep/er/file.txt", "deep");
    assert_eq!(site.load("all").await.unwrap().unwrap(), all_bytes);
    assert_eq!(site.load("empty").await.unwrap().unwrap(), "");
    assert_eq!(
        site.load("deep/er/file.txt").await.unwrap().unwrap(),
        "deep"
    );
}

#[tokio::test]
async fn a_change_shows_on_the_next_load() {
    let site = Site::new();
    assert_eq!(site.load("a").await.unwrap(), None);
    site.write("a", "one");
    assert_eq!(site.load("a").await.unwrap().unwrap(), "one");
    site.write("a", "two");
    assert_eq!(site.load("a").await.unwrap().unwrap(), "two");
}

#[tokio::test]
async fn what_names_no_regular_file_is_not_found() {
    let site = Site::new();
    site.write("file", "x");
    site.write("dir/file", "x");
    for key in ["nobody", "dir", "dir/nobody", "file/below", "no/such/dir"] {
        assert_eq!(site.load(key).await.unwrap(), None, "{key}");
    }
}

#[tokio::test]
async fn other_spellings_of_a_path_are_not_aliases() {
    let site = Site::new();
    site.write("a", "a");
    site.write("dir/b", "b");
    let aliases = [
        "", "./a", "a/", "a/.", "/a", "//a", "dir//b", "dir/./b", "dir/../a", "a\0", "dir/b/", ".",
    ];
    for key in aliases {
        assert_eq!(site.load(key).await.unwrap(), None, "{key:?}");
    }
}

#[tokio::test]
async fn no_spelling_leads_outside() {
    let site = Site::new();
    site.write("dir/b", "b");
    let absolute = site.outer.path().join("secret");
    let attempts = [
        "../secret",
        "..",
        "dir/../../secret",
        "./../secret",
        "dir/..//../secret",
        "..\\secret",
        "..%2fsecret",
        absolute.to_str().unwrap(),
    ];
    for key in attempts {
        assert_eq!(site.load(key).await.unwrap(), None, "{key}");
    }
}

#[tokio::test]
async fn names_too_long_for_the_file_system_are_not_found() {
    let site = Site::new();
    assert_eq!(site.load("n".repeat(300)).await.unwrap(), None);
    assert_eq!(site.load("d/".repeat(5_000) + "f").await.unwrap(), None);
}

#[tokio::test]
async fn the_limit_is_a_value_and_one_more_byte_is_too_large() {
    let site = Site::new();
    site.write("v", [7; 100]);
    assert_eq!(
        site.load_within("v", 100).await.unwrap().unwrap().len(),
        100
    );
    let error = site.load_within("v", 99).await.unwrap_err();
    assert!(
        matches!(
            error,
            OriginError::TooLarge {
                len: Some(100),
                limit: 99
            }
        ),
        "{error:?}"
    );

    site.write("empty", "");
    assert_eq!(site.load_within("empty", 0).await.unwrap().unwrap(), "");
    assert_eq!(
        site.load_within("empty", u64::MAX).await.unwrap().unwrap(),
        ""
    );
}

#[tokio::test]
async fn a_big_file_is_exact_and_a_huge_one_is_refused_unread() {
    let site = Site::new();
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    site.write("big", &big);
    assert_eq!(
        site.load_within("big", 64 << 20).await.unwrap().unwrap(),
        big
    );

    // A sparse terabyte: reading it first would never end.
    let huge = std::fs::File::create(site.root().join("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let error = site.load_within("huge", 64 << 20).await.unwrap_err();
    assert!(matches!(error, OriginError::TooLarge { len: Some(len), .. } if len == 1 << 40));
}

#[tokio::test]
async fn a_file_draws_on_the_budget_while_it_is_read() {
    let site = Site::new();
    for len in [4_000, 100_000, 100_001] {
        site.write(len.to_string(), vec![7; len]);
    }
    let budget = ByteBudget::new(100_000, Duration::ZERO);
    let load = async |key: &'static str| {
        let key = Key::from(key);
        let load = Load::new(&key, LIMIT).within(&budget);
        site.origin.load(load).await
    };
    load("4000").await.unwrap();
    assert_eq!(budget.peak(), 0);
    let found = load("100000").await.unwrap();
    assert_eq!(found.content, Content::Value(vec![7; 100_000].into()));
    assert_eq!((budget.used(), budget.peak()), (0, 100_000));
    let over = load("100001").await;
    assert!(matches!(over, Err(OriginError::OverBudget(_))), "{over:?}");
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_missing_root_is_an_error_that_names_it() {
    let outer = TempDir::new().unwrap();
    let missing = outer.path().join("missing");
    let error = FilesOrigin::open(&missing).unwrap_err();
    assert!(
        error.to_string().contains(missing.to_str().unwrap()),
        "{error}"
    );

    std::fs::write(outer.path().join("file"), "").unwrap();
    assert!(FilesOrigin::open(outer.path().join("file")).is_err());
}

#[tokio::test]
async fn names_beyond_ascii_are_found() {
    let site = Site::new();
    site.write("张三", "zhang");
    site.write("a b%20'\"?#\\.txt", "odd");
    assert_eq!(site.load("张三").await.unwrap().unwrap(), "zhang");
    assert_eq!(
        site.load("a b%20'\"?#\\.txt").await.unwrap().unwrap(),
        "odd"
    );
}

#[tokio::test]
async fn a_dropped_load_leaves_a_working_origin() {
    let site = Site::new();
    site.write("v", "value");
    let key = Key::from_static(b"v");
    for _ in 0..100 {
        let mut load = std::pin::pin!(site.origin.load(Load::new(&key, LIMIT)));
        std::future::poll_fn(|cx| {
            let _ = load.as_mut().poll(cx);
            std::task::Poll::Ready(())
        })
        .await;
    }
    assert_eq!(site.load("v").await.unwrap().unwrap(), "value");
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn names_that_are_not_utf8_are_found() {
        let site = Site::new();
        site.write(OsStr::from_bytes(b"\xFF\xFE"), "raw");
        assert_eq!(site.load(b"\xFF\xFE").await.unwrap().unwrap(), "raw");
        assert_eq!(site.load(b"\xFF").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_link_below_the_root_is_followed() {
        let site = Site::new();
        site.write("v1/file", "one");
        site.write("v2/file", "two");
        symlink("v1", site.root().join("current")).unwrap();
        symlink("../v1/file", site.root().join("v2/up")).unwrap();
        assert_eq!(site.load("current/file").await.unwrap().unwrap(), "one");
        assert_eq!(site.load("v2/up").await.unwrap().unwrap(), "one");

        // The switch that deployments and mounted configuration maps do.
        std::fs::remove_file(site.root().join("current")).unwrap();
        symlink("v2", site.root().join("current")).unwrap();
        assert_eq!(site.load("current/file").await.unwrap().unwrap(), "two");
    }

    #[tokio::test]
    async fn a_link_that_leads_outside_is_a_failure_and_never_content() {
        let site = Site::new();
        site.write("inside", "x");
        symlink("../secret", site.root().join("relative")).unwrap();
        symlink(
            site.outer.path().join("secret"),
            site.root().join("absolute"),
        )
        .unwrap();
        symlink(site.root().join("inside"), site.root().join("roundabout")).unwrap();
        symlink("..", site.root().join("parent")).unwrap();
        symlink("/", site.root().join("system")).unwrap();
        for key in [
            "relative",
            "absolute",
            "roundabout",
            "parent/secret",
            "system/etc/passwd",
        ] {
            let text = failure(&site, key, site.load(key).await);
            assert!(text.contains("outside"), "{key}: {text}");
        }
    }

    #[tokio::test]
    async fn a_dangling_link_is_not_found_and_a_loop_fails() {
        let site = Site::new();
        symlink("nobody", site.root().join("dangling")).unwrap();
        symlink("ring-b", site.root().join("ring-a")).unwrap();
        symlink("ring-a", site.root().join("ring-b")).unwrap();
        assert_eq!(site.load("dangling").await.unwrap(), None);
        failure(&site, "ring-a", site.load("ring-a").await);
    }

    #[tokio::test]
    async fn a_fifo_a_socket_and_a_device_are_not_found_and_never_opened() {
        let site = Site::new();
        let made = std::process::Command::new("mkfifo")
            .arg(site.root().join("fifo"))
            .status();
        assert!(made.unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(site.root().join("socket")).unwrap();
        for key in ["fifo", "socket"] {
            // An open of a FIFO without a writer never returns.
            let answer = tokio::time::timeout(Duration::from_secs(30), site.load(key)).await;
            assert_eq!(answer.unwrap().unwrap(), None, "{key}");
        }

        let devices = FilesOrigin::open("/dev").unwrap();
        let key = Key::from("zero");
        let found = devices.load(Load::new(&key, LIMIT)).await.unwrap();
        assert_eq!(found.content, Content::Absent);
    }

    #[tokio::test]
    async fn a_file_without_permission_is_a_failure() {
        use std::os::unix::fs::PermissionsExt as _;

        let site = Site::new();
        site.write("closed", "x");
        let path = site.root().join("closed");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        if std::fs::read(&path).is_ok() {
            return; // The superuser may read it all the same.
        }
        let text = failure(&site, "closed", site.load("closed").await);
        assert!(text.to_lowercase().contains("permission"), "{text}");
    }
}
