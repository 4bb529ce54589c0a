//! An origin with few slots, and the faults that origins have.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use gaggle_testkit::{Fault, Proxy, Scope};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{client, loopback};

/// The value of a key.
type Values = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// Its present fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Each piece of work takes that long.
    Slow(Duration),
    /// Work never ends while this lasts.
    Hung,
    /// Every request is answered with 500 at once.
    Failing,
    /// Nothing listens.
    Refusing,
}

/// Its capacity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Power {
    /// Pieces of work at one time; others wait in the order in which they came.
    pub(crate) slots: usize,
    /// How long one takes.
    pub(crate) takes: Duration,
    /// Whether work continues when no client waits for its answer any more.
    pub(crate) finishes_abandoned: bool,
}

impl Power {
    /// Answers per second.
    pub(crate) fn capacity(&self) -> f64 {
        self.slots as f64 / self.takes.as_secs_f64()
    }
}

/// The server; it ends with the test.
pub(crate) struct Backend {
    proxy: Proxy,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    values: Box<Values>,
    power: Power,
    slots: Semaphore,
    trouble: watch::Sender<Trouble>,
    asked: Mutex<HashMap<Vec<u8>, u32>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Backend {
    pub(crate) async fn serve(
        power: Power,
        values: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            values: Box::new(values),
            power,
            slots: Semaphore::new(power.slots),
            trouble: watch::channel(Trouble::None).0,
            asked: Mutex::default(),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind((loopback(), 0))
            .await
            .unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            proxy,
            shared,
            serving,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.proxy.addr()
    }

    /// The lines of the group's origin table.
    pub(crate) fn table(&self) -> String {
        format!(
            "kind = \"http\"\nurl = \"http://{}/?key={{key}}\"",
            self.addr()
        )
    }

    pub(crate) async fn set(&self, trouble: Trouble) {
        let way = match trouble {
            Trouble::Refusing => Fault::Refuse,
            _ => Fault::Pass,
        };
        self.proxy.set(Scope::All, way).await.unwrap();
        self.shared.trouble.send_replace(trouble);
    }

    /// How often each key was asked for.
    pub(crate) fn asked(&self) -> HashMap<Vec<u8>, u32> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The most requests that were waiting or in work at one time since the last call.
    pub(crate) fn most_open(&self) -> usize {
        self.shared
            .most_open
            .swap(self.shared.open.load(Relaxed), Relaxed)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One request, from its arrival until its work has ended or was dropped.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        let open = shared.open.fetch_add(1, Relaxed) + 1;
        shared.most_open.fetch_max(open, Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let key = client::unescape(uri.query().unwrap().strip_prefix("key=").unwrap());
    *shared.asked.lock().unwrap().entry(key.clone()).or_default() += 1;
    let open = Open::new(&shared);
    let finishes = shared.power.finishes_abandoned;
    let work = work(shared, key, open);
    if finishes {
        // The server drops the request of a client that went away; a separate task continues.
        tokio::spawn(work).await.unwrap()
    } else {
        work.await
    }
}

async fn work(shared: Arc<Shared>, key: Vec<u8>, open: Open) -> Response {
    let failing = || *shared.trouble.borrow() == Trouble::Failing;
    let failed = || (StatusCode::INTERNAL_SERVER_ERROR, "out of order").into_response();
    if failing() {
        return failed();
    }
    let slot = shared.slots.acquire().await.unwrap();
    let mut trouble = shared.trouble.subscribe();
    let now = *trouble
        .wait_for(|trouble| *trouble != Trouble::Hung)
        .await
        .unwrap();
    match now {
        Trouble::Slow(takes) => sleep(takes).await,
        _ => sleep(shared.power.takes).await,
    }
    if failing() {
        return failed();
    }
    drop((slot, open));
    match (shared.values)(&key) {
        Some(value) => value.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
