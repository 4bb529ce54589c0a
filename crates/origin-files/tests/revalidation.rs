//! The metadata of a file, and when a load reads the file again.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gaggle_group::{Content, Field, Hint, Key, Load, Loaded, Metadata, Origin, OriginError};
use gaggle_origin_files::FilesOrigin;
use tempfile::TempDir;

/// A directory with one file, `f`.
struct Site {
    dir: TempDir,
    origin: FilesOrigin,
}

/// In 1994, with nanoseconds.
const WRITTEN: Duration = Duration::new(784_111_777, 123_456_789);

impl Site {
    fn new(content: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let origin = FilesOrigin::open(dir.path()).unwrap();
        let site = Self { dir, origin };
        site.write(content, WRITTEN);
        site
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("f")
    }

    fn write(&self, content: &str, at: Duration) {
        std::fs::write(self.path(), content).unwrap();
        let file = std::fs::File::options().write(true).open(self.path());
        let at = SystemTime::UNIX_EPOCH + at;
        file.unwrap().set_modified(at).unwrap();
    }

    async fn load(&self, stale: Option<&Metadata>) -> Loaded {
        let key = Key::from("f");
        let load = Load::new(&key, 100);
        let load = stale.map_or(load, |stale| load.with_stale(stale));
        self.origin.load(load).await.unwrap()
    }
}

fn value(content: &'static str) -> Content {
    Content::Value(content.into())
}

#[tokio::test]
async fn a_value_has_a_tag_and_a_date_and_nothing_else() {
    let site = Site::new("hello");
    let loaded = site.load(None).await;
    assert_eq!(loaded.content, value("hello"));
    assert_eq!(loaded.freshness, Hint::default());
    let get = |field| loaded.metadata.get(field).map(String::from_utf8_lossy);
    assert_eq!(get(Field::ETag).unwrap(), "\"5-784111777123456789\"");
    assert_eq!(
        get(Field::LastModified).unwrap(),
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
    assert_eq!(get(Field::ContentType), None);
    assert_eq!(get(Field::ContentEncoding), None);
    assert_eq!(loaded.metadata.age(), Some(Duration::ZERO));
}

#[tokio::test]
async fn an_unchanged_file_is_not_modified() {
    let site = Site::new("hello");
    let known = site.load(None).await.metadata;
    let again = site.load(Some(&known)).await;
    assert_eq!(again.content, Content::NotModified);
    assert_eq!(again.metadata, known);

    // The same length and time count as unchanged, which shows that the file is not read.
    site.write("HELLO", WRITTEN);
    assert_eq!(site.load(Some(&known)).await.content, Content::NotModified);
    assert_eq!(site.load(None).await.content, value("HELLO"));
}

#[tokio::test]
async fn a_change_within_the_same_second_is_a_new_value() {
    let site = Site::new("hello");
    let known = site.load(None).await.metadata;
    site.write("HELLO", WRITTEN + Duration::from_nanos(1));
    let again = site.load(Some(&known)).await;
    assert_eq!(again.content, value("HELLO"));
    let date = |of: &Metadata| of.get(Field::LastModified).map(<[u8]>::to_vec);
    assert_eq!(date(&again.metadata), date(&known));
    assert_eq!(
        site.load(Some(&again.metadata)).await.content,
        Content::NotModified
    );
}

#[tokio::test]
async fn another_length_or_an_earlier_time_is_a_new_value() {
    let site = Site::new("hello");
    let known = site.load(None).await.metadata;
    site.write("hello!", WRITTEN);
    assert_eq!(site.load(Some(&known)).await.content, value("hello!"));
    site.write("HELLO", WRITTEN - Duration::from_secs(9));
    assert_eq!(site.load(Some(&known)).await.content, value("HELLO"));
}

#[tokio::test]
async fn validators_of_another_origin_are_passed_over() {
    let site = Site::new("hello");
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for foreign in [
        Metadata::default(),
        Metadata::default().with(Field::ETag, "*"),
        Metadata::default().with(Field::LastModified, date),
        Metadata::default().with(Field::ETag, "W/\"5-784111777123456789\""),
    ] {
        let loaded = site.load(Some(&foreign)).await;
        assert_eq!(loaded.content, value("hello"), "{foreign:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_gone_or_over_the_limit_is_so_whatever_is_known() {
    let site = Site::new("hello");
    let known = site.load(None).await.metadata;
    let key = Key::from("f");
    let load = Load::new(&key, 4).with_stale(&known);
    let error = site.origin.load(load).await.unwrap_err();
    assert!(matches!(error, OriginError::TooLarge { len: Some(5), .. }));
    std::fs::remove_file(site.path()).unwrap();
    assert_eq!(site.load(Some(&known)).await, Loaded::absent());
}
