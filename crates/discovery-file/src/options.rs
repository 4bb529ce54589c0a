//! Which file, and how often.

use std::path::PathBuf;
use std::time::Duration;

/// The shortest and the longest interval.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(3600);

/// Which file is read, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// The file; symbolic links are followed each time. It has no default.
    pub path: PathBuf,
    /// How long to wait between two reads. 10 ms to an hour; default 1 s.
    pub every: Duration,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            every: Duration::from_secs(1),
        }
    }
}

/// Invalid options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The path is empty.
    #[error("path is empty; expected that of a file")]
    Path,
    /// The interval is too short or too long.
    #[error("every is {0:?}; expected {SHORTEST:?} to {LONGEST:?}")]
    Every(Duration),
}

impl FileOptions {
    /// Refuses invalid options.
    pub(crate) fn validate(&self) -> Result<(), OptionsError> {
        if self.path.as_os_str().is_empty() {
            return Err(OptionsError::Path);
        }
        if !(SHORTEST..=LONGEST).contains(&self.every) {
            return Err(OptionsError::Every(self.every));
        }
        Ok(())
    }
}
