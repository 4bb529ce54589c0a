//! Why a flight ended without a value.

use std::any::Any;
use std::sync::Arc;

/// The number of bytes of a panic's message that are kept.
const MESSAGE_LIMIT: usize = 1024;

/// Why a flight ended without a value. The slot is free in every case: the next
/// [`join`](crate::Flights::join) of the key starts a new load.
///
/// Errors that the load itself reports (an origin that is down, a key that does not exist) are not
/// a `FlightError`: make the value a `Result` for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlightError {
    /// The load panicked, or the closure that makes it, or the clone of its value for this waiter.
    /// A retry runs the same code again.
    #[error("the load panicked: {message}")]
    Panicked {
        /// The first 1,024 bytes of the panic's message.
        message: Arc<str>,
    },
    /// The load was dropped before it finished: its runtime shut down.
    #[error("the load was cancelled before it finished")]
    Cancelled,
    /// This call would have started the load, but was made outside of a Tokio runtime.
    #[error("no Tokio runtime to run the load on")]
    NoRuntime,
}

impl FlightError {
    /// The error that waiters get for a panic with this payload, as [`std::panic::catch_unwind`]
    /// returns it.
    pub fn panicked(payload: &(dyn Any + Send)) -> Self {
        let message = match (
            payload.downcast_ref::<&'static str>(),
            payload.downcast_ref::<String>(),
        ) {
            (Some(message), _) => message,
            (None, Some(message)) => message.as_str(),
            (None, None) => "no message",
        };
        let kept = &message[..message.floor_char_boundary(MESSAGE_LIMIT)];
        Self::Panicked {
            message: kept.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &(dyn Any + Send)) -> String {
        FlightError::panicked(payload).to_string()
    }

    #[test]
    fn a_panic_keeps_its_message_up_to_the_limit() {
        assert_eq!(message(&"static"), "the load panicked: static");
        assert_eq!(message(&String::from("owned")), "the load panicked: owned");
        assert_eq!(message(&42_u8), "the load panicked: no message");
        // A two-byte letter sits on the limit: it goes as a whole.
        let long = format!("{}é", "x".repeat(MESSAGE_LIMIT - 1));
        assert_eq!(
            message(&long),
            format!("the load panicked: {}", "x".repeat(MESSAGE_LIMIT - 1))
        );
    }
}
