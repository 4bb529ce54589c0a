//! Opens a database's file, also one in WAL mode in a directory without write permission.
//!
//! To read a database in WAL mode SQLite needs its `-shm` file, which it creates if there is none.
//! If it can neither open nor create one, the database can only be read as one that does not
//! change (`immutable=1`): without locks, and without the content of its `-wal` file. That is
//! correct as long as there is no writer, and a writer leaves a `-wal` file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::database::Database;
use crate::error::said;
use crate::{KeyType, OpenError};

/// How a file is opened.
#[derive(Debug)]
pub(super) struct Opening {
    /// Absolute.
    pub(super) path: PathBuf,
    /// `sqlite PATH`, for errors.
    pub(super) name: String,
    pub(super) query: String,
    pub(super) key_type: KeyType,
    pub(super) read_only: bool,
    pub(super) connect: SqliteConnectOptions,
    pub(super) pool: SqlitePoolOptions,
}

/// A database that was opened, and the file that it was opened from.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) file: Seen,
    /// Whether it is read as one that does not change.
    pub(super) immutable: bool,
}

impl Opening {
    /// Opens the file that the path names now, and checks the query.
    pub(super) async fn open(&self) -> Result<Opened, OpenError> {
        // Checked before it is opened: if another file is put there in between, the next check
        // finds a difference and opens it again. In the opposite order the new file would count as
        // the open one.
        let file = self.look().await;
        let (pool, immutable) = self.connect().await?;
        let file = file.map_err(|error| self.refused(error.to_string()))?;
        let (query, name) = (self.query.clone(), self.name.clone());
        let database = Database::checked(pool, query, self.key_type, name).await?;
        Ok(Opened {
            database,
            file,
            immutable,
        })
    }

    /// The file that the path names now.
    pub(super) async fn look(&self) -> io::Result<Seen> {
        let path = self.path.clone();
        let looked = tokio::task::spawn_blocking(move || Seen::at(&path)).await;
        // The error is that the runtime is shutting down.
        looked.map_err(io::Error::other)?
    }

    pub(super) fn refused(&self, reason: String) -> OpenError {
        OpenError::Open {
            database: self.name.clone(),
            reason,
        }
    }

    /// A pool that can read, and whether it reads the file as one that does not change.
    async fn connect(&self) -> Result<(SqlitePool, bool), OpenError> {
        let error = match self.reading(self.connect.clone()).await {
            Ok(pool) => return Ok((pool, false)),
            Err(error) => error,
        };
        let refused = |reason| Err(self.refused(reason));
        if !cannot_write(&error) {
            return refused(said(&error));
        }
        let path = self.path.clone();
        let wal = tokio::task::spawn_blocking(move || wal_of(&path)).await;
        match wal {
            Ok(Ok(Some(0))) if self.read_only => {
                match self.reading(self.connect.clone().immutable(true)).await {
                    Ok(pool) => Ok((pool, true)),
                    Err(error) => refused(said(&error)),
                }
            }
            Ok(Ok(Some(len))) => refused(format!("{}: {}", said(&error), cause(len))),
            // That is not the cause, or it cannot be known.
            _ => refused(said(&error)),
        }
    }

    /// A pool with a connection that has read from the file.
    async fn reading(&self, connect: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
        let pool = self.pool.clone().connect_with(connect).await?;
        let read = sqlx::query("SELECT 1 FROM sqlite_schema LIMIT 1");
        match read.fetch_optional(&pool).await {
            Err(error) if cannot_write(&error) => Err(error),
            // Any other error is also an error of the query, which is checked next.
            _ => Ok(pool),
        }
    }
}

/// SQLite's error if it cannot create the files that it needs beside a database: `CANTOPEN`, or
/// one of the kinds of `READONLY`.
fn cannot_write(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    let code = code.and_then(|code| code.parse::<u32>().ok());
    matches!(code.map(|code| code & 0xFF), Some(8 | 14))
}

/// Why a database in WAL mode cannot be read, for the operator.
fn cause(wal: u64) -> String {
    let what = "the database is in WAL mode, and its -wal and -shm files can neither be opened nor \
                created in its directory";
    if wal == 0 {
        format!("{what}; opened for reading only it needs none")
    } else {
        format!(
            "{what}; its -wal file holds {wal} bytes of changes, which would be ignored if it \
             were read without: make the directory writable, or checkpoint the database"
        )
    }
}

/// The length of a database's `-wal` file, 0 if there is none; `None` if the database is not in
/// WAL mode.
fn wal_of(path: &Path) -> io::Result<Option<u64>> {
    // The read version, byte 19 of the header (https://www.sqlite.org/fileformat2.html#vnums).
    let mut header = [0; 20];
    File::open(path)?.read_exact(&mut header)?;
    if header[19] != 2 {
        return Ok(None);
    }
    wal_len(path).map(Some)
}

fn wal_len(path: &Path) -> io::Result<u64> {
    // SQLite writes it beside the file itself, not beside a link to it.
    let mut wal = fs::canonicalize(path)?.into_os_string();
    wal.push("-wal");
    match fs::metadata(wal) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// A file as it was seen at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    id: Id,
    len: u64,
    modified: SystemTime,
    wal: u64,
}

impl Seen {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            id: id_of(&metadata)?,
            len: metadata.len(),
            modified: metadata.modified()?,
            wal: wal_len(path)?,
        })
    }

    /// Whether a database that was opened from this file can be kept when `now` is found at its
    /// path. An immutable one cannot once anything has been written.
    pub(super) fn still_is(&self, now: &Self, immutable: bool) -> bool {
        if immutable {
            self == now
        } else {
            self.id == now.id
        }
    }
}

/// Device and inode. An inode gets no second file as long as connections have the first one open.
#[cfg(unix)]
type Id = (u64, u64);

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other platforms may not know it")]
fn id_of(metadata: &fs::Metadata) -> io::Result<Id> {
    use std::os::unix::fs::MetadataExt as _;

    Ok((metadata.dev(), metadata.ino()))
}

/// When it was created.
#[cfg(not(unix))]
type Id = SystemTime;

#[cfg(not(unix))]
fn id_of(metadata: &fs::Metadata) -> io::Result<Id> {
    metadata.created()
}
