//! Why a flight ended without a value.

use std::any::Any;
use std::sync::Arc;

/// Bytes of a panic's message that are kept.
const MESSAGE_LIMIT: usize = 1024;

/// Why a flight ended without a value. The slot is free in every case: the next
/// [`join`](crate::Flights::join) of the key starts a new load.
///
/// What the load itself reports (an origin that is down, a key that does not exist) is no
/// `FlightError`: make the value a `Result` for that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlightError {
    /// The load panicked, or the closure that makes it, or the clone of its value for this waiter.
    /// A retry meets the same code again.
    #[error("the load panicked: {message}")]
    Panicked {
        /// The panic's message, the first 1,024 bytes of it.
        message: Arc<str>,
    },
    /// The load was dropped before it finished: its runtime shut down.
    #[error("the load was cancelled before it finished")]
    Cancelled,
    /// This call should have started the load, and was not made from within a Tokio runtime.
    #[error("no Tokio runtime to run the load on")]
    NoRuntime,
}

impl FlightError {
    /// What waiters are told of a panic with this payload, as [`std::panic::catch_unwind`] brings it.
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
