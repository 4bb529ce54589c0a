//! A value, or that there is none, as the front door sends it.

use axum::body::{Body, Bytes};
use axum::http::header::{AGE, CONTENT_ENCODING, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use gaggle_group::{Answer, ByteBudget, Field, Freshness, Group, Metadata, Source};
use http_body_util::{BodyExt as _, Empty};

use crate::conditions;
use crate::held;
use crate::reply::Refusal;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The same answer, with a value that counts as in flight until it is written, unless it is not
/// sent. `asked` are the headers that may say that the client has the value.
pub(crate) async fn counted(
    group: &Group,
    mut answer: Answer,
    asked: Option<&HeaderMap>,
) -> Result<Answer, Refusal> {
    if asked.is_some_and(|asked| conditions::unchanged(asked, &answer.metadata)) {
        return Ok(answer);
    }
    let Some(value) = answer.value.take() else {
        return Ok(answer);
    };
    let loaded = !answer.source.is_hit();
    let held = match loaded.then(|| held::of_loaded(group, &value)).flatten() {
        Some(hold) => held::owning(value, hold),
        None => held::counted(group, value).await?,
    };
    answer.value = Some(held);
    Ok(answer)
}

/// Whether a value is so large that it must count.
pub(crate) fn is_large(answer: &Answer) -> bool {
    let value = answer.value.as_ref();
    value.is_some_and(|value| value.len() >= ByteBudget::SMALL)
}

/// The answer of `/api`: the value as it is, whatever the origin said of it.
pub(crate) fn raw(key: &[u8], answer: Answer) -> Response {
    let cache_status = cache_status(&answer);
    let mut response = match answer.value {
        Some(value) => whole(value, OCTETS),
        None => Refusal::not_found(key).into_response(),
    };
    response.headers_mut().insert(CACHE_STATUS, cache_status);
    response
}

/// The answer to a get or a head with these headers.
pub(crate) fn answer(key: &[u8], answer: Answer, asked: &HeaderMap) -> Response {
    let cache_status = cache_status(&answer);
    let Answer {
        value, metadata, ..
    } = answer;
    let mut response = match value {
        None => Refusal::not_found(key).into_response(),
        Some(_) if conditions::unchanged(asked, &metadata) => not_modified(&metadata),
        Some(value) if metadata.is_empty() => whole(value, OCTETS),
        Some(value) => described(value, &metadata),
    };
    response.headers_mut().insert(CACHE_STATUS, cache_status);
    response
}

/// A value, shared and not copied. The server sets the content length.
fn whole(value: Bytes, content_type: HeaderValue) -> Response {
    let mut response = Response::new(Body::from(value));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn described(value: Bytes, metadata: &Metadata) -> Response {
    let content_type = field(metadata, Field::ContentType).unwrap_or(OCTETS);
    let mut response = whole(value, content_type);
    let headers = response.headers_mut();
    if let Some(encoding) = field(metadata, Field::ContentEncoding) {
        headers.insert(CONTENT_ENCODING, encoding);
    }
    identify(headers, metadata);
    response
}

/// The client has the value: no body, and what it needs to keep using its copy.
fn not_modified(metadata: &Metadata) -> Response {
    // Of no stated length: a 304 may have no `Content-Length` but that of the value (RFC 9110, section 8.6), and axum would
    // write 0 for a body that is known to be empty.
    let nothing = Empty::<Bytes>::new().map_frame(|frame| frame);
    let mut response = Response::new(Body::new(nothing));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    identify(response.headers_mut(), metadata);
    response
}

fn identify(headers: &mut HeaderMap, metadata: &Metadata) {
    for (what, name) in [(Field::ETag, ETAG), (Field::LastModified, LAST_MODIFIED)] {
        if let Some(text) = field(metadata, what) {
            headers.insert(name, text);
        }
    }
    if let Some(age) = metadata.age() {
        headers.insert(AGE, age.as_secs().into());
    }
}

/// A field as a header, without a copy. One that can be none, as a peer may send, is left out.
fn field(metadata: &Metadata, field: Field) -> Option<HeaderValue> {
    let text = metadata.as_bytes().slice_ref(metadata.get(field)?);
    HeaderValue::from_maybe_shared(text).ok()
}

fn cache_status(answer: &Answer) -> HeaderValue {
    let Answer {
        source,
        collapsed,
        failed_over,
        ..
    } = *answer;
    // An absence that nobody keeps has no time.
    let kept = answer.value.is_some() || !answer.freshness.is_over();
    let freshness = if kept {
        answer.freshness
    } else {
        Freshness::default()
    };
    status_of(source, collapsed, failed_over, freshness)
}

/// RFC 9211. What has no time needs no allocation.
fn status_of(
    source: Source,
    collapsed: bool,
    failed_over: bool,
    freshness: Freshness,
) -> HeaderValue {
    // What has just been loaded is not past its time, though the origin may give it none. An owner serves nothing that is of
    // no use, so that what is of none has just been loaded there.
    let stale = freshness.is_stale()
        && match source {
            Source::Main | Source::Hot => true,
            Source::Peer => !freshness.is_over(),
            Source::Origin => false,
        };
    let status = match (source, stale, collapsed) {
        _ if failed_over => const { fixed("gaggle; fwd=stale; detail=stale") },
        (Source::Main | Source::Hot, true, _) => const { fixed("gaggle; hit; detail=stale") },
        (Source::Main, ..) => const { fixed("gaggle; hit; detail=main") },
        (Source::Hot, ..) => const { fixed("gaggle; hit; detail=hot") },
        (_, true, false) => const { fixed("gaggle; fwd=miss; detail=stale") },
        (_, true, true) => const { fixed("gaggle; fwd=miss; detail=stale; collapsed") },
        (Source::Peer, _, false) => const { fixed("gaggle; fwd=miss; detail=peer") },
        (Source::Peer, _, true) => const { fixed("gaggle; fwd=miss; detail=peer; collapsed") },
        (Source::Origin, _, false) => const { fixed("gaggle; fwd=miss; detail=origin") },
        (Source::Origin, _, true) => const { fixed("gaggle; fwd=miss; detail=origin; collapsed") },
    };
    let Some(ttl) = freshness.ttl else {
        return status;
    };
    let seconds = ttl.as_secs().to_string();
    let text = [status.as_bytes(), b"; ttl=", seconds.as_bytes()].concat();
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(status)
}

/// To be called while this is compiled: a letter that cannot be in a header is an error then.
const fn fixed(status: &'static str) -> HeaderValue {
    HeaderValue::from_static(status)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn cache_status_names_the_source_and_the_time_left() {
        let forever = Freshness::default();
        let ttl = |ms| Freshness::for_ttl(Duration::from_millis(ms));
        let stale = ttl(0).stale_while_revalidate(Duration::from_secs(1));
        for (source, collapsed, failed_over, freshness, expected) in [
            (Source::Main, false, false, forever, "hit; detail=main"),
            (
                Source::Hot,
                false,
                false,
                ttl(1_999),
                "hit; detail=hot; ttl=1",
            ),
            (
                Source::Hot,
                false,
                false,
                ttl(999),
                "hit; detail=hot; ttl=0",
            ),
            (
                Source::Main,
                false,
                false,
                stale,
                "hit; detail=stale; ttl=0",
            ),
            (
                Source::Main,
                false,
                true,
                stale,
                "fwd=stale; detail=stale; ttl=0",
            ),
            (Source::Peer, false, false, forever, "fwd=miss; detail=peer"),
            (
                Source::Peer,
                false,
                false,
                stale,
                "fwd=miss; detail=stale; ttl=0",
            ),
            (
                Source::Peer,
                true,
                false,
                stale,
                "fwd=miss; detail=stale; collapsed; ttl=0",
            ),
            (
                Source::Peer,
                false,
                false,
                ttl(0),
                "fwd=miss; detail=peer; ttl=0",
            ),
            (
                Source::Origin,
                false,
                false,
                stale,
                "fwd=miss; detail=origin; ttl=0",
            ),
            (
                Source::Origin,
                true,
                false,
                ttl(300_000),
                "fwd=miss; detail=origin; collapsed; ttl=300",
            ),
        ] {
            let status = status_of(source, collapsed, failed_over, freshness);
            assert_eq!(status, format!("gaggle; {expected}"));
        }
    }
}
