//! How a run ends, and with which exit code.

use std::io;
use std::process::ExitCode;

const INCOMPLETE: u8 = 1;
const USAGE: u8 = 2;
const NO_ANSWER: u8 = 3;

/// A run that printed what was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it.
    Complete,
    /// Some nodes were missed; the run has printed which.
    Missed,
    /// Some requests of a bench failed; the run has printed how many.
    Errors,
    /// A file that the command line names was not written; the run has printed which.
    Unwritten,
}

/// A run that failed. Each message is one line and names the address that was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The key is unknown.
    #[error("{0}")]
    NotFound(String),
    /// The command line cannot be used, or a file or a port of this machine that it names, or a
    /// node refused what it asks for.
    #[error("{0}")]
    Usage(String),
    /// No answer. Another node may answer.
    #[error("{0}")]
    Unreachable(String),
    /// A node answered that it failed, or with something that cannot be understood.
    #[error("{0}")]
    Failed(String),
    /// Standard output does not take the answer.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl Outcome {
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Complete => ExitCode::SUCCESS,
            Self::Missed | Self::Errors => ExitCode::from(INCOMPLETE),
            Self::Unwritten => ExitCode::from(USAGE),
        }
    }
}

impl Failure {
    /// Whether the reader of our output closed it (`gagglectl get k | head -c 1`): this is no
    /// failure.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.is_silent() {
            return ExitCode::SUCCESS;
        }
        ExitCode::from(match self {
            Self::NotFound(_) => INCOMPLETE,
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) | Self::Failed(_) | Self::Output(_) => NO_ANSWER,
        })
    }
}
