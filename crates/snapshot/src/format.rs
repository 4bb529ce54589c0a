//! The format, over any reader or writer. The crate's documentation has its table.

use std::io::{self, ErrorKind, Read, Write};

use xxhash_rust::xxh3::Xxh3;

use crate::Flaw;

const MAGIC: [u8; 8] = *b"\x89GGLKEY\n";
const VERSION: u32 = 1;

/// Stands in place of the next key's length.
const END: u32 = u32::MAX;

/// Longer keys are left out.
const MAX_KEY: usize = 1 << 20;
const MAX_NAME: usize = 1 << 10;

/// The number of keys and the checksum, with the end mark before them.
const TRAILER: u64 = 4 + 8 + 8;

/// The most bytes of a file.
pub(crate) const MAX_LEN: u64 = 256 << 20;

/// Writes a snapshot of a bounded number of bytes.
pub(crate) struct Writer<W> {
    to: W,
    sum: Xxh3,
    keys: u64,
    len: u64,
    most: u64,
}

/// The size of a finished snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) keys: u64,
    pub(crate) len: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn begin(to: W, group: &str, most: u64) -> io::Result<Self> {
        let mut writer = Self {
            to,
            sum: Xxh3::new(),
            keys: 0,
            len: 0,
            most,
        };
        writer.put(&MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.put_text(group.as_bytes())?;
        Ok(writer)
    }

    /// Adds a key; false if there is no room for it.
    pub(crate) fn key(&mut self, key: &[u8]) -> io::Result<bool> {
        if key.len() > MAX_KEY {
            return Ok(true);
        }
        if self.len + 4 + key.len() as u64 + TRAILER > self.most {
            return Ok(false);
        }
        self.put_text(key)?;
        self.keys += 1;
        Ok(true)
    }

    pub(crate) fn end(mut self) -> io::Result<(W, Size)> {
        self.put(&END.to_le_bytes())?;
        self.put(&self.keys.to_le_bytes())?;
        let sum = self.sum.digest();
        self.put(&sum.to_le_bytes())?;
        let (keys, len) = (self.keys, self.len);
        Ok((self.to, Size { keys, len }))
    }

    fn put_text(&mut self, text: &[u8]) -> io::Result<()> {
        let len = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.put(&len.to_le_bytes())?;
        self.put(text)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.len += bytes.len() as u64;
        self.to.write_all(bytes)
    }
}

/// Reads a snapshot.
pub(crate) struct Reader<R> {
    from: R,
    sum: Xxh3,
    keys: u64,
    len: u64,
    key: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub(crate) fn begin(from: R, group: &str) -> Result<Self, Flaw> {
        let mut reader = Self {
            from,
            sum: Xxh3::new(),
            keys: 0,
            len: 0,
            key: Vec::new(),
        };
        reader.expect_magic()?;
        let version = u32::from_le_bytes(reader.array()?);
        if version != VERSION {
            return Err(Flaw::Version {
                found: version,
                known: VERSION,
            });
        }
        let len = reader.length()?;
        if len > MAX_NAME {
            let what = "the group's name is too long";
            return Err(Flaw::Damaged { what });
        }
        reader.fill(len)?;
        if reader.key != group.as_bytes() {
            let found = String::from_utf8_lossy(&reader.key).into_owned();
            return Err(Flaw::OtherGroup { found });
        }
        Ok(reader)
    }

    /// The next key. `None` at the end, once the trailer has been verified.
    pub(crate) fn next_key(&mut self) -> Result<Option<&[u8]>, Flaw> {
        let len = self.length()?;
        if u32::try_from(len) == Ok(END) {
            self.expect_end()?;
            return Ok(None);
        }
        if len > MAX_KEY {
            let what = "a key is too long";
            return Err(Flaw::Damaged { what });
        }
        self.fill(len)?;
        self.keys += 1;
        Ok(Some(&self.key))
    }

    /// A file of another kind may be shorter than this: its first bytes decide.
    fn expect_magic(&mut self) -> Result<(), Flaw> {
        for byte in MAGIC {
            if self.array()? != [byte] {
                return Err(Flaw::Foreign);
            }
        }
        Ok(())
    }

    fn expect_end(&mut self) -> Result<(), Flaw> {
        let damaged = |what| Err(Flaw::Damaged { what });
        if u64::from_le_bytes(self.array()?) != self.keys {
            return damaged("it has another number of keys");
        }
        let sum = self.sum.digest();
        if u64::from_le_bytes(self.array()?) != sum {
            return damaged("its checksum is another one");
        }
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => damaged("it goes on after its end"),
        }
    }

    fn length(&mut self) -> Result<usize, Flaw> {
        let len = u32::from_le_bytes(self.array()?);
        usize::try_from(len).map_err(|_| Flaw::Damaged {
            what: "a length is too large",
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut bytes = [0; N];
        let read = self.from.read_exact(&mut bytes);
        self.took(read, &bytes)?;
        Ok(bytes)
    }

    /// Reads `len` bytes into `key`.
    fn fill(&mut self, len: usize) -> Result<(), Flaw> {
        let mut key = std::mem::take(&mut self.key);
        key.resize(len, 0);
        let read = self.from.read_exact(&mut key);
        let took = self.took(read, &key);
        self.key = key;
        took
    }

    fn took(&mut self, read: io::Result<()>, bytes: &[u8]) -> Result<(), Flaw> {
        read.map_err(|failure| match failure.kind() {
            ErrorKind::UnexpectedEof => Flaw::Truncated { len: self.len },
            _ => Flaw::Io(failure),
        })?;
        self.sum.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
