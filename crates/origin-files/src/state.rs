//! The state of a file, with which a later load can check that it is unchanged.

use std::time::{Duration, SystemTime};

use cap_std::fs;
use gaggle_group::{Field, Metadata};
use httpdate::fmt_http_date;

/// The first second that an HTTP date cannot express: the start of the year 10000.
const END_OF_DATES: Duration = Duration::from_secs(253_402_300_800);

/// A file's length, its modification time, and the edition of its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    len: u64,
    modified: SystemTime,
    edition: Option<u64>,
}

impl State {
    /// `None` if the system does not know a modification time.
    pub(crate) fn of(metadata: &fs::Metadata, edition: Option<u64>) -> Option<Self> {
        Some(Self {
            len: metadata.len(),
            modified: metadata.modified().ok()?.into_std(),
            edition,
        })
    }

    /// `"LENGTH-NANOSECONDS"`. The date of last modification has whole seconds only, and a file
    /// may change twice in one.
    ///
    /// Below a root that has replaced another one it is `"LENGTH-NANOSECONDS-EDITION"`: tools that
    /// unpack a tree set times, so that two trees can have files of the same length and time that
    /// are not the same.
    pub(crate) fn entity_tag(&self) -> String {
        let len = self.len;
        let modified = match self.modified.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => format!("{}", since.as_nanos()),
            Err(before) => format!("-{}", before.duration().as_nanos()),
        };
        match self.edition {
            None => format!("\"{len}-{modified}\""),
            Some(edition) => format!("\"{len}-{modified}-{edition:x}\""),
        }
    }

    /// The tag and, if it can be expressed, the date.
    pub(crate) fn metadata(&self) -> Metadata {
        let metadata = Metadata::default()
            .with(Field::ETag, self.entity_tag())
            .with_age(Duration::ZERO);
        match self.modified.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) if since < END_OF_DATES => {
                metadata.with(Field::LastModified, fmt_http_date(self.modified))
            }
            _ => metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modified(modified: SystemTime) -> (String, Option<String>) {
        let state = State {
            len: 7,
            modified,
            edition: None,
        };
        let metadata = state.metadata();
        let get = |field| Some(String::from_utf8(metadata.get(field)?.to_vec()).unwrap());
        assert_eq!(get(Field::ETag), Some(state.entity_tag()));
        (state.entity_tag(), get(Field::LastModified))
    }

    #[test]
    fn the_tag_has_nanoseconds_and_the_date_has_seconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(784_111_777, 5);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT".to_owned();
        assert_eq!(
            modified(time),
            ("\"7-784111777000000005\"".to_owned(), Some(date))
        );
    }

    #[test]
    fn a_time_that_no_http_date_can_write_has_a_tag_alone() {
        let early = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(modified(early), ("\"7--1\"".to_owned(), None));
        let late = SystemTime::UNIX_EPOCH + END_OF_DATES;
        assert_eq!(modified(late).1, None);
        assert!(modified(late - Duration::from_nanos(1)).1.is_some());
    }
}
