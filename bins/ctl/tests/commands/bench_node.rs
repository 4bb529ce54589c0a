//! A node under load: it counts its requests, and may take its values from an origin.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct BenchNode {
    pub(crate) addr: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    targets: Mutex<Vec<String>>,
    statuses: Mutex<HashMap<String, u16>>,
    /// Keys whose values have another first byte than the origin's.
    damaged: Mutex<HashSet<String>>,
    /// The origin's address. Requests wait until it is known.
    origin: Option<watch::Sender<Option<String>>>,
    values: tokio::sync::Mutex<HashMap<String, Bytes>>,
}

impl BenchNode {
    /// Answers every key with `value`.
    pub(crate) async fn play() -> Self {
        Self::with(Shared::default()).await
    }

    /// Answers with the origin's values, each loaded once.
    pub(crate) async fn with_origin() -> Self {
        let shared = Shared {
            origin: Some(watch::Sender::new(None)),
            ..Shared::default()
        };
        Self::with(shared).await
    }

    async fn with(shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(shared);
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { addr, shared }
    }

    /// From now on the answer to the target has this status.
    pub(crate) fn answer(&self, target: &str, status: u16) {
        let mut statuses = self.shared.statuses.lock().unwrap();
        statuses.insert(target.to_owned(), status);
    }

    pub(crate) fn damage(&self, key: &str) {
        self.shared.damaged.lock().unwrap().insert(key.to_owned());
    }

    pub(crate) fn set_origin(&self, addr: &str) {
        let origin = self.shared.origin.as_ref().unwrap();
        origin.send_replace(Some(addr.to_owned()));
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.shared.targets.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.targets().len()
    }

    /// How many values it has loaded.
    pub(crate) async fn loads(&self) -> usize {
        self.shared.values.lock().await.len()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let target = request.uri().to_string();
    if target == "/status" {
        return Response::new(status(shared.targets.lock().unwrap().len()).into());
    }
    shared.targets.lock().unwrap().push(target.clone());
    let status = shared.statuses.lock().unwrap().get(&target).copied();
    let key = target.strip_prefix("/api?key=").unwrap_or_default();
    let damaged = shared.damaged.lock().unwrap().contains(key);
    let value = match &shared.origin {
        Some(origin) => {
            let mut origin = origin.subscribe();
            let addr = origin.wait_for(Option::is_some).await.unwrap().clone();
            let mut values = shared.values.lock().await;
            if !values.contains_key(key) {
                let mut value = load(&addr.unwrap(), key).await.to_vec();
                value[0] ^= u8::from(damaged);
                values.insert(key.to_owned(), value.into());
            }
            values[key].clone()
        }
        None => Bytes::from_static(b"value"),
    };
    let response = Response::builder().status(status.unwrap_or(200));
    response.body(value.into()).unwrap()
}

/// Three of every four gets are hits, and one is loaded.
fn status(gets: usize) -> String {
    let none = json!({"ok": 0, "not_found": 0, "error": 0});
    let counters = json!({
        "gets_total": gets,
        "hits_total": {"main": gets - gets.div_ceil(4), "hot": 0},
        "loads_total": {"origin": {"ok": gets.div_ceil(4), "not_found": 0, "error": 0}, "peer": none},
        "loads_in_flight": 0,
        "cache_bytes": {"main": 0, "hot": 0},
        "cache_entries": {"main": 0, "hot": 0},
        "cache_limit_bytes": 1,
    });
    json!({"node": "http://a:1", "groups": {"scores": counters}}).to_string()
}

async fn load(addr: &str, key: &str) -> Bytes {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET /{key} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    Bytes::from(answer).slice(head.unwrap() + 4..)
}
