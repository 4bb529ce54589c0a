//! One token, and why a text does not contain one.

use std::fmt;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The fewest bytes of a token.
const SHORTEST: usize = 16;

/// The most bytes of a text with tokens.
pub(crate) const LONGEST_TEXT: usize = 4 << 10;

/// Printed in place of a token. It is never accepted as a token: printed output may be read again,
/// and everyone knows it.
pub const PLACEHOLDER: &str = "MASKED-MASKED-MASKED";

/// A secret that the members of a cluster share. `Debug` does not show it.
#[derive(Clone)]
pub struct Token {
    text: String,
    hash: [u8; 32],
    /// Marked as sensitive, so that no log of headers shows it.
    header: HeaderValue,
}

/// Why there are no tokens. One line, which never contains the text that was read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", Place(.path.as_deref()))]
pub struct TokenError {
    /// The file; `None` for a text from another source.
    pub path: Option<PathBuf>,
    /// What is wrong with it.
    pub problem: TokenProblem,
}

/// What is wrong with a token file or a text with tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenProblem {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is a directory, a pipe or a device.
    #[error("it is no regular file")]
    NoFile,
    /// It is longer than two tokens can need.
    #[error("it has more than {LONGEST_TEXT} bytes")]
    TooLong,
    /// It is empty.
    #[error("it holds no token")]
    Empty,
    /// One is sent, and one more is accepted while it is replaced.
    #[error(
        "it has more than two lines; the first is the token that is sent, the second one that is accepted as well"
    )]
    TooMany,
    /// A token that could be guessed.
    #[error("line {line} is shorter than {SHORTEST} bytes")]
    TooShort {
        /// Counted from 1.
        line: usize,
    },
    /// A token that everyone knows.
    #[error("line {line} is {PLACEHOLDER}, which is printed in place of a token")]
    Placeholder {
        /// Counted from 1.
        line: usize,
    },
    /// A token that could not be sent in a header.
    #[error("line {line} holds something other than visible ASCII characters")]
    NotVisible {
        /// Counted from 1.
        line: usize,
    },
}

/// The place as a part of one line.
struct Place<'a>(Option<&'a Path>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => {
                let path = path.to_string_lossy();
                write!(f, "the token file {}", path.escape_debug())
            }
            None => f.write_str("the token"),
        }
    }
}

impl Token {
    /// The tokens in a text, in order.
    pub(crate) fn read_all(text: &[u8]) -> Result<Vec<Self>, TokenProblem> {
        if text.len() > LONGEST_TEXT {
            return Err(TokenProblem::TooLong);
        }
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.map(|(at, line)| (at + 1, line.trim_ascii()));
        let mut tokens = Vec::with_capacity(2);
        for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
            if tokens.len() == 2 {
                return Err(TokenProblem::TooMany);
            }
            tokens.push(Self::read(line, text)?);
        }
        if tokens.is_empty() {
            return Err(TokenProblem::Empty);
        }
        Ok(tokens)
    }

    fn read(line: usize, text: &[u8]) -> Result<Self, TokenProblem> {
        let not_visible = || TokenProblem::NotVisible { line };
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(not_visible());
        }
        if text.len() < SHORTEST {
            return Err(TokenProblem::TooShort { line });
        }
        if text == PLACEHOLDER.as_bytes() {
            return Err(TokenProblem::Placeholder { line });
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let header = HeaderValue::try_from(format!("Bearer {text}"));
        let mut header = header.map_err(|_| not_visible())?;
        header.set_sensitive(true);
        Ok(Self {
            hash: hash(text.as_bytes()),
            text,
            header,
        })
    }

    /// The secret itself, for code that uses it as a key, such as a message authentication code.
    /// It must not be logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Whether this token has that hash, in constant time.
    pub(crate) fn has_hash(&self, hash: &[u8; 32]) -> Choice {
        self.hash.ct_eq(hash)
    }
}

pub(crate) fn hash(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// The token of a request: TEXT of `Authorization: Bearer TEXT`, whose scheme is case-insensitive
/// (RFC 9110, 11.1). `None` if there are two of that header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, text) = value.as_bytes().split_at_checked("Bearer ".len())?;
    let text = text.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !text.is_empty()).then_some(text)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.has_hash(&other.hash).into()
    }
}

impl Eq for Token {}
