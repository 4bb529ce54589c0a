//! The authentication layer.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::request::Parts;
use http::{Request, Response};
use tower::{Layer, Service};
use tracing::warn;

use crate::refusal::Refused;
use crate::tokens::Tokens;

/// Whether the connection of a request has presented a certificate.
type Certificate = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

/// Admits only requests that have what a port requires: a token, a client certificate, or both.
/// All clones share one state.
///
/// Other requests are answered with one line that says what is missing: 401 for the token, 403 for
/// the certificate, and gRPC's status 16 (`UNAUTHENTICATED`) for gRPC requests. Their bodies are
/// not read.
///
/// Each refusal is an event at `warn` with the fields `port` and `why`. The log subscriber has to
/// limit how many of them become lines.
#[derive(Clone)]
pub struct Require {
    rules: Arc<Rules>,
}

#[derive(Clone)]
struct Rules {
    port: String,
    tokens: Option<Tokens>,
    certificate: Option<Certificate>,
    exempt: Vec<String>,
    refused: Arc<AtomicU64>,
}

impl Require {
    /// Requires nothing yet. `port` is its name in the log.
    pub fn new(port: impl Into<String>) -> Self {
        Self {
            rules: Arc::new(Rules {
                port: port.into(),
                tokens: None,
                certificate: None,
                exempt: Vec::new(),
                refused: Arc::default(),
            }),
        }
    }

    /// Requires one of these tokens.
    #[must_use]
    pub fn token(self, tokens: Tokens) -> Self {
        self.with(|rules| rules.tokens = Some(tokens))
    }

    /// Requires a client certificate, which `shown` detects from a request's head: the server of
    /// the connection records it in the request's extensions.
    #[must_use]
    pub fn certificate(self, shown: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.certificate = Some(Arc::new(shown)))
    }

    /// Admits requests for these paths without authentication. A path is compared as in the
    /// request, byte for byte, without decoding.
    #[must_use]
    pub fn exempt(self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let paths: Vec<String> = paths.into_iter().map(Into::into).collect();
        self.with(|rules| rules.exempt.extend(paths))
    }

    /// How many requests were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.rules.refused.load(Relaxed)
    }

    /// Whether a request is admitted. This counts and logs nothing.
    ///
    /// # Errors
    ///
    /// What is missing: the certificate first, if both are.
    pub fn check(&self, head: &Parts) -> Result<(), Refused> {
        let rules = &*self.rules;
        if rules.exempt.iter().any(|path| path == head.uri.path()) {
            return Ok(());
        }
        if let Some(shown) = &rules.certificate
            && !shown(head)
        {
            return Err(Refused::NoCertificate);
        }
        match &rules.tokens {
            Some(tokens) => tokens.check(&head.headers),
            None => Ok(()),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }

    fn note(&self, why: Refused) {
        self.rules.refused.fetch_add(1, Relaxed);
        warn!(port = %self.rules.port, %why, "a request was refused");
    }
}

impl<S> Layer<S> for Require {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            require: self.clone(),
        }
    }
}

impl fmt::Debug for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require")
            .field("port", &self.rules.port)
            .field("token", &self.rules.tokens.is_some())
            .field("certificate", &self.rules.certificate.is_some())
            .field("exempt", &self.rules.exempt)
            .finish_non_exhaustive()
    }
}

/// A service behind a [`Require`].
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    require: Require,
}

impl<S, A, B> Service<Request<A>> for Guarded<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: From<&'static str>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<B>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (head, body) = request.into_parts();
        match self.require.check(&head) {
            Ok(()) => Either::Left(self.inner.call(Request::from_parts(head, body))),
            Err(why) => {
                self.require.note(why);
                Either::Right(ready(Ok(why.response(&head.headers))))
            }
        }
    }
}
