//! How long an answer says that it may be kept (RFC 9111).

use std::time::Duration;

use hyper::header::{AGE, CACHE_CONTROL, HeaderMap};

/// `max-age` less `Age`; zero for `no-store` and `no-cache`; `None` where neither is there.
pub(crate) fn time_to_live(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(Duration::ZERO);
            }
            if let Some(seconds) = directive.strip_prefix("max-age=") {
                max_age = max_age.or(seconds.trim_matches('"').parse::<u64>().ok());
            }
        }
    }
    let age = headers
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0);
    max_age.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl(headers: &[(hyper::header::HeaderName, &'static str)]) -> Option<u64> {
        let map = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        time_to_live(&map.collect()).map(|ttl| ttl.as_secs())
    }

    #[test]
    fn max_age_less_age_is_the_time_to_live() {
        assert_eq!(ttl(&[]), None);
        assert_eq!(ttl(&[(CACHE_CONTROL, "public")]), None);
        assert_eq!(ttl(&[(CACHE_CONTROL, "max-age=60")]), Some(60));
        assert_eq!(ttl(&[(CACHE_CONTROL, "public, Max-Age=\"60\"")]), Some(60));
        assert_eq!(ttl(&[(CACHE_CONTROL, "max-age=60"), (AGE, "45")]), Some(15));
        assert_eq!(ttl(&[(CACHE_CONTROL, "max-age=60"), (AGE, "90")]), Some(0));
        assert_eq!(ttl(&[(CACHE_CONTROL, "max-age=60, no-store")]), Some(0));
        assert_eq!(ttl(&[(CACHE_CONTROL, "no-cache")]), Some(0));
        assert_eq!(ttl(&[(CACHE_CONTROL, "max-age=soon")]), None);
    }
}
