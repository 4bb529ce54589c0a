//! Reads a file in parts, each of which is reserved first: the bytes that are read in one step are
//! bounded, and so are those that are read after the load was dropped.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use cap_std::fs::File;
use gaggle_group::Metadata;

use crate::state::State;

/// How many bytes are read between two checks whether the load was dropped.
const BETWEEN_LOOKS: u64 = 256 << 10;

/// The least room for bytes of a file beyond its length.
const LEAST: u64 = 4_095;

/// The result of a read of one path.
pub(crate) enum Found {
    Value(Vec<u8>, Metadata),
    Unchanged(Metadata),
    Nothing,
    TooLarge(Option<u64>),
}

/// The progress of a read.
pub(crate) enum Step {
    Done(Found),
    /// There is more of the file than there was room for.
    More(Reading),
}

/// A file that is being read.
pub(crate) struct Reading {
    file: File,
    /// Its state when it was opened.
    state: Option<State>,
    /// The edition of its root.
    edition: Option<u64>,
    stated: u64,
    value: Vec<u8>,
    /// The byte after `value`, once one was found.
    next: Option<u8>,
}

impl Reading {
    pub(crate) fn of(file: File, state: Option<State>, edition: Option<u64>, stated: u64) -> Self {
        Self {
            file,
            state,
            edition,
            stated,
            value: Vec::new(),
            next: None,
        }
    }

    /// The bytes to make room for next, at most `max_value`: the file's length when it was opened,
    /// and if it has grown since, twice the bytes that were read. Some file systems report no
    /// length at all.
    pub(crate) fn room(&self, max_value: u64) -> u64 {
        let read = self.value.len() as u64;
        let room = if read < self.stated {
            self.stated
        } else {
            read.saturating_mul(2).max(LEAST)
        };
        room.min(max_value)
    }

    /// Reads until the file ends or has filled `room` bytes. Blocks.
    pub(crate) fn go_on(
        mut self,
        room: u64,
        max_value: u64,
        abandoned: &Abandoned,
    ) -> io::Result<Step> {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        self.value
            .reserve_exact(room.saturating_sub(self.value.len()));
        if self.value.len() < room {
            self.value.extend(self.next.take());
        }
        while self.value.len() < room {
            abandoned.check()?;
            let part = ((room - self.value.len()) as u64).min(BETWEEN_LOOKS);
            let read = (&mut self.file).take(part).read_to_end(&mut self.value)?;
            if (read as u64) < part {
                return self.end();
            }
        }
        if self.next.is_none() {
            let mut next = [0];
            if (&mut self.file).take(1).read(&mut next)? == 0 {
                return self.end();
            }
            self.next = Some(next[0]);
        }
        if room as u64 >= max_value {
            return Ok(Step::Done(Found::TooLarge(None)));
        }
        Ok(Step::More(self))
    }

    fn end(mut self) -> io::Result<Step> {
        // The value stays in memory for long, and its spare capacity would too.
        self.value.shrink_to_fit();
        // A file that was written meanwhile may have been read half old, half new. It gets no tag,
        // which a later load could match.
        let settled = State::of(&self.file.metadata()?, self.edition) == self.state;
        let metadata = self.state.filter(|_| settled).map(|state| state.metadata());
        Ok(Step::Done(Found::Value(
            self.value,
            metadata.unwrap_or_default(),
        )))
    }
}

/// Shows a reading thread whether the load still waits.
#[derive(Clone, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    pub(crate) fn set(&self) {
        self.0.store(true, Relaxed);
    }

    /// Fails if the load was dropped, so no caller sees the failure.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.0.load(Relaxed) {
            return Err(io::Error::other("the load was abandoned"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;

    use super::*;

    const LIMIT: u64 = 1 << 20;

    /// A file of `len` bytes that is open for reading, and its name.
    fn file(len: usize) -> (tempfile::TempDir, Reading) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), vec![7; len]).unwrap();
        let root = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
        let file = root.open("f").unwrap();
        let state = State::of(&file.metadata().unwrap(), None);
        (dir, Reading::of(file, state, None, len as u64))
    }

    fn append(dir: &tempfile::TempDir, len: usize) {
        let options = std::fs::OpenOptions::new()
            .append(true)
            .open(dir.path().join("f"));
        options.unwrap().write_all(&vec![8; len]).unwrap();
    }

    fn go_on(reading: Reading, max_value: u64) -> Step {
        let room = reading.room(max_value);
        let step = reading.go_on(room, max_value, &Abandoned::default());
        let step = step.unwrap();
        if let Step::More(reading) = &step {
            assert!(reading.value.capacity() as u64 <= room);
        }
        step
    }

    #[test]
    fn a_file_is_read_at_once_into_room_of_its_length() {
        for len in [0, 1, 5_000, 1 << 20] {
            let (_dir, reading) = file(len);
            let Step::Done(Found::Value(value, metadata)) = go_on(reading, LIMIT) else {
                panic!("{len}");
            };
            assert_eq!((value.len(), value.capacity()), (len, len));
            assert!(metadata.has_validators());
        }
    }

    #[test]
    fn a_file_that_grows_is_read_in_rooms_that_double_and_has_no_metadata() {
        let (dir, reading) = file(10_000);
        append(&dir, 25_000);
        let mut step = go_on(reading, LIMIT);
        for room in [20_000, 40_000] {
            let Step::More(reading) = step else {
                panic!("{room}");
            };
            assert_eq!(reading.room(LIMIT), room);
            step = go_on(reading, LIMIT);
        }
        let Step::Done(Found::Value(value, metadata)) = step else {
            panic!();
        };
        assert_eq!(value, [vec![7; 10_000], vec![8; 25_000]].concat());
        assert_eq!(metadata, Metadata::default());
    }

    #[test]
    fn a_file_that_grows_over_the_limit_is_too_large() {
        let (dir, reading) = file(1_000);
        append(&dir, 500);
        let Step::More(reading) = go_on(reading, 1_499) else {
            panic!();
        };
        assert!(matches!(
            go_on(reading, 1_499),
            Step::Done(Found::TooLarge(None))
        ));
    }

    #[test]
    fn an_abandoned_read_ends() {
        let (_dir, reading) = file(1_000);
        let abandoned = Abandoned::default();
        abandoned.set();
        assert!(reading.go_on(1_000, LIMIT, &abandoned).is_err());
    }
}
