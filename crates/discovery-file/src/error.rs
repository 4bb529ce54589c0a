//! Why a file gives no list.

use std::io;

use crate::{MAX_BYTES, MAX_NODES};

/// Why the file gives no list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is missing, or cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is a directory, a device or a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is too large.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// It was different each time that it was read.
    #[error("it is being written, and still changes")]
    Changing,
    /// A line is invalid.
    #[error("line {line}: {what}")]
    Line {
        /// The number of the line; the first is 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// It is not JSON, or has the wrong shape. The text has the line.
    #[error("JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// It lists no node, and does not state that this is intended.
    #[error("it lists no node; a line with the word none says that there is none")]
    Empty,
    /// It lists too many nodes.
    #[error("it lists {0} nodes; at most {MAX_NODES} are taken")]
    TooMany(usize),
    /// Two entries contradict each other.
    #[error("{0}")]
    Twice(String),
}
