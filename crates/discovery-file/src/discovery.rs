//! A file as a [`Discovery`].

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gaggle_peers::{Discovery, DiscoveryError, Listed};
use tokio::time::sleep;

use crate::parse::parse;
use crate::read::{Look, read, read_at_rest};
use crate::{FileError, FileOptions, OptionsError};

/// A file that lists the members. The crate's documentation tells what it may look like, and when
/// a change counts.
#[derive(Debug)]
pub struct FileDiscovery {
    options: FileOptions,
    scheme: &'static str,
    given: Mutex<Given>,
}

/// What the last answer was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    /// Nothing yet, or what could not be told from what there is now.
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
    /// If the options cannot be.
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
    /// An error tells the file, and the line where one is wrong. Takes at most four times
    /// [`every`](FileOptions::every) or 4 s, where the file is being written.
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError> {
        self.list().await.map_err(|failure| DiscoveryError {
            what: format!("file {:?}", self.options.path),
            source: Arc::new(failure),
        })
    }

    /// Looks at the file again and again, and returns when it is not what the last answer was
    /// made of: another file, another time of change, other bytes, or gone.
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
