//! The requests to a service, the meaning of its answers, and faults that do no harm.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gaggle_group::{Content, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_http::{Allow, HttpOptions, HttpOrigin};
use support::scripted::{Do, Scripted};
use support::{LIMIT, options, origin, serve, serve_raw, settle};
use tokio::net::TcpListener;

async fn load(origin: &HttpOrigin, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, OriginError> {
    let key = Key::copy_from_slice(key.as_ref());
    match origin.load(Load::new(&key, LIMIT)).await?.content {
        Content::Value(value) => Ok(Some(value)),
        Content::Absent => Ok(None),
        other => panic!("{other:?}"),
    }
}

/// The text of a failure to load a key that no error may show.
async fn failure(origin: &HttpOrigin) -> String {
    failure_and_cause(origin).await.0
}

/// The same, and whether the error includes its cause.
async fn failure_and_cause(origin: &HttpOrigin) -> (String, bool) {
    match load(origin, "Zebedee").await.unwrap_err() {
        OriginError::Failed(error) => {
            let text = error.to_string();
            assert!(text.starts_with("http"), "does not name the origin: {text}");
            assert!(!text.contains("Zebedee"), "{text}");
            (text, error.source().is_some())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn any_key_arrives_exactly() {
    let (address, seen) = serve(|request| request.uri().to_string().into_response()).await;
    let allow = Allow {
        dot_segments: true,
        ..Allow::default()
    };
    let in_path = HttpOrigin::allowing(options(address), allow).unwrap();
    let url = format!("http://{address}/get?key={{key}}&x=1");
    let in_query = HttpOrigin::new(HttpOptions {
        url,
        ..HttpOptions::default()
    })
    .unwrap();
    for (key, encoded) in [
        (&b"Tom"[..], "Tom"),
        ("张三".as_bytes(), "%E5%BC%A0%E4%B8%89"),
        (b"", ""),
        (b"a/b", "a%2Fb"),
        (b"../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"),
        (b"..", ".."),
        (b"...", "..."),
        (b"%2e%2E", "%252e%252E"),
        (b"a b+c&d=e?f#g", "a%20b%2Bc%26d%3De%3Ff%23g"),
        (b"\r\nX: y", "%0D%0AX%3A%20y"),
        (b"\0\xFF\\", "%00%FF%5C"),
    ] {
        let value = load(&in_path, key).await.unwrap().unwrap();
        assert_eq!(value, format!("/{encoded}"));
        assert_eq!(seen.last_target(), format!("/{encoded}"));
        load(&in_query, key).await.unwrap();
        assert_eq!(seen.last_target(), format!("/get?key={encoded}&x=1"));
    }
}

#[tokio::test]
async fn a_body_is_its_bytes() {
    let all: Vec<u8> = (0..=255).collect();
    let big: Vec<u8> = (0..900_000u32).map(|i| (i % 251) as u8).collect();
    let (expected_all, expected_big) = (all.clone(), big.clone());
    let (address, _) = serve(move |request| match request.uri().path() {
        "/all" => all.clone().into_response(),
        "/big" => big.clone().into_response(),
        "/chunked" => {
            let pieces: Vec<_> = big.chunks(7_001).map(<[u8]>::to_vec).collect();
            chunked(pieces.into_iter())
        }
        _ => Body::empty().into_response(),
    })
    .await;
    let origin = origin(address);
    assert_eq!(load(&origin, "all").await.unwrap().unwrap(), expected_all);
    assert_eq!(load(&origin, "big").await.unwrap().unwrap(), expected_big);
    assert_eq!(
        load(&origin, "chunked").await.unwrap().unwrap(),
        expected_big
    );
    assert_eq!(load(&origin, "empty").await.unwrap().unwrap(), "");
}

#[tokio::test]
async fn a_status_says_value_not_found_or_failure() {
    let (address, _) = serve(|request| {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        (StatusCode::from_u16(status).unwrap(), "body").into_response()
    })
    .await;
    let origin = origin(address);
    assert_eq!(load(&origin, "200").await.unwrap().unwrap(), "body");
    for status in ["404", "410"] {
        assert_eq!(load(&origin, status).await.unwrap(), None, "{status}");
    }
    for status in [
        "201", "204", "206", "304", "401", "403", "413", "429", "500", "502", "503",
    ] {
        let Err(OriginError::Failed(error)) = load(&origin, status).await else {
            panic!("{status} is no failure");
        };
        assert!(error.to_string().contains(status), "{error}");
        let told = OriginFault::Status(status.parse().unwrap());
        assert_eq!(error.fault(), told);
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let (address, seen) = serve(|request| {
        let to = format!("/elsewhere{}", request.uri().path());
        (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
    })
    .await;
    let text = failure(&origin(address)).await;
    assert!(text.contains("302") && text.contains("redirect"), "{text}");
    assert_eq!(*seen.targets.lock().unwrap(), ["/Zebedee"]);
}

#[tokio::test]
async fn an_error_page_that_repeats_the_key_is_not_in_the_error() {
    let (address, _) = serve(|request| {
        let page = format!("cannot load {}", request.uri().path());
        (StatusCode::INTERNAL_SERVER_ERROR, page).into_response()
    })
    .await;
    let text = failure(&origin(address)).await;
    assert!(
        text.contains("500") && text.contains(&address.to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn the_query_of_the_url_is_not_in_errors() {
    let (address, seen) = serve(|_| StatusCode::FORBIDDEN.into_response()).await;
    let url = format!("http://{address}/get?token=secret&key={{key}}");
    let options = HttpOptions {
        url,
        ..HttpOptions::default()
    };
    assert!(!format!("{options:?}").contains("secret"));
    let text = failure(&HttpOrigin::new(options).unwrap()).await;
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(seen.last_target(), "/get?token=secret&key=Zebedee");
}

#[tokio::test]
async fn the_limit_is_a_value_and_one_more_byte_is_too_large() {
    let (address, _) = serve(|request| match request.uri().path() {
        "/chunked" => chunked((0..100).map(|_| vec![7])),
        "/endless" => chunked((0..usize::MAX).map(|_| vec![7; 1 << 16])),
        _ => vec![7; 100].into_response(),
    })
    .await;
    let origin = origin(address);
    let load = async |key: &'static str, limit| {
        let key = Key::from(key);
        origin.load(Load::new(&key, limit)).await
    };
    for key in ["declared", "chunked"] {
        let found = load(key, 100).await.unwrap();
        assert_eq!(found.content, Content::Value(vec![7; 100].into()));
    }
    let declared = load("declared", 99).await.unwrap_err();
    assert!(matches!(
        declared,
        OriginError::TooLarge {
            len: Some(100),
            limit: 99
        }
    ));
    let chunked = load("chunked", 99).await.unwrap_err();
    assert!(matches!(
        chunked,
        OriginError::TooLarge {
            len: None,
            limit: 99
        }
    ));
    let endless = load("endless", LIMIT).await.unwrap_err();
    assert!(matches!(
        endless,
        OriginError::TooLarge {
            len: None,
            limit: LIMIT
        }
    ));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_failure() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let unfinished = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for reply in [&short[..], unfinished] {
        let (text, has_cause) = failure_and_cause(&origin(serve_raw(reply, true).await)).await;
        assert!(text.contains("broke off") && has_cause, "{text}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_failure() {
    for reply in [
        &b""[..],
        b"220 mail ready\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
    ] {
        failure(&origin(serve_raw(reply, true).await)).await;
    }
}

#[tokio::test]
async fn silence_before_or_in_the_middle_of_an_answer_is_a_failure() {
    for (step, reason) in [
        (Do::Nothing, "no answer within 11s"),
        (Do::StopHalfway, "no more of the body within 10s"),
    ] {
        let mut service = Scripted::start(vec![vec![step]]).await;
        let origin = origin(service.address);
        let load = tokio::spawn(async move { failure_and_cause(&origin).await });
        service.asked().await;
        // All bytes are read before time passes: until then some task can always run.
        settle().await;
        tokio::time::pause();
        let (text, has_cause) = load.await.unwrap();
        tokio::time::resume();
        assert!(text.contains(reason) && has_cause, "{text}");
    }
}

#[tokio::test]
async fn an_unreachable_service_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (text, has_cause) = failure_and_cause(&origin(address)).await;
    assert!(
        text.contains(&address.to_string()) && text.contains("connect") && has_cause,
        "{text}"
    );
}

#[tokio::test]
async fn one_connection_serves_many_loads_whatever_they_bring() {
    let (address, seen) = serve(|request| match request.uri().path() {
        "/found" => vec![7; 100_000].into_response(),
        "/absent" => (StatusCode::NOT_FOUND, "no such key").into_response(),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "broken").into_response(),
    })
    .await;
    let origin = origin(address);
    for _ in 0..10 {
        for key in ["found", "absent", "broken"] {
            let _ = load(&origin, key).await;
        }
    }
    assert_eq!(seen.targets.lock().unwrap().len(), 30);
    assert_eq!(seen.connections.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_load_dropped_on_its_way_leaves_a_working_origin() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let (address, _) = serve(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        vec![7; 100_000].into_response()
    })
    .await;
    let origin = origin(address);
    for polls in 1..50 {
        let mut load = std::pin::pin!(load(&origin, "key"));
        for _ in 0..polls {
            let done = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(load.as_mut().poll(cx).is_ready())
            });
            if done.await {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        load(&origin, "key").await.unwrap().unwrap(),
        vec![7; 100_000]
    );
    assert!(
        asked.load(Ordering::Relaxed) > 1,
        "no load was dropped after it had been sent"
    );
}

#[tokio::test]
async fn headers_are_sent_and_their_values_not_shown() {
    let (address, seen) = serve(|_| "value".into_response()).await;
    let headers = vec![("Authorization".to_owned(), "Bearer secret".to_owned())];
    let options = HttpOptions {
        headers,
        ..options(address)
    };
    assert!(!format!("{options:?}").contains("secret"));
    load(&HttpOrigin::new(options).unwrap(), "Tom")
        .await
        .unwrap();
    let headers = seen.headers.lock().unwrap();
    assert_eq!(headers["authorization"], "Bearer secret");
    assert_eq!(headers["host"], address.to_string());
    assert!(!headers.contains_key("accept-encoding"));
    assert!(
        headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("gaggle")
    );
}

#[tokio::test]
async fn a_request_has_the_time_that_is_left() {
    let (address, seen) = serve(|_| "value".into_response()).await;
    let key = Key::from("Tom");
    let ask = async |options: HttpOptions, deadline: Option<u64>| {
        let origin = HttpOrigin::new(options).unwrap();
        let mut load = Load::new(&key, LIMIT);
        load.deadline = deadline.map(Duration::from_secs);
        origin.load(load).await.unwrap();
        let headers = seen.headers.lock().unwrap();
        let left = headers.get("request-timeout");
        left.map(|left| left.to_str().unwrap().parse::<f64>().unwrap())
    };
    let within = |left: Option<f64>, most: f64| {
        let left = left.expect("a header");
        assert!(0.0 < left && left <= most, "{left} of {most}");
        left
    };
    let total = |secs| HttpOptions {
        total_timeout: Some(Duration::from_secs(secs)),
        ..options(address)
    };
    assert_eq!(ask(options(address), None).await, None);
    within(ask(total(50), None).await, 50.0);
    // Whichever ends sooner.
    within(ask(total(50), Some(40)).await, 40.0);
    within(ask(total(50), Some(3_000)).await, 50.0);
    let long = within(ask(options(address), Some(3_000)).await, 3_000.0);
    assert!(long > 50.0, "{long}");
    let off = HttpOptions {
        send_timeout: false,
        ..total(50)
    };
    assert_eq!(ask(off, Some(40)).await, None);
    let own = HttpOptions {
        headers: vec![("Request-Timeout".to_owned(), "7".to_owned())],
        ..options(address)
    };
    assert_eq!(ask(own, Some(40)).await, Some(7.0));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn https_speaks_tls_without_certificates_on_the_machine() {
    let address = serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain", true).await;
    let url = format!("https://{address}/{{key}}");
    let origin = HttpOrigin::new(HttpOptions {
        url,
        ..HttpOptions::default()
    })
    .unwrap();
    // The server speaks no TLS, and its plain answer must not become a value.
    failure(&origin).await;
}

/// A body without a declared length.
fn chunked(pieces: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Response {
    let pieces = futures_util::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>));
    Body::from_stream(pieces).into_response()
}
