//! Snapshot files. All functions block.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use gaggle_group::{Cursor, Group, Key};

use crate::format::{MAX_LEN, Reader, Size, Writer};
use crate::partial::Partial;
use crate::{Flaw, SnapshotError, Written};

/// How many keys of a group are read in one step.
const PART_KEYS: usize = 1_024;
const PART_BYTES: u64 = 4 << 20;

/// How many links are followed one after another, as on Linux.
const MAX_LINKS: usize = 40;

/// How many keys are read at a time.
const READ_KEYS: usize = 1_024;

/// A file that has been checked as a whole.
pub(crate) struct Checked {
    file: File,
    group: String,
    keys: u64,
}

impl Checked {
    /// Opens and checks it. `None` if it does not exist.
    pub(crate) fn open(path: &Path, group: &str) -> Result<Option<Self>, Flaw> {
        let Some(mut file) = open(path)? else {
            return Ok(None);
        };
        let mut reader = Reader::begin(BufReader::new(&file), group)?;
        let mut keys = 0;
        while reader.next_key()?.is_some() {
            keys += 1;
        }
        file.rewind()?;
        let group = group.to_owned();
        Ok(Some(Self { file, group, keys }))
    }

    /// Its number of keys.
    pub(crate) fn keys(&self) -> u64 {
        self.keys
    }

    /// Gives its keys to `take`, a part at a time, until `take` returns false.
    pub(crate) fn read(self, mut take: impl FnMut(Vec<Key>) -> bool) -> Result<(), Flaw> {
        let mut reader = Reader::begin(BufReader::new(self.file), &self.group)?;
        loop {
            let mut part = Vec::with_capacity(READ_KEYS);
            while part.len() < READ_KEYS
                && let Some(key) = reader.next_key()?
            {
                part.push(Bytes::copy_from_slice(key));
            }
            let is_last = part.len() < READ_KEYS;
            if !take(part) || is_last {
                return Ok(());
            }
        }
    }
}

/// Opens regular files only: to open a pipe would block.
fn open(path: &Path) -> Result<Option<File>, Flaw> {
    let metadata = match fs::metadata(path) {
        Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    if !metadata.is_file() {
        return Err(Flaw::Foreign);
    }
    if metadata.len() > MAX_LEN {
        // It may be any file, unless it begins with our magic number.
        let what = "it is larger than a snapshot may be";
        let begins = Reader::begin(File::open(path)?, "");
        return Err(match begins {
            Err(Flaw::Foreign) => Flaw::Foreign,
            _ => Flaw::Damaged { what },
        });
    }
    Ok(Some(File::open(path)?))
}

/// Writes the keys of a group until the deadline. An existing file stays if there are no keys, or
/// fewer than `at_least`, or fewer than `complete_before` because the time was over. If there is a
/// link at the path, the file that it leads to is replaced, and the link stays.
pub(crate) fn write(
    path: &Path,
    group: &Group,
    until: &Deadline,
    at_least: u64,
    complete_before: u64,
) -> Result<Written, SnapshotError> {
    let path = &followed(path).map_err(|failure| Flaw::Io(failure).at(path))?;
    leave_to_others(path, group.name()).map_err(|flaw| flaw.at(path))?;
    let (first, next) = first_part(group);
    if first.is_empty() {
        return Ok(Written::default());
    }
    let partial = Partial::beside(path)?;
    let written = write_to(partial.file(), group, first, next, until)
        .map_err(|failure| partial.failed(failure))
        .and_then(|mut written| {
            let is_worth_less = !written.complete && written.keys < complete_before;
            written.replaced = written.keys >= at_least && !is_worth_less;
            if written.replaced {
                partial.replace(path)?;
            } else {
                partial.remove()?;
            }
            Ok(written)
        });
    if written.is_err() {
        // The partial file is useless; a failure to remove it matters less than the reported one.
        let _ = partial.remove();
    }
    written
}

/// The path of the file itself, which need not exist, where links lead to it.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if !path.is_symlink() {
            return Ok(path);
        }
        let target = fs::read_link(&path)?;
        // A relative target begins at the link's directory.
        path.pop();
        path.push(target);
    }
    Err(io::Error::other("too many links lead from one to another"))
}

/// When a write has to end. Clones are one deadline.
#[derive(Debug, Clone)]
pub(crate) struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    pub(crate) fn new(at: Instant) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    /// Shortens it; never extends it.
    pub(crate) fn shorten(&self, at: Instant) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = at.min(*now);
    }

    fn is_over(&self) -> bool {
        Instant::now() >= *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the file, if it exists, may be replaced by this group.
fn leave_to_others(path: &Path, group: &str) -> Result<(), Flaw> {
    let begins = open(path).and_then(|file| {
        file.map_or(Ok(()), |file| {
            Reader::begin(BufReader::new(file), group).map(drop)
        })
    });
    match begins {
        Err(flaw) if flaw.is_of_others() || matches!(flaw, Flaw::Io(_)) => Err(flaw),
        _ => Ok(()),
    }
}

/// The first keys that exist; if these are none, no part of the cache holds any.
fn first_part(group: &Group) -> (Vec<Key>, Option<Cursor>) {
    let mut next = Some(Cursor::default());
    while let Some(from) = next {
        let (keys, then) = group.kept_keys(from, PART_KEYS, PART_BYTES);
        if !keys.is_empty() {
            return (keys, then);
        }
        next = then;
    }
    (Vec::new(), None)
}

/// Writes to a new file, and to its disk.
fn write_to(
    file: &File,
    group: &Group,
    first: Vec<Key>,
    mut next: Option<Cursor>,
    until: &Deadline,
) -> io::Result<Written> {
    let mut writer = Writer::begin(BufWriter::new(file), group.name(), MAX_LEN)?;
    let mut part = first;
    let complete = loop {
        for key in &part {
            if !writer.key(key)? {
                next = None;
                break;
            }
        }
        let Some(from) = next else {
            break true;
        };
        // The keys already written are more valuable than the rest.
        if until.is_over() {
            break false;
        }
        (part, next) = group.kept_keys(from, PART_KEYS, PART_BYTES);
    };
    let (mut buffer, Size { keys, len }) = writer.end()?;
    buffer.flush()?;
    // Before the file is renamed: after a power loss, the path has all of one snapshot.
    file.sync_data()?;
    Ok(Written {
        keys,
        bytes: len,
        complete,
        replaced: false,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_is_brought_forward_and_never_back() {
        let now = Instant::now();
        let deadline = Deadline::new(now + Duration::from_secs(3_600));
        assert!(!deadline.is_over());
        deadline.clone().shorten(now);
        assert!(deadline.is_over());
        deadline.shorten(now + Duration::from_secs(3_600));
        assert!(deadline.is_over());
    }
}
