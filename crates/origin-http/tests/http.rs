//! What a service is asked, what its answers mean, and what it may do without harm.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gaggle_group::{Key, Loaded, Origin, OriginError};
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIMIT: u64 = 1 << 20;
const SHORT: Duration = Duration::from_millis(50);

/// What a test's server was asked.
#[derive(Clone, Default)]
struct Seen {
    targets: Arc<Mutex<Vec<String>>>,
    headers: Arc<Mutex<HeaderMap>>,
    connections: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl Seen {
    fn record(&self, request: &Request) {
        self.targets.lock().unwrap().push(request.uri().to_string());
        *self.headers.lock().unwrap() = request.headers().clone();
        if let Some(ConnectInfo(client)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
            self.connections.lock().unwrap().insert(*client);
        }
    }

    fn last_target(&self) -> String {
        self.targets.lock().unwrap().last().cloned().unwrap()
    }
}

/// A server that answers every request with `answer` and tells what it saw.
async fn serve<F>(answer: F) -> (SocketAddr, Seen)
where
    F: Fn(Request) -> Response + Clone + Send + Sync + 'static,
{
    let seen = Seen::default();
    let recorder = seen.clone();
    let app = Router::new().fallback(move |request: Request| {
        recorder.record(&request);
        std::future::ready(answer(request))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    (address, seen)
}

/// A server that answers each connection's first request with `reply`, and then closes it or leaves it silent.
async fn serve_raw(reply: &'static [u8], then_close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(reply).await;
            if !then_close {
                silent.push(stream);
            }
        }
    });
    address
}

fn options(address: SocketAddr) -> HttpOptions {
    HttpOptions {
        url: format!("http://{address}/{{key}}"),
        ..HttpOptions::default()
    }
}

fn origin(address: SocketAddr) -> HttpOrigin {
    HttpOrigin::new(options(address)).unwrap()
}

async fn load(origin: &HttpOrigin, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, OriginError> {
    let key = Key::copy_from_slice(key.as_ref());
    Ok(origin.load(&key, LIMIT).await?.map(|loaded| loaded.value))
}

/// The text of a failure to load a key that no error may show.
async fn failure(origin: &HttpOrigin) -> String {
    match load(origin, "Zebedee").await.unwrap_err() {
        OriginError::Failed(error) => {
            let text = error.to_string();
            assert!(text.starts_with("http"), "does not name the origin: {text}");
            assert!(!text.contains("Zebedee"), "{text}");
            text
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn any_key_arrives_exactly() {
    let (address, seen) = serve(|request| request.uri().to_string().into_response()).await;
    let in_path = origin(address);
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
async fn a_key_that_servers_would_read_as_another_path_is_refused_unasked() {
    let (address, seen) = serve(|_| "value".into_response()).await;
    let in_path = origin(address);
    for key in [".", ".."] {
        let Err(OriginError::Failed(error)) = load(&in_path, key).await else {
            panic!("{key} was asked for");
        };
        assert!(error.to_string().contains("dots"), "{error}");
    }
    assert!(seen.targets.lock().unwrap().is_empty());

    let url = format!("http://{address}/?key={{key}}");
    let in_query = HttpOrigin::new(HttpOptions {
        url,
        ..HttpOptions::default()
    })
    .unwrap();
    assert_eq!(load(&in_query, "..").await.unwrap().unwrap(), "value");
    assert_eq!(seen.last_target(), "/?key=..");
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
        "201", "204", "206", "304", "400", "401", "403", "429", "500", "502", "503",
    ] {
        let Err(OriginError::Failed(error)) = load(&origin, status).await else {
            panic!("{status} is no failure");
        };
        assert!(error.to_string().contains(status), "{error}");
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
    for key in ["declared", "chunked"] {
        let key = Key::from(key);
        assert_eq!(
            origin.load(&key, 100).await.unwrap().unwrap().value,
            vec![7; 100]
        );
    }
    let declared = origin.load(&Key::from("declared"), 99).await.unwrap_err();
    assert!(matches!(
        declared,
        OriginError::TooLarge {
            len: Some(100),
            limit: 99
        }
    ));
    let chunked = origin.load(&Key::from("chunked"), 99).await.unwrap_err();
    assert!(matches!(
        chunked,
        OriginError::TooLarge {
            len: None,
            limit: 99
        }
    ));
    let endless = origin.load(&Key::from("endless"), LIMIT).await.unwrap_err();
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
        let text = failure(&origin(serve_raw(reply, true).await)).await;
        assert!(text.contains("broke off"), "{text}");
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
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    for (reply, reason) in [(&b""[..], "no answer"), (half, "no more of the body")] {
        let address = serve_raw(reply, false).await;
        let impatient = HttpOptions {
            connect_timeout: SHORT,
            read_timeout: SHORT,
            ..options(address)
        };
        let text = failure(&HttpOrigin::new(impatient).unwrap()).await;
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let text = failure(&origin(address)).await;
    assert!(
        text.contains(&address.to_string()) && text.contains("connect"),
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
    assert!(
        headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("gaggle")
    );
}

#[tokio::test]
async fn max_age_is_the_time_to_live_where_it_is_honoured() {
    let (address, _) =
        serve(|_| ([(header::CACHE_CONTROL, "public, max-age=60")], "value").into_response()).await;
    for (honour_max_age, ttl) in [(false, None), (true, Some(Duration::from_secs(60)))] {
        let options = HttpOptions {
            honour_max_age,
            ..options(address)
        };
        let loaded = HttpOrigin::new(options)
            .unwrap()
            .load(&Key::from("Tom"), LIMIT)
            .await;
        assert_eq!(
            loaded.unwrap(),
            Some(Loaded {
                value: "value".into(),
                ttl
            })
        );
    }
}

#[test]
fn an_option_that_cannot_work_is_an_error_that_names_it() {
    let good = || HttpOptions {
        url: "http://h/{key}".to_owned(),
        ..HttpOptions::default()
    };
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let url = |url: &str| HttpOptions {
        url: url.to_owned(),
        ..good()
    };
    for (field, options) in [
        ("url", HttpOptions::default()),
        ("url", url("http://h/")),
        ("url", url("ftp://h/{key}")),
        (
            "connect_timeout",
            HttpOptions {
                connect_timeout: Duration::ZERO,
                ..good()
            },
        ),
        (
            "read_timeout",
            HttpOptions {
                read_timeout: Duration::ZERO,
                ..good()
            },
        ),
        (
            "headers",
            HttpOptions {
                headers: header("a b", "x"),
                ..good()
            },
        ),
        (
            "headers",
            HttpOptions {
                headers: header("a", "secret\n"),
                ..good()
            },
        ),
        (
            "headers",
            HttpOptions {
                headers: header("Content-Length", "5"),
                ..good()
            },
        ),
    ] {
        let error = HttpOrigin::new(options).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().contains(field) && !error.to_string().contains("secret"));
    }
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
    // The server speaks no TLS, and what it says in the clear must not become a value.
    failure(&origin).await;
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_the_feature_is_an_error_that_says_so() {
    let options = HttpOptions {
        url: "https://h/{key}".to_owned(),
        ..HttpOptions::default()
    };
    let error = HttpOrigin::new(options).unwrap_err();
    assert!(
        error.field == "url" && error.reason.contains("`tls`"),
        "{error}"
    );
}

/// A body without a declared length.
fn chunked(pieces: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Response {
    let pieces = futures_util::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>));
    Body::from_stream(pieces).into_response()
}
