//! A file as a [`Discovery`].

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gaggle_peers::{Discovery, DiscoveryError, Listed};
use tokio::time::sleep;

use crate::parse::parse;
use crate::read::{Look, read, read_at_rest};
use crate::{FileError, FileOptions, OptionsError};

/// A file that lists the members. The crate's documentation describes its format, and when a
/// change counts.
#[derive(Debug)]
pub struct FileDiscovery {
    options: FileOptions,
    scheme: &'static str,
    given: Mutex<Given>,
}

/// The source of the last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    /// Nothing yet, or a state that could not be compared with the present one.
    Nothing,
    Content(Look),
    /// It could not be read, for that reason.
    Failure(String),
}

impl FileDiscovery {
    /// Reads nothing yet.
    ///
    /// # Errors
    ///
    /// If the options are invalid.
    pub fn new(options: FileOptions) -> Result<Self, OptionsError> {
        options.validate()?;
        Ok(Self {
            options,
            scheme: "http",
            given: Mutex::new(Given::Nothing),
        })
    }

    /// The same, with `https` for the addresses that name no scheme, or `http`, the default.
    #[must_use]
    pub fn https(self, https: bool) -> Self {
        Self {
            scheme: if https { "https" } else { "http" },
            ..self
        }
    }

    fn give(&self, given: Given) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = given;
    }

    fn given(&self) -> Given {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.clone()
    }

    async fn list(&self) -> Result<Vec<Listed>, FileError> {
        let content = match read_at_rest(&self.options.path, self.options.every).await {
            Ok(content) => content,
            Err(failure) => {
                self.give(match &failure {
                    FileError::Changing => Given::Nothing,
                    other => Given::Failure(other.to_string()),
                });
                return Err(failure);
            }
        };
        self.give(Given::Content(content.look()));
        parse(&content.bytes, self.scheme)
    }
}

#[async_trait]
impl Discovery for FileDiscovery {
    /// An error names the file and, if there is one, the line. It takes at most four times
    /// [`every`](FileOptions::every) or 4 s, if the file is being written.
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError> {
        self.list().await.map_err(|failure| DiscoveryError {
            what: format!("file {:?}", self.options.path),
            source: Arc::new(failure),
        })
    }

    /// Polls the file, and returns when it differs from that of the last answer: another file,
    /// another modification time, other bytes, or a missing file.
    async fn changed(&self) {
        loop {
            sleep(self.options.every).await;
            let now = match read(&self.options.path).await {
                Ok(content) => Given::Content(content.look()),
                Err(failure) => Given::Failure(failure.to_string()),
            };
            if now != self.given() {
                return;
            }
        }
    }
}
