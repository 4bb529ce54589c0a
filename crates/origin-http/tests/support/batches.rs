//! A service that takes batches, and loads of several keys.

use std::sync::{Arc, Mutex};

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use gaggle_group::{ByteBudget, Content, Key, Load, Loaded, Origin, OriginError, OriginFault};
use gaggle_origin_http::{BatchOptions, HttpOptions, HttpOrigin};
use tokio::net::TcpListener;

use super::LIMIT;

/// The batch requests: the headers and the body of each.
pub(crate) type Asked = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A service that answers a batch with `answer`, which is given its body, and any other request
/// with its path.
pub(crate) async fn serve_batches<F>(answer: F) -> (String, Asked)
where
    F: Fn(&str) -> Response + Clone + Send + Sync + 'static,
{
    let asked = Asked::default();
    let record = Arc::clone(&asked);
    let app = axum::Router::new().fallback(move |request: Request| {
        let (record, answer) = (Arc::clone(&record), answer.clone());
        async move {
            if request.method() != Method::POST {
                return request.uri().to_string().into_response();
            }
            assert_eq!(request.uri(), "/batch");
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let reply = answer(&body);
            record.lock().unwrap().push((head.headers, body));
            reply
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (base, asked)
}

pub(crate) fn options(base: &str, change: impl FnOnce(&mut BatchOptions)) -> HttpOptions {
    let mut batch = BatchOptions {
        url: format!("{base}/batch"),
        ..BatchOptions::default()
    };
    change(&mut batch);
    HttpOptions {
        url: format!("{base}/{{key}}"),
        batch: Some(batch),
        ..HttpOptions::default()
    }
}

pub(crate) fn origin(base: &str, change: impl FnOnce(&mut BatchOptions)) -> HttpOrigin {
    HttpOrigin::new(options(base, change)).unwrap()
}

pub(crate) async fn load(origin: &HttpOrigin, keys: &[&[u8]]) -> Vec<Result<Loaded, OriginError>> {
    load_up_to(origin, keys, LIMIT, None).await
}

pub(crate) async fn load_up_to(
    origin: &HttpOrigin,
    keys: &[&[u8]],
    limit: u64,
    budget: Option<&ByteBudget>,
) -> Vec<Result<Loaded, OriginError>> {
    let keys: Vec<_> = keys.iter().map(|key| Key::copy_from_slice(key)).collect();
    let loads: Vec<_> = keys
        .iter()
        .map(|key| match budget {
            Some(budget) => Load::new(key, limit).within(budget),
            None => Load::new(key, limit),
        })
        .collect();
    let found = origin.load_many(&loads).await;
    assert_eq!(found.len(), keys.len());
    found
}

pub(crate) fn content(loaded: &Result<Loaded, OriginError>) -> Content {
    loaded.as_ref().unwrap().content.clone()
}

pub(crate) fn value(text: &str) -> Content {
    Content::Value(Bytes::copy_from_slice(text.as_bytes()))
}

/// The text of the failures, which must all be the same.
pub(crate) fn failure(found: &[Result<Loaded, OriginError>]) -> (String, OriginFault) {
    let mut texts: Vec<_> = found
        .iter()
        .map(|it| it.as_ref().unwrap_err().to_string())
        .collect();
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    (texts.remove(0), found[0].as_ref().unwrap_err().fault())
}
