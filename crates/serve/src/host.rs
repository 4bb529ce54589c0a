use axum::body::Body;
use hyper::{
    Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue},
    http::uri::Authority,
};

/// The bytes of names and of IPv4 addresses. This check is on the path of each request.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        byte += 1;
    }
    plain
};

/// Whether a request names its host as its version of HTTP requires: RFC 9112, 3.2, and RFC 9113,
/// 8.3.1.
///
/// # Errors
///
/// What is wrong with it, for its sender.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), &'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("the request has more than one Host header");
    }
    match host {
        None if request.version() == Version::HTTP_11 => Err("the request has no Host header"),
        None => Ok(()),
        Some(host) if !is_valid(host.as_bytes()) => Err("the request's Host header is not a host"),
        Some(host) if request.version() == Version::HTTP_2 && differs(request.uri(), host) => {
            Err("the request's Host header differs from its :authority")
        }
        Some(_) => Ok(()),
    }
}

/// The answer to a request that fails the check. On HTTP/1 its connection ends: a client that is
/// wrong about the host may be wrong about where the next request begins.
pub(crate) fn refusal(why: &'static str, version: Version) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{why}\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text);
    if version != Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// `uri-host [ ":" port ]`. An empty one is valid: a request for a target without an authority has
/// it.
fn is_valid(host: &[u8]) -> bool {
    let plain = host.iter().take_while(|&&byte| PLAIN[usize::from(byte)]);
    let is_plain = match host.get(plain.count()..) {
        None | Some([]) => true,
        Some([b':', port @ ..]) => port.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    if is_plain {
        return true;
    }
    // IPv6 addresses, and other rare forms. Names in percent-encoding are refused, as they are in
    // a request's target.
    Authority::try_from(host).is_ok_and(|authority| {
        let text = authority.as_str();
        let port = text.strip_prefix(authority.host());
        port.is_some_and(|port| {
            let digits = port.strip_prefix(':').unwrap_or(port);
            digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

fn differs(uri: &Uri, host: &HeaderValue) -> bool {
    let Some(authority) = uri.authority() else {
        return false;
    };
    let port: &[u8] = match uri.scheme_str() {
        Some("https") => b":443",
        _ => b":80",
    };
    let named = |whole: &[u8]| whole.len() - whole.strip_suffix(port).map_or(0, |_| port.len());
    let (ours, theirs) = (authority.as_str().as_bytes(), host.as_bytes());
    let (ours, theirs) = (&ours[..named(ours)], &theirs[..named(theirs)]);
    !ours.eq_ignore_ascii_case(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_all_kinds_are_valid() {
        let hosts = [
            "",
            "a",
            "a:80",
            "a:",
            ":80",
            "a.b-c_d",
            "10.0.0.1:8001",
            "[::1]",
            "[::1]:80",
            "x~y!z",
        ];
        for host in hosts {
            assert!(is_valid(host.as_bytes()), "{host:?}");
        }
    }

    #[test]
    fn what_is_no_host_is_not() {
        let hosts = [
            "a b", "a/b", "user@a", "a:b", "a:80:80", "::1", "[::1", "a?b", "a#b", "http://a",
            "a%20b", "a,b:x", "\u{fc}",
        ];
        for host in hosts {
            assert!(!is_valid(host.as_bytes()), "{host:?}");
        }
    }

    #[test]
    fn authorities_are_compared_without_case_and_with_the_default_port() {
        let differs = |uri: &'static str, host: &'static str| {
            differs(&Uri::from_static(uri), &HeaderValue::from_static(host))
        };
        assert!(!differs("http://a:81/", "A:81"));
        assert!(!differs("http://a/", "a:80"));
        assert!(!differs("https://a:443/", "a"));
        assert!(!differs("/", "a"));
        assert!(differs("http://a/", "b"));
        assert!(differs("http://a/", "a:81"));
        assert!(differs("http://a/", ""));
    }
}
