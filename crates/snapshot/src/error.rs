//! Why a snapshot cannot be used, or not be written.

use std::io;
use std::path::{Path, PathBuf};

/// Why a snapshot cannot be used, or not be written. The text names the file and no key.
#[derive(Debug, thiserror::Error)]
#[error("{}: {flaw}", path.display())]
#[non_exhaustive]
pub struct SnapshotError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it. A part of the text, and so no source.
    pub flaw: Flaw,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin as a snapshot does. It is never replaced.
    #[error("is not a snapshot of keys")]
    Foreign,
    /// Another version of Gaggle has written it.
    #[error("has version {found} of the format, and this release reads version {known}")]
    Version {
        /// What it has.
        found: u32,
        /// What can be read.
        known: u32,
    },
    /// It is another group's. It is never replaced.
    #[error("is the snapshot of the group {found:?}")]
    OtherGroup {
        /// The other group's name.
        found: String,
    },
    /// It ends too early.
    #[error("is incomplete: it ends after {len} bytes")]
    Truncated {
        /// Its length in bytes.
        len: u64,
    },
    /// It is not as it was written.
    #[error("is damaged: {what}")]
    Damaged {
        /// How that shows.
        what: &'static str,
    },
}

impl Flaw {
    pub(crate) fn at(self, path: &Path) -> SnapshotError {
        SnapshotError {
            path: path.to_owned(),
            flaw: self,
        }
    }

    /// Whether it is somebody else's file, which must stay as it is.
    pub(crate) fn is_of_others(&self) -> bool {
        matches!(self, Self::Foreign | Self::OtherGroup { .. })
    }
}
