//! A value, or that there is none, as the front door sends it.

use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use gaggle_group::{Answer, ByteBudget, Field, Freshness, Group, Metadata, Source};

use crate::asked::Asked;
use crate::cache_control::CacheControl;
use crate::conditions::{self, Verdict};
use crate::held;
use crate::patience::Patience;
use crate::range::{self, Part};
use crate::reply::{self, Refusal};
use crate::tag;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What is sent of a value.
#[derive(Debug)]
pub(crate) struct Plan {
    tag: Option<HeaderValue>,
    sent: Sent,
}

#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Whole,
    Part(Range<usize>),
    /// 304: the client has it.
    Nothing,
    /// An error of that status.
    Refused(StatusCode),
}

impl Plan {
    /// Decides what a request is sent of a value. A hash of values of up to `longest_hashed` bytes
    /// is their tag where they have none.
    pub(crate) fn of(
        answer: &Answer,
        method: &Method,
        asked: &Asked<'_>,
        longest_hashed: usize,
    ) -> Self {
        let Some(value) = &answer.value else {
            return Self {
                tag: None,
                sent: Sent::Whole,
            };
        };
        let metadata = &answer.metadata;
        let tag = tag::of(value, metadata, longest_hashed);
        let encoding = metadata.get(Field::ContentEncoding);
        let sent = if !asked.takes(encoding) {
            Sent::Refused(StatusCode::NOT_ACCEPTABLE)
        } else if asked.conditions {
            match conditions::judge(asked.headers, tag.as_ref(), metadata) {
                Verdict::Met => part(value, method, asked, tag.as_ref()),
                Verdict::Unchanged => Sent::Nothing,
                Verdict::Failed => Sent::Refused(StatusCode::PRECONDITION_FAILED),
            }
        } else {
            part(value, method, asked, tag.as_ref())
        };
        Self { tag, sent }
    }

    /// Whether bytes of the value are sent, unless the request is a `HEAD`.
    pub(crate) fn sends(&self) -> bool {
        matches!(self.sent, Sent::Whole | Sent::Part(_))
    }
}

/// All of a value, or a part of it where a `GET` asks for one.
fn part(value: &Bytes, method: &Method, asked: &Asked<'_>, tag: Option<&HeaderValue>) -> Sent {
    if !asked.range || method != Method::GET || !conditions::allow_part(asked.headers, tag) {
        return Sent::Whole;
    }
    match range::of(asked.headers, value.len()) {
        Part::Whole => Sent::Whole,
        Part::Bytes(range) => Sent::Part(range),
        Part::Unsatisfiable => Sent::Refused(StatusCode::RANGE_NOT_SATISFIABLE),
    }
}

/// The same answer, with a value that counts as in flight until it is written.
pub(crate) async fn counted(
    group: &Group,
    mut answer: Answer,
    patience: Option<Patience>,
) -> Result<Answer, Refusal> {
    let Some(value) = answer.value.take() else {
        return Ok(answer);
    };
    let loaded = !answer.source.is_hit();
    let held = match loaded.then(|| held::of_loaded(group, &value)).flatten() {
        Some(hold) => held::owning(value, hold),
        None => held::counted(group, value, patience).await?,
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
        Some(value) => {
            let mut response = Response::new(Body::from(value));
            response.headers_mut().insert(CONTENT_TYPE, OCTETS);
            response
        }
        None => Refusal::not_found(key).into_response(),
    };
    response.headers_mut().insert(CACHE_STATUS, cache_status);
    response
}

/// The headers of a hit whose origin told nothing, without a tag and with one. An answer begins
/// with a copy of them, which takes half of the time that inserting each of them takes.
#[derive(Debug)]
pub(crate) struct Usual {
    untagged: HeaderMap,
    tagged: HeaderMap,
}

impl Usual {
    pub(crate) fn new() -> Self {
        let mut untagged = HeaderMap::new();
        untagged.insert(CONTENT_TYPE, OCTETS);
        untagged.insert(CACHE_STATUS, MAIN);
        untagged.insert(ACCEPT_RANGES, BYTES);
        let mut tagged = untagged.clone();
        tagged.insert(ETAG, HeaderValue::from_static("\"\""));
        Self { untagged, tagged }
    }

    /// An answer with these bytes, shared and not copied. The server sets the content length.
    fn answer(&self, value: Bytes, tag: Option<HeaderValue>) -> Response {
        let mut response = Response::new(Body::from(value));
        let headers = response.headers_mut();
        match tag {
            None => headers.clone_from(&self.untagged),
            Some(tag) => {
                headers.clone_from(&self.tagged);
                if let Some(place) = headers.get_mut(ETAG) {
                    *place = tag;
                }
            }
        }
        response
    }
}

/// The answer to a get or a head, by that plan.
pub(crate) fn answer(
    key: &[u8],
    answer: Answer,
    plan: Plan,
    cache_control: Option<&CacheControl>,
    usual: &Usual,
) -> Result<Response, Refusal> {
    let status = cache_status(&answer);
    let told = CacheControl::of(cache_control, &answer);
    let is_fixed = matches!(cache_control, Some(CacheControl::Fixed(_)));
    let Answer {
        value, metadata, ..
    } = answer;
    let Some(value) = value else {
        let refusal = Refusal::not_found(key).with(CACHE_STATUS, status);
        return Err(match told {
            Some(told) => refusal.with(CACHE_CONTROL, told),
            None => refusal,
        });
    };
    let encoding = field(&metadata, Field::ContentEncoding);
    let Plan { tag, sent } = plan;
    let len = value.len();
    let (mut response, has_bytes) = match sent {
        Sent::Whole => (usual.answer(value, tag), true),
        Sent::Part(range) => {
            let text = format!(
                "bytes {}-{}/{len}",
                range.start,
                range.end.saturating_sub(1)
            );
            let mut response = usual.answer(value.slice(range), tag);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            // Digits can stand in any header.
            if let Ok(text) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
                response.headers_mut().insert(CONTENT_RANGE, text);
            }
            (response, true)
        }
        Sent::Nothing => {
            let mut response = reply::nothing(StatusCode::NOT_MODIFIED);
            if let Some(tag) = tag {
                response.headers_mut().insert(ETAG, tag);
            }
            (response, false)
        }
        Sent::Refused(why) => {
            return Err(refusal(why, len, encoding.as_ref(), tag).with(CACHE_STATUS, status));
        }
    };
    let headers = response.headers_mut();
    if !has_bytes || status != MAIN {
        headers.insert(CACHE_STATUS, status);
    }
    if let Some(encoding) = encoding {
        headers.insert(VARY, VARIES);
        if has_bytes {
            headers.insert(CONTENT_ENCODING, encoding);
        }
    }
    if !metadata.is_empty() {
        if has_bytes && let Some(kind) = field(&metadata, Field::ContentType) {
            headers.insert(CONTENT_TYPE, kind);
        }
        if let Some(modified) = field(&metadata, Field::LastModified) {
            headers.insert(LAST_MODIFIED, modified);
        }
        // A fixed rule counts from the answer: a cache would subtract the age from it.
        if !is_fixed && let Some(age) = metadata.age() {
            headers.insert(AGE, age.as_secs().into());
        }
    }
    if let Some(told) = told {
        headers.insert(CACHE_CONTROL, told);
    }
    Ok(response)
}

const VARIES: HeaderValue = HeaderValue::from_static("accept-encoding");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
/// The `Cache-Status` of most hits.
const MAIN: HeaderValue = fixed("gaggle; hit; detail=main");

/// Why a value is not sent to a client that asked for it on terms.
fn refusal(
    why: StatusCode,
    len: usize,
    encoding: Option<&HeaderValue>,
    tag: Option<HeaderValue>,
) -> Refusal {
    let refusal = match why {
        StatusCode::NOT_ACCEPTABLE => {
            let line = match encoding {
                Some(encoding) => format!(
                    "the value is encoded as {}, which Accept-Encoding does not allow",
                    String::from_utf8_lossy(encoding.as_bytes())
                ),
                None => "the value is not encoded, which Accept-Encoding does not allow".to_owned(),
            };
            return Refusal::new(why, line).with(VARY, VARIES);
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let line = format!("no such range: the value has {len} bytes");
            let refusal = Refusal::new(why, line);
            match HeaderValue::from_str(&format!("bytes */{len}")) {
                Ok(range) => refusal.with(CONTENT_RANGE, range),
                Err(_) => refusal,
            }
        }
        _ => Refusal::new(
            why,
            "the value is another than the request wants".to_owned(),
        ),
    };
    match tag {
        Some(tag) => refusal.with(ETAG, tag),
        None => refusal,
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

/// RFC 9211. What has no time needs no allocation, what has one needs one.
fn status_of(
    source: Source,
    collapsed: bool,
    failed_over: bool,
    freshness: Freshness,
) -> HeaderValue {
    // What has just been loaded is not past its time, though the origin may give it none. An owner
    // serves nothing that is of no use, so that what is of none has just been loaded there.
    let stale = freshness.is_stale()
        && match source {
            Source::Main | Source::Hot => true,
            Source::Peer => !freshness.is_over(),
            Source::Origin => false,
        };
    let status = match (source, stale, collapsed) {
        _ if failed_over => const { fixed("gaggle; fwd=stale; detail=stale") },
        (Source::Main | Source::Hot, true, _) => const { fixed("gaggle; hit; detail=stale") },
        (Source::Main, ..) => MAIN,
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
    let mut room = [0; 20];
    let seconds = decimal(ttl.as_secs(), &mut room);
    let text = [status.as_bytes(), b"; ttl=", seconds].concat();
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(status)
}

/// The digits of a number, without an allocation. The largest number has 20 of them.
fn decimal(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
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
    fn a_number_is_written_in_digits() {
        for number in [0, 9, 10, 1_000, 1_234_567_890, u64::MAX] {
            let text = number.to_string();
            assert_eq!(decimal(number, &mut [0; 20]), text.as_bytes());
        }
    }

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
