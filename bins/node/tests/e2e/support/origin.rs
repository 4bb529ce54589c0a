//! An origin in the test's own process: a web server that counts its requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{client, loopback};

/// The value of a key.
type Values = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// How it answers at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Requests are taken and wait.
    Gated,
    /// Requests are answered with 500 and two lines of text.
    Failing,
}

/// The server; it ends with the test.
pub(crate) struct Origin {
    addr: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    values: Box<Values>,
    asked: Mutex<HashMap<Vec<u8>, u32>>,
    mode: watch::Sender<Mode>,
}

impl Origin {
    pub(crate) async fn serve(
        values: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            values: Box::new(values),
            asked: Mutex::default(),
            mode: watch::channel(Mode::Open).0,
        });
        let listener = tokio::net::TcpListener::bind((loopback(), 0))
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            addr,
            shared,
            serving,
        }
    }

    /// Every key has a value, which is made from the key: [`value_of`].
    pub(crate) async fn of_everything() -> Self {
        Self::serve(|key| Some(value_of(key))).await
    }

    /// The lines of the group's origin table.
    pub(crate) fn table(&self) -> String {
        // The key in the query: there it may be `..` as well.
        format!(
            "kind = \"http\"\nurl = \"http://{}/?key={{key}}\"",
            self.addr
        )
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// How often each key was asked for.
    pub(crate) fn asked(&self) -> HashMap<Vec<u8>, u32> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn asked_for(&self, key: &[u8]) -> u32 {
        self.asked().get(key).copied().unwrap_or_default()
    }

    /// Panics unless exactly these keys were asked for, each once.
    pub(crate) fn assert_asked_once(&self, keys: &[Vec<u8>]) {
        let asked = self.asked();
        let total: u32 = asked.values().sum();
        let often = asked.values().filter(|times| **times > 1).count();
        let missing = keys.iter().filter(|key| !asked.contains_key(*key)).count();
        assert_eq!(
            (asked.len(), often, missing, total as usize),
            (keys.len(), 0, 0, keys.len()),
            "(keys that were asked for, more than once, never; requests)"
        );
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let key = client::unescape(uri.query().unwrap().strip_prefix("key=").unwrap());
    *shared.asked.lock().unwrap().entry(key.clone()).or_default() += 1;
    let mut mode = shared.mode.subscribe();
    let mode = *mode.wait_for(|mode| *mode != Mode::Gated).await.unwrap();
    if mode == Mode::Failing {
        return (StatusCode::INTERNAL_SERVER_ERROR, "out of\norder").into_response();
    }
    match (shared.values)(&key) {
        Some(value) => value.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A value made from the key: 1 to 511 bytes of any kind, and for one key in sixteen none.
pub(crate) fn value_of(key: &[u8]) -> Vec<u8> {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    if hash >> 60 == 0 {
        return Vec::new();
    }
    let len = usize::from(hash.to_be_bytes()[3]) * 2 + 1;
    let bytes = hash.to_be_bytes();
    bytes.iter().chain(key).cycle().take(len).copied().collect()
}
