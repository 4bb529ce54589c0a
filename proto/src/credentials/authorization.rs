//! The credentials of requests to peers.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

/// The source of the header `Authorization` of requests to peers. It is called for each request,
/// so that a token can be changed while it is in use. Two are equal if they are clones of one.
/// `Debug` does not show the value.
#[derive(Clone)]
pub struct Authorization(Arc<dyn Fn() -> Option<HeaderValue> + Send + Sync>);

impl Authorization {
    /// The value that `current` gives, which must not block; `None` for a request without one.
    pub fn new(current: impl Fn() -> Option<HeaderValue> + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    /// The value for a request that is about to be sent, marked as sensitive.
    #[must_use]
    pub fn value(&self) -> Option<HeaderValue> {
        let mut value = (self.0)()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(***)")
    }
}

impl PartialEq for Authorization {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Authorization {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_asked_for_each_time_and_never_shown() {
        let values = std::sync::Mutex::new(vec!["Bearer new", "Bearer old"]);
        let authorization = Authorization::new(move || {
            let value = values.lock().unwrap().pop()?;
            Some(HeaderValue::from_static(value))
        });
        for expected in ["Bearer old", "Bearer new"] {
            let value = authorization.value().unwrap();
            assert_eq!(value, expected);
            assert!(value.is_sensitive());
        }
        assert_eq!(authorization.value(), None);
        assert_eq!(format!("{authorization:?}"), "Authorization(***)");
        assert_eq!(authorization, authorization.clone());
        assert_ne!(authorization, Authorization::new(|| None));
    }
}
