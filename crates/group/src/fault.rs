//! The public description of an origin's failure.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// How an origin failed, in words that contain no address, no key, and nothing that the origin
/// sent: this is the text for clients and other nodes. An origin adds it to its failure
/// ([`OriginError::known_as`](crate::OriginError::known_as)); the failure's own text is for the
/// log of the node that loaded.
///
/// Nodes send its text to each other, and parse it ([`FromStr`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginFault {
    /// Another failure, whose reason is only in the log.
    #[default]
    Other,
    /// No connection to it could be made.
    Unreachable,
    /// It did not answer in time, or stopped in the middle of an answer.
    TimedOut,
    /// The connection to it ended in the middle of an exchange.
    BrokeOff,
    /// It answered with an HTTP status that is no value.
    Status(u16),
    /// Its answer is no value.
    Unusable,
    /// All connections to it were in use.
    Busy,
    /// The load panicked.
    Panicked,
    /// It does not accept the key: it was not asked, or refused the request. The request is at
    /// fault, not the origin.
    Key,
}

/// A failure as an origin returned it. Its text and its causes are those of the original error.
#[derive(Clone)]
pub struct OriginFailure {
    fault: OriginFault,
    source: Arc<dyn Error + Send + Sync>,
}

impl OriginFailure {
    pub(crate) fn new(source: Box<dyn Error + Send + Sync>) -> Self {
        Self {
            fault: OriginFault::default(),
            source: Arc::from(source),
        }
    }

    pub(crate) fn known_as(self, fault: OriginFault) -> Self {
        Self { fault, ..self }
    }

    /// Its public description.
    #[must_use]
    pub fn fault(&self) -> OriginFault {
        self.fault
    }
}

impl fmt::Debug for OriginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginFailure")
            .field("fault", &self.fault)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for OriginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for OriginFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

const OTHER: &str = "the reason is in the log of the node that asked it";
const STATUS: &str = "answered ";

/// The texts of those that have no number.
const TEXTS: [(OriginFault, &str); 8] = [
    (OriginFault::Other, OTHER),
    (OriginFault::Unreachable, "cannot be connected to"),
    (OriginFault::TimedOut, "timed out"),
    (OriginFault::BrokeOff, "the connection broke off"),
    (OriginFault::Unusable, "its answer cannot be used"),
    (OriginFault::Busy, "all connections to it are in use"),
    (OriginFault::Panicked, "the load panicked"),
    (OriginFault::Key, "it takes no such key"),
];

impl fmt::Display for OriginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Status(status) = self {
            return write!(f, "{STATUS}{status}");
        }
        let text = TEXTS.iter().find(|(fault, _)| fault == self);
        f.write_str(text.map_or(OTHER, |(_, text)| text))
    }
}

/// A text that is no fault: another kind of node, or another release, has sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the text of an origin's fault")]
pub struct NoFault;

impl FromStr for OriginFault {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        if let Some(status) = text.strip_prefix(STATUS) {
            let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
            return match status.parse() {
                Ok(status) if digits => Ok(Self::Status(status)),
                _ => Err(NoFault),
            };
        }
        let known = TEXTS.iter().find(|(_, known)| *known == text);
        known.map(|(fault, _)| *fault).ok_or(NoFault)
    }
}

/// An error with all its causes, in one text, unless the error's own text contains them already.
pub(crate) struct Whole<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !told.contains(&text) {
                write!(f, ": {text}")?;
                told = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OriginError;

    #[test]
    fn every_fault_reads_back_from_its_text_and_no_other_text_does() {
        for fault in TEXTS.map(|(fault, _)| fault) {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        for status in [100, 503, 999] {
            let fault = OriginFault::Status(status);
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        for text in [
            "",
            "answered ",
            "answered 5000",
            "answered +50",
            "answered 500 at http://db.internal/",
            "timed out at http://db.internal/",
            "disk on fire",
        ] {
            assert_eq!(text.parse::<OriginFault>(), Err(NoFault), "{text}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot ask")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_whole_of_an_error_is_its_text_and_its_causes_each_once() {
        let outer = Outer(std::io::Error::other("no route"));
        let error = OriginError::failed(outer).known_as(OriginFault::Unreachable);
        assert_eq!(error.to_string(), "cannot ask");
        assert_eq!(Whole(&error).to_string(), "cannot ask: no route");
        assert_eq!(Whole(&OriginError::failed("down")).to_string(), "down");
        assert_eq!(OriginError::failed(error).fault(), OriginFault::Unreachable);
    }
}
