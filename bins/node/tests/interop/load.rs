//! A steady load on front doors, none of whose requests is repeated.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::keys::value;
use crate::mixed::api;
use crate::support::{Client, PATIENCE};

/// Requests under way at one time.
const WORKERS: usize = 6;
/// The bound on a load that no test ends.
const MOST: usize = 1_000_000;

pub(crate) struct Load {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

struct Shared {
    client: Client,
    keys: Vec<Vec<u8>>,
    /// Held for reading while one of them is asked, so that a change of the list waits for
    /// requests under way.
    front_doors: RwLock<Vec<SocketAddr>>,
    /// Requests begun.
    begun: Mutex<usize>,
    /// Requests answered.
    answered: watch::Sender<usize>,
    errors: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
    over: AtomicBool,
}

/// The results of a load.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    pub(crate) errors: Vec<String>,
    pub(crate) slowest: Duration,
}

impl Load {
    /// Asks those front doors for those keys in turn until told to stop.
    pub(crate) fn start(client: &Client, keys: &[Vec<u8>], front_doors: Vec<SocketAddr>) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            keys: keys.to_vec(),
            front_doors: RwLock::new(front_doors),
            begun: Mutex::default(),
            answered: watch::channel(0).0,
            errors: Mutex::default(),
            slowest: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            workers.spawn(shared.clone().work());
        }
        Self { shared, workers }
    }

    /// Sends requests to these front doors only from now on; none to another is under way any more.
    pub(crate) async fn only(&self, front_doors: Vec<SocketAddr>) {
        *self.shared.front_doors.write().await = front_doors;
    }

    /// Waits for as many answers as there are keys. A slow one may be overtaken: not every key
    /// needs to be among them.
    pub(crate) async fn round(&self) {
        let mut answered = self.shared.answered.subscribe();
        let enough = *answered.borrow() + self.shared.keys.len();
        let waited = timeout(PATIENCE, answered.wait_for(|answered| *answered >= enough)).await;
        assert!(waited.is_ok(), "a round of requests takes too long");
    }

    pub(crate) async fn stop(mut self) -> Seen {
        self.shared.over.store(true, SeqCst);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        let errors = std::mem::take(&mut *self.shared.errors.lock().unwrap());
        Seen {
            requests: *self.shared.answered.borrow(),
            errors,
            slowest: *self.shared.slowest.lock().unwrap(),
        }
    }
}

impl Shared {
    async fn work(self: Arc<Self>) {
        while !self.over.load(SeqCst) {
            let n = {
                let mut begun = self.begun.lock().unwrap();
                *begun += 1;
                *begun
            };
            assert!(n < MOST, "the load has no end");
            let front_doors = self.front_doors.read().await;
            let each = self.keys.len();
            let key = &self.keys[n % each];
            // Another front door for a key in each round.
            let front_door = front_doors[(n + n / each) % front_doors.len()];
            let began = Instant::now();
            if let Some(error) = self.ask(front_door, key).await {
                self.errors.lock().unwrap().push(error);
            }
            drop(front_doors);
            let took = began.elapsed();
            let mut slowest = self.slowest.lock().unwrap();
            *slowest = took.max(*slowest);
            drop(slowest);
            self.answered.send_modify(|answered| *answered += 1);
        }
    }

    async fn ask(&self, front_door: SocketAddr, key: &[u8]) -> Option<String> {
        let target = api(key);
        match self
            .client
            .send(Method::GET, front_door, &target, String::new())
            .await
        {
            Ok(answer) if answer.status == 200 && answer.body == value(key) => None,
            Ok(answer) if answer.status == 200 => Some(format!("{front_door}: another value")),
            Ok(answer) => Some(format!("{front_door}: {} {}", answer.status, answer.text())),
            Err(error) => Some(format!("{front_door}: {error:?}")),
        }
    }
}
