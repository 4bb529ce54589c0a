//! Which error of a group is which error of the protocol.

use std::fmt;

use gaggle_group::{Error, Group, OverBudget, Overload};

/// An error's text, with the word before it by which clients tell errors apart. The words behind
/// it are those of the front door over HTTP: no address, no path, nothing that an origin said.
pub(crate) struct Text<'a>(pub(crate) &'a Error);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", code(self.0), self.0.public())
    }
}

/// `TRYAGAIN` where the same request may be answered a moment later, `ERR` otherwise.
fn code(error: &Error) -> &'static str {
    match error {
        Error::Shed { .. } | Error::Cancelled { .. } => "TRYAGAIN",
        _ => "ERR",
    }
}

/// There is no room for the bytes of an answer.
pub(crate) fn no_room(group: &Group, over: &OverBudget) -> Error {
    Error::Shed {
        group: group.name().clone(),
        why: Overload::Bytes { limit: over.limit },
        retry_after: over.retry_after,
    }
}
