//! The tokens of a node, which may change while it runs.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::refusal::Refused;
use crate::token::{LONGEST_TEXT, Token, TokenError, TokenProblem, bearer, hash};

/// The shortest time between two checks of the file.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The accepted tokens, of which the first is sent. All clones share one state: what one of them
/// is [set](Self::set) to or [reads](Self::reload) applies to all.
#[derive(Debug, Clone)]
pub struct Tokens {
    current: Arc<RwLock<Arc<Current>>>,
}

#[derive(Debug)]
struct Current {
    /// The file of the tokens; `None` if they are not from a file.
    path: Option<PathBuf>,
    /// One or two.
    tokens: Vec<Listed>,
}

/// A token, and whether it is still one of the accepted ones. [`Admission`]s share that.
#[derive(Debug, Clone)]
struct Listed {
    token: Token,
    withdrawn: Arc<AtomicBool>,
}

/// What a client was admitted by that stays connected, and so is checked less often than at each
/// request: [`Tokens::admit`]. It holds no secret. Clones are of the same token.
#[derive(Debug, Clone)]
pub struct Admission {
    withdrawn: Arc<AtomicBool>,
}

impl Admission {
    /// Whether the token is still accepted. One load of an atomic. `false` is final: a token that
    /// is withdrawn and accepted again later admits only clients that give it once more.
    #[must_use]
    #[inline]
    pub fn holds(&self) -> bool {
        !self.withdrawn.load(Relaxed)
    }
}

impl Current {
    fn new(path: Option<PathBuf>, tokens: Vec<Token>) -> Self {
        let mut listed: Vec<Listed> = Vec::with_capacity(tokens.len());
        for token in tokens {
            // A token that is listed twice is one.
            let same = listed.iter().find(|listed| listed.token == token);
            let withdrawn = same.map(|same| Arc::clone(&same.withdrawn));
            listed.push(Listed {
                token,
                withdrawn: withdrawn.unwrap_or_default(),
            });
        }
        Self {
            path,
            tokens: listed,
        }
    }

    fn tokens(&self) -> Vec<Token> {
        let tokens = self.tokens.iter();
        tokens.map(|listed| listed.token.clone()).collect()
    }

    fn has(&self, tokens: &[Token]) -> bool {
        self.tokens.iter().map(|listed| &listed.token).eq(tokens)
    }

    /// The token with that text, in constant time for a text that is none.
    fn find(&self, text: &[u8]) -> Option<&Listed> {
        let given = hash(text);
        let mut found = None;
        for listed in &self.tokens {
            // All of them are compared, whichever it is.
            if listed.token.has_hash(&given).into() {
                found = Some(listed);
            }
        }
        found
    }
}

impl Tokens {
    /// Reads the tokens from a file. Blocks while it is read.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or does not hold one or two tokens. The error names the file and
    /// never its content.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, TokenError> {
        let path = path.into();
        let tokens = read(&path)?;
        Ok(Self::of(Some(path), tokens))
    }

    /// The tokens in a text, such as an environment variable's: one or two lines, as in a file.
    ///
    /// # Errors
    ///
    /// If it does not hold one or two tokens.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let tokens = Token::read_all(text.as_bytes()).map_err(|problem| TokenError {
            path: None,
            problem,
        })?;
        Ok(Self::of(None, tokens))
    }

    fn of(path: Option<PathBuf>, tokens: Vec<Token>) -> Self {
        let current = Arc::new(Current::new(path, tokens));
        Self {
            current: Arc::new(RwLock::new(current)),
        }
    }

    /// Uses the tokens of another handle, and the file that they are from. The two handles stay
    /// separate: what the other one reads later does not apply here.
    pub fn set(&self, other: &Self) {
        let other = other.current();
        let new = Current::new(other.path.clone(), other.tokens());
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        replace(&mut current, new);
    }

    /// Reads the file again, and returns whether the tokens have changed. Always `false` without a
    /// file. Blocks while it is read.
    ///
    /// # Errors
    ///
    /// If the file cannot be used. The tokens stay as they were.
    pub fn reload(&self) -> Result<bool, TokenError> {
        let known = self.current();
        let Some(path) = known.path.as_deref() else {
            return Ok(false);
        };
        let tokens = read(path)?;
        let path = known.path.clone();
        if known.has(&tokens) {
            return Ok(false);
        }
        let new = Current::new(path, tokens);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Another file may have been set meanwhile.
        let is_news = Arc::ptr_eq(&current, &known);
        if is_news {
            replace(&mut current, new);
        }
        Ok(is_news)
    }

    /// Reads the file again every `every`, for as long as the future is polled. A change is
    /// logged; a file that cannot be used is logged once, until it can be used or the reason
    /// changes. The file is read on a thread that may block. Without a file, this waits until one
    /// is [set](Self::set).
    pub async fn watch(self, every: Duration) {
        let mut ticks = interval(every.max(SHORTEST_PAUSE));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = None;
        loop {
            ticks.tick().await;
            let tokens = self.clone();
            let read = tokio::task::spawn_blocking(move || tokens.reload()).await;
            // `Err` means that the runtime shuts down: this future ends with it.
            let Ok(read) = read else { continue };
            let failure = match read {
                Ok(changed) => {
                    if changed {
                        let accepted = self.current().tokens.len();
                        info!(accepted, "the cluster's token has changed");
                    } else if known.is_some() {
                        info!("the token file can be used again");
                    }
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = &failure
                && failure != known
            {
                warn!(%error, "the tokens stay as they were");
            }
            known = failure;
        }
    }

    /// The value of `Authorization` with the first token, marked as sensitive. There is always a
    /// first token; the `Option` is the form that a client's options take.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let current = self.current();
        let first = current.tokens.first();
        first.map(|listed| listed.token.header().clone())
    }

    /// The tokens that are accepted; the first is the one that is sent.
    #[must_use]
    pub fn all(&self) -> Vec<Token> {
        self.current().tokens()
    }

    /// Whether a request with these headers has one of the tokens, in constant time.
    #[must_use]
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        self.check(headers).is_ok()
    }

    /// Like [`accepts`](Self::accepts), with the reason.
    ///
    /// # Errors
    ///
    /// [`Refused::NoToken`] or [`Refused::WrongToken`].
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let given = bearer(headers).ok_or(Refused::NoToken)?;
        match self.current().find(given) {
            Some(_) => Ok(()),
            None => Err(Refused::WrongToken),
        }
    }

    /// Admits a client that gives a token once and then stays connected, if `given` is one of the
    /// tokens, in constant time. The client has to be asked again when the [`Admission`] no longer
    /// holds.
    #[must_use]
    pub fn admit(&self, given: &[u8]) -> Option<Admission> {
        let current = self.current();
        let withdrawn = &current.find(given)?.withdrawn;
        Some(Admission {
            withdrawn: Arc::clone(withdrawn),
        })
    }

    fn current(&self) -> Arc<Current> {
        // No user code runs under the lock, so a poisoned state is complete.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

/// Has the tokens of `new` accepted instead of those of `current`. Admissions by a token that both
/// have go on to hold, and all others end: also those that are given out by the old list while it
/// is replaced, for they share what is set here.
fn replace(current: &mut Arc<Current>, mut new: Current) {
    for old in &current.tokens {
        let mut is_kept = false;
        for listed in &mut new.tokens {
            if listed.token == old.token {
                listed.withdrawn = Arc::clone(&old.withdrawn);
                is_kept = true;
            }
        }
        if !is_kept {
            old.withdrawn.store(true, Relaxed);
        }
    }
    *current = Arc::new(new);
}

fn read(path: &Path) -> Result<Vec<Token>, TokenError> {
    let read = || {
        // Checked before it is opened: to open a pipe could block forever.
        if !fs::metadata(path)?.is_file() {
            return Err(TokenProblem::NoFile);
        }
        let mut text = Vec::new();
        let most = LONGEST_TEXT as u64 + 1;
        File::open(path)?.take(most).read_to_end(&mut text)?;
        Token::read_all(&text)
    };
    read().map_err(|problem| TokenError {
        path: Some(path.to_owned()),
        problem,
    })
}
