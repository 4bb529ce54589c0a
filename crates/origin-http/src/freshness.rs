//! How long an answer says that it may be served, as RFC 9111 and RFC 5861 require of a shared
//! cache.

use std::time::{Duration, SystemTime};

use gaggle_group::Hint;
use httpdate::parse_http_date;
use hyper::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderValue, VARY};

use crate::cache_control::{CacheControl, MAX_SECONDS, delta_seconds};

/// The freshness that the headers state, and nothing else: no lifetime is derived from other
/// headers.
///
/// `now` replaces a missing `Date`, and is used for nothing else: the service's clock is not
/// compared with this machine's.
pub(crate) fn hint(headers: &HeaderMap, now: SystemTime) -> Hint {
    let fields = headers.get_all(CACHE_CONTROL);
    let stated = CacheControl::parse(fields.iter().map(HeaderValue::as_bytes));
    // An answer with `no-cache` could be served only after a revalidation, so a group has no use
    // for it.
    if stated.no_store || stated.no_cache || varies_by_anything(headers) {
        return Hint::none();
    }
    let lifetime = stated
        .s_maxage
        .or(stated.max_age)
        .or_else(|| expires(headers, now));
    let age = age(headers).unwrap_or(0);
    // The ttl had expired by this much before the answer arrived.
    let excess = lifetime.map_or(0, |lifetime| age.saturating_sub(lifetime));
    let window = |window: Option<u32>| {
        let window = if stated.must_revalidate {
            Some(0)
        } else if stated.s_maxage.is_some() {
            // It forbids stale answers, as `proxy-revalidate` does (RFC 9111, section 5.2.2.10). A
            // service that also sends a window means the window: content delivery networks read it
            // in the same way.
            Some(window.unwrap_or(0))
        } else {
            window
        };
        window.map(|window| seconds(window.saturating_sub(excess)))
    };
    let ttl = |lifetime: u32| Hint::ttl(seconds(lifetime.saturating_sub(age)));
    let mut hint = lifetime.map_or_else(Hint::default, ttl);
    hint.stale_while_revalidate = window(stated.stale_while_revalidate);
    hint.stale_if_error = window(stated.stale_if_error);
    hint
}

/// The `Age` in seconds. The first of several counts, and a malformed number is ignored (RFC 9111,
/// section 5.1).
pub(crate) fn age(headers: &HeaderMap) -> Option<u32> {
    let first = headers.get(AGE)?.as_bytes().split(|&byte| byte == b',');
    first
        .take(1)
        .find_map(|age| delta_seconds(age.trim_ascii()))
}

/// `Expires` minus `Date`, in seconds; zero if it is not a date, as in `Expires: 0`. The earliest
/// of several counts.
fn expires(headers: &HeaderMap, now: SystemTime) -> Option<u32> {
    let made = headers.get(DATE).and_then(date).unwrap_or(now);
    let lifetime = |expires: &HeaderValue| {
        let lifetime = date(expires)?.duration_since(made).ok()?.as_secs();
        Some(u32::try_from(lifetime).map_or(MAX_SECONDS, |lifetime| lifetime.min(MAX_SECONDS)))
    };
    let all = headers.get_all(EXPIRES).iter();
    all.map(|expires| lifetime(expires).unwrap_or(0)).min()
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    parse_http_date(value.to_str().ok()?).ok()
}

/// Whether the answer depends on more than the request, so that no second request gets the same.
/// All requests for a key have the same headers: other names in `Vary` do not matter.
fn varies_by_anything(headers: &HeaderMap) -> bool {
    let mut names = headers
        .get_all(VARY)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    names.any(|name| name.trim_ascii() == b"*")
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
