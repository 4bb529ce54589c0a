//! The token that requests carry: fixed, or from a file that is rotated.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::header::HeaderValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How often a file is checked.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How long a request waits for such a check, before it uses the known token.
const PATIENCE: Duration = Duration::from_millis(250);
/// The longest token file, in bytes.
const MAX_LEN: u64 = 16 << 10;

/// Where the token of `Authorization: Bearer` comes from. `Debug` does not show a token.
#[derive(Clone, PartialEq, Eq)]
pub enum BearerSource {
    /// The token itself.
    Text(String),
    /// A file with only the token; space around it is ignored. It is read at start, and again when
    /// its time, length or inode has changed, which is checked before a request and at most once a
    /// second. While it cannot be read, the last token is kept, and a warning is logged.
    File(PathBuf),
}

impl fmt::Debug for BearerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// The header's value, now and after each rotation.
#[derive(Clone)]
pub(crate) enum Bearer {
    Fixed(HeaderValue),
    Followed(Arc<Followed>),
}

impl Bearer {
    /// Checks the token, and reads its file. The error never contains a part of it.
    pub(crate) fn new(source: &BearerSource) -> Result<Self, String> {
        match source {
            BearerSource::Text(text) => header(text.as_bytes()).map(Self::Fixed),
            BearerSource::File(path) => {
                let (value, stamp) = read(path)?;
                Ok(Self::Followed(Arc::new(Followed {
                    path: path.clone(),
                    state: Mutex::new(State {
                        value,
                        stamp,
                        looked: Instant::now(),
                        looking: false,
                        warned: false,
                    }),
                    looks: watch::Sender::new(()),
                })))
            }
        }
    }

    pub(crate) async fn header(&self) -> HeaderValue {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Followed(followed) => followed.header().await,
        }
    }
}

/// A token's file.
pub(crate) struct Followed {
    path: PathBuf,
    state: Mutex<State>,
    /// Notifies of each check that has ended.
    looks: watch::Sender<()>,
}

struct State {
    value: HeaderValue,
    stamp: Stamp,
    /// When the last check began.
    looked: Instant,
    looking: bool,
    /// Whether it was logged that the file cannot be read.
    warned: bool,
}

impl Followed {
    /// All requests during a check wait for it, so that none is sent with a token that was
    /// replaced long ago.
    async fn header(self: &Arc<Self>) -> HeaderValue {
        let waits = {
            let mut state = self.state();
            if !state.looking && state.looked.elapsed() >= BETWEEN_LOOKS {
                state.looking = true;
                state.looked = Instant::now();
                let followed = Arc::clone(self);
                // File access can block. The check continues if this request is dropped.
                tokio::task::spawn_blocking(move || followed.look());
            }
            // A check notifies after it has released this lock, so that none is missed.
            let until = state.looked + PATIENCE;
            state.looking.then(|| (self.looks.subscribe(), until))
        };
        if let Some((mut looks, until)) = waits {
            // The sender lives as long as this does; if the time is over, the known token is used.
            let _ = timeout_at(until, looks.changed()).await;
        }
        self.state().value.clone()
    }

    fn look(&self) {
        let known = self.state().stamp;
        let changed = match std::fs::metadata(&self.path) {
            Ok(metadata) if Stamp::of(&metadata) == known => None,
            // Reading finds the reason.
            _ => Some(read(&self.path)),
        };
        let mut state = self.state();
        match changed {
            None => state.warned = false,
            Some(Ok((value, stamp))) => {
                (state.value, state.stamp, state.warned) = (value, stamp, false);
                tracing::info!(file = %self.path.display(), "a new token for the origin was read");
            }
            Some(Err(reason)) => {
                if !std::mem::replace(&mut state.warned, true) {
                    tracing::warn!(file = %self.path.display(), reason,
                        "the token for the origin cannot be read again; the last one is kept");
                }
            }
        }
        state.looking = false;
        drop(state);
        self.looks.send_replace(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Distinguishes contents of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            inode,
        }
    }
}

/// Reads a token, with the stamp of the file that was opened.
fn read(path: &Path) -> Result<(HeaderValue, Stamp), String> {
    let content = || -> io::Result<_> {
        let file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let mut text = Vec::new();
        file.take(MAX_LEN + 1).read_to_end(&mut text)?;
        Ok((text, stamp))
    };
    let (text, stamp) = content().map_err(|error| format!("{}: {error}", path.display()))?;
    if text.len() as u64 > MAX_LEN {
        return Err(format!("{}: over {MAX_LEN} bytes", path.display()));
    }
    let value = header(text.trim_ascii());
    let value = value.map_err(|reason| format!("{}: {reason}", path.display()))?;
    Ok((value, stamp))
}

fn header(token: &[u8]) -> Result<HeaderValue, String> {
    if token.is_empty() {
        return Err("there is no token".to_owned());
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err("the token has a space, a control character or one beyond ASCII".to_owned());
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
        .map_err(|_| "the token cannot be a header's value".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_ascii_without_space_and_no_error_has_it() {
        let text = |text: &str| Bearer::new(&BearerSource::Text(text.to_owned()));
        for bad in ["", "secret two", "secret\n", "sécret", "secret\0"] {
            let reason = text(bad).err().unwrap();
            assert!(!reason.contains("cret"), "{reason}");
        }
        assert!(text("aB0-._~+/==").is_ok());
    }

    #[tokio::test]
    async fn the_value_is_sensitive_and_debug_shows_no_token() {
        let source = BearerSource::Text("secret".to_owned());
        assert_eq!(format!("{source:?}"), "Text(…)");
        let value = Bearer::new(&source).unwrap().header().await;
        assert_eq!(value, "Bearer secret");
        assert!(value.is_sensitive() && !format!("{value:?}").contains("secret"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = || {
            let source = BearerSource::File(path.clone());
            Bearer::new(&source).err().unwrap()
        };
        assert!(read().contains("token: "));
        for (content, reason) in [
            (" \n".to_owned(), "no token"),
            ("secret\nsecret".to_owned(), "a space"),
            ("s".repeat(16 << 10) + "s", "over 16384 bytes"),
        ] {
            std::fs::write(&path, content).unwrap();
            let said = read();
            assert!(said.contains(reason) && said.contains("token: "), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_when_it_changed_and_at_most_once_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "one\n").unwrap();
        let bearer = Bearer::new(&BearerSource::File(path.clone())).unwrap();
        assert_eq!(bearer.header().await, "Bearer one");

        // As Kubernetes rotates: a new file takes the name.
        let replace = |text: &str| {
            let new = folder.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &path).unwrap();
        };
        replace("two");
        assert_eq!(bearer.header().await, "Bearer one", "looked at too soon");
        tokio::time::advance(BETWEEN_LOOKS).await;
        // All requests during the check get the new token.
        let both = tokio::join!(bearer.header(), bearer.header());
        assert_eq!(
            (&both.0, &both.1),
            (&HeaderValue::from_static("Bearer two"), &both.0)
        );

        // A missing, empty or too long file is not used, and the next good one is.
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(BETWEEN_LOOKS).await;
        assert_eq!(bearer.header().await, "Bearer two");
        for bad in ["", "not one token", &"x".repeat(20_000)] {
            replace(bad);
            tokio::time::advance(BETWEEN_LOOKS).await;
            assert_eq!(bearer.header().await, "Bearer two");
        }
        replace("three");
        tokio::time::advance(BETWEEN_LOOKS).await;
        assert_eq!(bearer.header().await, "Bearer three");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_dropped_does_not_stop_the_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "one").unwrap();
        let bearer = Bearer::new(&BearerSource::File(path.clone())).unwrap();
        std::fs::write(&path, "second").unwrap();
        tokio::time::advance(BETWEEN_LOOKS).await;
        let mut dropped = Box::pin(bearer.header());
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(dropped.as_mut().poll(cx)));
        let _ = poll.await;
        drop(dropped);
        assert_eq!(bearer.header().await, "Bearer second");
    }
}
