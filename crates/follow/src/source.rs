//! A feed whose panics are failures, and whose calls have timeouts.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;
use tracing::warn;

use crate::{Batch, Feed, FeedError, Opened, Position};

/// How long a feed may take to release its source.
const CLOSES_WITHIN: Duration = Duration::from_secs(1);
/// How long a feed may take to confirm a position.
const CONFIRMS_WITHIN: Duration = Duration::from_secs(5);

/// A feed whose panics are failures.
///
/// The future that panicked is dropped, and the feed is closed and opened again as after an error.
/// No other method is called on the feed that the panic left behind.
pub(crate) struct Source<F> {
    feed: F,
    used: bool,
}

impl<F: Feed> Source<F> {
    pub(crate) fn new(feed: F) -> Self {
        Self { feed, used: false }
    }

    pub(crate) async fn open(&mut self, within: Duration) -> Result<Opened, FeedError> {
        self.used = true;
        let opened = timeout(within, caught("open", self.feed.open())).await;
        opened.unwrap_or_else(|_| Err(too_long("open", within)))
    }

    pub(crate) async fn next(&mut self) -> Result<Batch, FeedError> {
        caught("next", self.feed.next()).await
    }

    pub(crate) async fn confirm(&mut self, position: Position) -> Result<(), FeedError> {
        let confirmed = timeout(
            CONFIRMS_WITHIN,
            caught("confirm", self.feed.confirm(position)),
        );
        let confirmed = confirmed.await;
        confirmed.unwrap_or_else(|_| Err(too_long("confirm", CONFIRMS_WITHIN)))
    }

    /// Releases the source, if the feed was opened since the last close.
    pub(crate) async fn close(&mut self, group: &str) {
        if !self.used {
            return;
        }
        let close = async {
            self.feed.close().await;
            Ok(())
        };
        let closed = timeout(CLOSES_WITHIN, caught("close", close)).await;
        let closed = closed.unwrap_or_else(|_| Err(too_long("close", CLOSES_WITHIN)));
        if let Err(error) = closed {
            warn!(group, %error, "a source may still be held");
        }
        self.used = false;
    }

    pub(crate) fn behind_bytes(&self) -> Option<u64> {
        // A number for the statistics is not worth a failure.
        catch_unwind(AssertUnwindSafe(|| self.feed.behind_bytes())).unwrap_or_default()
    }
}

async fn caught<T>(
    what: &str,
    call: impl Future<Output = Result<T, FeedError>>,
) -> Result<T, FeedError> {
    let outcome = AssertUnwindSafe(call).catch_unwind().await;
    outcome.unwrap_or_else(|panic| {
        let text = text_of(&*panic);
        Err(FeedError::new(format!(
            "the feed panicked in `{what}`: {text}"
        )))
    })
}

fn too_long(what: &str, within: Duration) -> FeedError {
    FeedError::new(format!("`{what}` did not end within {within:?}"))
}

pub(crate) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a text")
}
