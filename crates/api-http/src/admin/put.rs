//! `PUT /v1/{group}/{key}`: a value for the key's owner to keep.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, LAST_MODIFIED,
};
use axum::response::Response;
use gaggle_group::{Entry, Error, Field, Freshness, FreshnessPolicy, Group, Key, Metadata};
use tracing::Instrument;

use super::removal;
use crate::body::{self, Bounds};
use crate::reply::Refusal;

/// How long a value may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest that a value can be said to be fresh, in seconds: what RFC 9111 (section 1.2.2) has
/// larger numbers taken for.
const MAX_SECONDS: u64 = 1 << 31;

pub(super) async fn answer(
    group: &Group,
    key: &[u8],
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    removal::check(group, key)?;
    let freshness = freshness(&group.freshness(), headers)?;
    let (value, hold) = read(group, headers, body).await?.into_value();
    let entry = Entry::value(value)
        .with_freshness(freshness)
        .with_metadata(metadata(headers));
    // A task of its own: a client that hangs up must not leave the old value on the nodes that
    // come after the owner.
    let put = {
        let (group, key) = (group.clone(), Key::copy_from_slice(key));
        let put = async move {
            let _hold = hold;
            group.put(&key, entry).await
        };
        tokio::spawn(put.in_current_span())
    };
    // The error is that it panicked, which is logged, or that the runtime shuts down.
    let put = put.await.map_err(|_| {
        let line = format!("group {}: the value was not put", group.name());
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, line)
    })?;
    let removal = put.map_err(|error| refusal(&error))?;
    Ok(removal::answer(group, "put a value", removal))
}

/// Who asks here may know the nodes' names.
fn refusal(error: &Error) -> Refusal {
    let refusal = Refusal::failed(error);
    match error {
        Error::Owner { source, .. } => refusal.about(source.peer()),
        _ => refusal,
    }
}

/// The value, which is the body. One that is said to be too large is not read at all.
async fn read(group: &Group, headers: &HeaderMap, body: Body) -> Result<body::Read, Refusal> {
    let limit = group.limits().max_value;
    let over = |len| {
        Refusal::failed(&Error::ValueTooLarge {
            group: group.name().clone(),
            len,
            limit,
        })
    };
    let stated = headers.get(CONTENT_LENGTH);
    let stated: Option<u64> = stated.and_then(|len| len.to_str().ok()?.parse().ok());
    if stated.is_some_and(|len| len > limit) {
        return Err(over(stated));
    }
    let bounds = Bounds {
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        within: BODY_TIMEOUT,
    };
    body::read(body, group, bounds, || over(None)).await
}

/// What `Cache-Control` says of the value; where it says nothing the group decides, as with what
/// an origin brings.
fn freshness(policy: &FreshnessPolicy, headers: &HeaderMap) -> Result<Freshness, Refusal> {
    let bad = |line: &str| Refusal::bad_request(format!("Cache-Control: {line}"));
    let (mut ttl, mut shared, mut revalidate, mut if_error) = (None, None, None, None);
    for line in headers.get_all(CACHE_CONTROL) {
        let line = line.to_str().map_err(|_| bad("it is not plain text"))?;
        for directive in line.split(',') {
            let (name, value) = match directive.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value)),
                None => (directive.trim(), None),
            };
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let told = if is("no-store") || is("no-cache") || is("private") {
                return Err(bad(&format!("{name}: a value that is put is kept")));
            } else if is("max-age") {
                &mut ttl
            } else if is("s-maxage") {
                &mut shared
            } else if is("stale-while-revalidate") {
                &mut revalidate
            } else if is("stale-if-error") {
                &mut if_error
            } else {
                // As RFC 9111 (section 5.2.3) has it.
                continue;
            };
            let time = value.and_then(seconds);
            let time = time.ok_or_else(|| bad(&format!("{name} takes a number of seconds")))?;
            if told.replace(time).is_some() {
                return Err(bad(&format!("{name} is there twice")));
            }
        }
    }
    // What is for shared caches has precedence (RFC 9111, section 5.2.2.10).
    let ttl = shared.or(ttl);
    if ttl.is_some_and(|ttl| ttl.is_zero()) {
        return Err(bad("max-age=0: a value that is put is kept"));
    }
    let ttl = ttl.or(policy.ttl);
    Ok(ttl
        .map_or_else(Freshness::default, Freshness::for_ttl)
        .stale_while_revalidate(revalidate.unwrap_or(policy.stale_while_revalidate))
        .stale_if_error(if_error.unwrap_or(policy.stale_if_error)))
}

fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    // It may be quoted (RFC 9111, section 5.2).
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let digits = quoted.unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Err is a number of more digits than fit.
    let seconds = digits.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds.min(MAX_SECONDS)))
}

/// What the front door is to say of the value.
fn metadata(headers: &HeaderMap) -> Metadata {
    let fields = [
        (Field::ContentType, CONTENT_TYPE),
        (Field::ContentEncoding, CONTENT_ENCODING),
        (Field::ETag, ETAG),
        (Field::LastModified, LAST_MODIFIED),
    ];
    let mut metadata = Metadata::default();
    for (field, name) in fields {
        if let Some(text) = headers.get(name) {
            metadata = metadata.with(field, text);
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[expect(
        clippy::field_reassign_with_default,
        reason = "a policy is not exhaustive"
    )]
    fn told(lines: &[&'static str]) -> Result<Freshness, String> {
        let mut policy = FreshnessPolicy::default();
        policy.ttl = Some(Duration::from_secs(300));
        policy.stale_if_error = Duration::from_secs(30);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        freshness(&policy, &headers).map_err(|refusal| format!("{refusal:?}"))
    }

    #[test]
    fn the_request_decides_and_the_group_where_it_is_silent() {
        let secs = Duration::from_secs;
        let of = |ttl, revalidate, if_error| {
            Freshness::for_ttl(secs(ttl))
                .stale_while_revalidate(secs(revalidate))
                .stale_if_error(secs(if_error))
        };
        for (lines, expected) in [
            (&[][..], of(300, 0, 30)),
            (&["public, immutable"], of(300, 0, 30)),
            (&["max-age=5"], of(5, 0, 30)),
            (
                &["Max-Age = \"5\" , stale-while-revalidate=6,stale-if-error=0"],
                of(5, 6, 0),
            ),
            (&["max-age=5", "stale-if-error=7"], of(5, 0, 7)),
            (&["stale-while-revalidate=6"], of(300, 6, 30)),
            (&["max-age=99999999999999999999999"], of(1 << 31, 0, 30)),
            (&["max-age=5, s-maxage=8"], of(8, 0, 30)),
            (&["s-maxage=8", "max-age=0"], of(8, 0, 30)),
        ] {
            assert_eq!(told(lines), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn what_would_not_be_kept_or_cannot_be_read_is_refused() {
        for (line, part) in [
            ("no-store", "no-store: a value that is put is kept"),
            (
                "max-age=5, No-Cache",
                "No-Cache: a value that is put is kept",
            ),
            ("private", "private: a value that is put is kept"),
            (
                "max-age=5, s-maxage=0",
                "max-age=0: a value that is put is kept",
            ),
            ("max-age=0", "max-age=0: a value that is put is kept"),
            ("max-age", "max-age takes a number of seconds"),
            ("max-age=", "max-age takes a number of seconds"),
            ("max-age=-1", "max-age takes a number of seconds"),
            ("max-age=1.5", "max-age takes a number of seconds"),
            ("stale-if-error=1h", "stale-if-error takes a number"),
            ("max-age=5, max-age=6", "max-age is there twice"),
        ] {
            let refusal = told(&[line]).unwrap_err();
            assert!(refusal.contains(part), "{line}: {refusal}");
        }
    }
}
