//! The answer to a request that is not admitted.

use std::fmt;

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// `UNAUTHENTICATED` of gRPC.
const UNAUTHENTICATED: HeaderValue = HeaderValue::from_static("16");

/// Why a request is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It has no token.
    NoToken,
    /// It has a wrong token.
    WrongToken,
    /// Its connection has presented no client certificate.
    NoCertificate,
}

impl Refused {
    /// One line that says what is missing.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NoToken => "a token is required: Authorization: Bearer TOKEN",
            Self::WrongToken => "the token is not one of this cluster's",
            Self::NoCertificate => "a client certificate is required",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            // 401 would ask for another `Authorization`, which would not help.
            Self::NoCertificate => StatusCode::FORBIDDEN,
        }
    }

    /// The answer to a request with these headers; for a gRPC request, gRPC's form.
    pub(crate) fn response<B>(self, asked: &HeaderMap) -> Response<B>
    where
        B: From<&'static str>,
    {
        if is_grpc(asked) {
            self.grpc()
        } else {
            self.plain()
        }
    }

    fn plain<B: From<&'static str>>(self) -> Response<B> {
        let mut response = Response::new(B::from(self.text()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, text);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if response.status() == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        response
    }

    /// An answer without a body, whose headers are its trailers as well ("Trailers-Only").
    fn grpc<B: From<&'static str>>(self) -> Response<B> {
        let mut response = Response::new(B::from(""));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/grpc");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(GRPC_STATUS, UNAUTHENTICATED);
        // No text contains a byte that would have to be escaped there.
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(self.text()));
        response
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Refused {}

fn is_grpc(asked: &HeaderMap) -> bool {
    let kind = asked.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
