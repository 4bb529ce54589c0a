//! Reads an answer, and selects the parts that are passed on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE,
    HeaderMap, HeaderName,
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use object_store::client::{HttpError, HttpResponse, HttpResponseBody};

use super::body::Patient;
use crate::seen::Head;

/// The most bytes that are read of a body that is not an object: an error, or credentials. The
/// rest is cut off.
const MAX_SHORT: usize = 256 << 10;
/// The longest error code, in bytes.
const MAX_CODE: usize = 64;

/// Which part of a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    All,
    Short,
}

/// Converts the service's answer to the store's. A body that is not an object is read here, so
/// that it is bounded.
pub(super) async fn fit(
    answer: http::Response<Incoming>,
    kept: Kept,
    patience: Duration,
) -> Result<(HttpResponse, Head), HttpError> {
    let (mut parts, body) = answer.into_parts();
    drop_what_the_store_cannot_read(&mut parts.headers);
    let mut head = Head {
        asked: true,
        status: Some(parts.status.as_u16()),
        code: None,
        cache_control: text(&parts.headers, &CACHE_CONTROL),
    };
    let body = Patient::new(body, patience);
    let body = if parts.status.is_success() && kept == Kept::All {
        HttpResponseBody::new(body)
    } else {
        let start = read_start(body).await?;
        if !parts.status.is_success() {
            head.code = code(&start);
        }
        start.into()
    };
    Ok((HttpResponse::from_parts(parts, body), head))
}

async fn read_start(mut body: Patient) -> Result<Bytes, HttpError> {
    let mut start = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let piece = frame?.into_data().unwrap_or_default();
        let room = MAX_SHORT - start.len();
        start.extend_from_slice(&piece[..piece.len().min(room)]);
        if start.len() == MAX_SHORT {
            break;
        }
    }
    Ok(start.freeze())
}

/// The store fails for a whole object if one of these is not ASCII, even if it is not read.
fn drop_what_the_store_cannot_read(headers: &mut HeaderMap) {
    headers.remove(CONTENT_DISPOSITION);
    headers.remove(CONTENT_LANGUAGE);
    for name in [CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE] {
        let text = text(headers, &name);
        if text.is_none() {
            headers.remove(name);
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The code between `<Code>` and `</Code>`: S3, Google Cloud Storage and Azure all send one.
fn code(body: &[u8]) -> Option<String> {
    let body = str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = !code.is_empty()
        && code.len() <= MAX_CODE
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_error_is_known_by_its_word_alone() {
        let body = b"<?xml?><Error><Code>NoSuchKey</Code><Key>secret</Key></Error>";
        assert_eq!(code(body).as_deref(), Some("NoSuchKey"));
        for none in [
            &b""[..],
            b"<Code>",
            b"<Code></Code>",
            b"<Code>no such key</Code>",
            b"<Code>\xff</Code>",
            format!("<Code>{}</Code>", "x".repeat(65)).as_bytes(),
        ] {
            assert_eq!(code(none), None);
        }
    }

    #[test]
    fn headers_that_the_store_cannot_read_are_left_out() {
        let mut headers = HeaderMap::new();
        let odd = HeaderValue::from_bytes(b"\xc3\xa4").unwrap();
        headers.insert(CONTENT_DISPOSITION, odd.clone());
        headers.insert(CONTENT_TYPE, odd);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        drop_what_the_store_cannot_read(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(text(&headers, &CACHE_CONTROL).unwrap(), "max-age=1");
    }
}
