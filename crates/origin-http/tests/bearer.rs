//! The token of requests, fixed or rotated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use gaggle_group::{Content, Key, Load, Origin, OriginError};
use gaggle_origin_http::{BearerSource, HttpOptions, HttpOrigin};
use support::{LIMIT, Seen, options, serve};
use tracing_subscriber::fmt::MakeWriter;

async fn load(origin: &HttpOrigin) -> Result<Content, OriginError> {
    let key = Key::from("Tom");
    Ok(origin.load(Load::new(&key, LIMIT)).await?.content)
}

fn sent(seen: &Seen) -> String {
    let headers = seen.headers.lock().unwrap();
    let all: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
    assert_eq!(all.len(), 1);
    all[0].to_str().unwrap().to_owned()
}

async fn time_passes(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// What is logged, whatever its level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The log of this process, shared by its tests.
fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    })
}

#[tokio::test]
async fn a_token_in_a_file_is_sent_as_it_is_now_and_is_in_no_log_and_no_error() {
    let log = log();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let rotate = |text: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    rotate("hunter-one\n");
    let (address, seen) = serve(|_| "value".into_response()).await;
    let options = HttpOptions {
        bearer: Some(BearerSource::File(file.clone())),
        ..options(address)
    };
    assert!(!format!("{options:?}").contains("hunter"));
    let origin = HttpOrigin::new(options.clone()).unwrap();
    load(&origin).await.unwrap();
    assert_eq!(sent(&seen), "Bearer hunter-one");

    rotate("hunter-two");
    time_passes(Duration::from_secs(1)).await;
    load(&origin).await.unwrap();
    assert_eq!(sent(&seen), "Bearer hunter-two");

    std::fs::remove_file(&file).unwrap();
    for _ in 0..3 {
        time_passes(Duration::from_secs(1)).await;
        load(&origin).await.unwrap();
        assert_eq!(sent(&seen), "Bearer hunter-two");
    }
    rotate("hunter-three");
    time_passes(Duration::from_secs(1)).await;
    load(&origin).await.unwrap();
    assert_eq!(sent(&seen), "Bearer hunter-three");

    let (address, _) = serve(|_| StatusCode::UNAUTHORIZED.into_response()).await;
    let refused = HttpOrigin::new(HttpOptions {
        url: format!("http://{address}/{{key}}"),
        ..options
    });
    let refused = refused.unwrap();
    let error = load(&refused).await.unwrap_err();
    let shown = format!("{error} {error:?} {refused:?} {origin:?}");
    assert!(
        shown.contains("401") && !shown.contains("hunter"),
        "{shown}"
    );
    let logged = log.text();
    assert!(logged.contains("the origin refused"), "{logged}");
    assert!(!logged.contains("hunter"), "{logged}");
}

#[tokio::test]
async fn a_fixed_token_goes_to_each_url_of_the_options_and_nowhere_else() {
    let log = log();
    let (elsewhere, seen_elsewhere) = serve(|_| "value".into_response()).await;
    let (primary, _) = serve(|_| StatusCode::BAD_GATEWAY.into_response()).await;
    let (other, seen) = serve(move |_| {
        let to = [(header::LOCATION, format!("http://{elsewhere}/Tom"))];
        (StatusCode::FOUND, to).into_response()
    })
    .await;
    let origin = HttpOrigin::new(HttpOptions {
        bearer: Some(BearerSource::Text("hunter".to_owned())),
        fallbacks: vec![format!("http://{other}/{{key}}")],
        ..options(primary)
    })
    .unwrap();
    assert!(load(&origin).await.is_err());
    assert_eq!(sent(&seen), "Bearer hunter");
    assert!(seen_elsewhere.targets.lock().unwrap().is_empty());
    assert!(!log.text().contains("hunter"));
}
