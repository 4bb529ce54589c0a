//! Why a snapshot cannot be used or written.

use std::io;
use std::path::{Path, PathBuf};

/// Why a snapshot cannot be used or written. The text names the file and no key.
#[derive(Debug, thiserror::Error)]
#[error("{}: {flaw}", path.display())]
#[non_exhaustive]
pub struct SnapshotError {
    /// The file: the snapshot, the file next to it that is written first, or a link's target.
    pub path: PathBuf,
    /// What is wrong with it. It is a part of the text, and therefore no source.
    pub flaw: Flaw,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// An error of the operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin like a snapshot. It is never replaced.
    #[error("is not a snapshot of keys")]
    Foreign,
    /// Another version of Gaggle has written it.
    #[error("has version {found} of the format, and this release reads version {known}")]
    Version {
        /// The file's version.
        found: u32,
        /// The version that this release reads.
        known: u32,
    },
    /// It belongs to another group. It is never replaced.
    #[error("is the snapshot of the group {found:?}")]
    OtherGroup {
        /// The other group's name.
        found: String,
    },
    /// It is truncated.
    #[error("is incomplete: it ends after {len} bytes")]
    Truncated {
        /// Its length in bytes.
        len: u64,
    },
    /// Its content is not what was written.
    #[error("is damaged: {what}")]
    Damaged {
        /// How the damage shows.
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

    /// Whether it is a file of another group or program, which must not be changed.
    pub(crate) fn is_of_others(&self) -> bool {
        matches!(self, Self::Foreign | Self::OtherGroup { .. })
    }
}
