//! Writers and readers that run while something else happens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::reader::Reader;

/// The seed of a test's random numbers: `GAGGLE_TEST_SEED`, or a random one. It is printed.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("GAGGLE_TEST_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("GAGGLE_TEST_SEED={seed}");
    seed
}

/// A task that runs in the background until it is stopped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    /// How often it has done something.
    pub(crate) done: Arc<AtomicU64>,
    /// What went wrong, and how often.
    pub(crate) failures: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Traffic {
    fn new() -> Self {
        Self {
            stop: Arc::default(),
            tasks: Vec::new(),
            done: Arc::default(),
            failures: Arc::default(),
        }
    }

    fn spawn(&mut self, mut work: impl AsyncWork) {
        let (stop, done) = (Arc::clone(&self.stop), Arc::clone(&self.done));
        let failures = Arc::clone(&self.failures);
        self.tasks.push(tokio::spawn(async move {
            while !stop.load(Relaxed) {
                match work.once().await {
                    Ok(()) => {
                        done.fetch_add(1, Relaxed);
                    }
                    Err(failure) => {
                        *failures.lock().unwrap().entry(failure).or_default() += 1;
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }));
    }

    /// Random updates of random rows. Each value is used once.
    pub(crate) fn writers(pool: &PgPool, keys: &[String], seed: u64) -> Self {
        let mut traffic = Self::new();
        traffic.spawn(Writer {
            pool: pool.clone(),
            keys: keys.into(),
            random: fastrand::Rng::with_seed(seed),
        });
        traffic
    }

    /// Readers of random keys, as fast as they are answered and paused for `pause` in between.
    pub(crate) fn readers(
        front_doors: &[SocketAddr],
        keys: &[String],
        seed: u64,
        pause: Duration,
    ) -> Self {
        let mut traffic = Self::new();
        for (n, front_door) in front_doors.iter().enumerate() {
            traffic.spawn(KeyReader {
                // A node that is paused or gone is asked again.
                reader: Reader::new(*front_door).within(Duration::from_secs(2)),
                keys: keys.into(),
                random: fastrand::Rng::with_seed(seed.wrapping_add(n as u64 + 1)),
                pause,
            });
        }
        traffic
    }

    /// Waits until it has done something that many more times.
    pub(crate) async fn goes_on(&self, times: u64) {
        let end = self.done.load(Relaxed) + times;
        crate::support::until("traffic", async || self.done.load(Relaxed) >= end).await;
    }

    /// Stops it, and returns how often it has done something and what went wrong.
    pub(crate) async fn stop(mut self) -> (u64, BTreeMap<String, u64>) {
        self.stop.store(true, Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            task.await.unwrap();
        }
        let failures = self.failures.lock().unwrap().clone();
        (self.done.load(Relaxed), failures)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The parts of the traffic.
trait AsyncWork: Send + 'static {
    fn once(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

struct Writer {
    pool: PgPool,
    keys: Vec<String>,
    random: fastrand::Rng,
}

impl AsyncWork for Writer {
    async fn once(&mut self) -> Result<(), String> {
        let failed = |failure: sqlx::Error| failure.to_string();
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        // Mostly one row, and several now and then.
        let rows = if self.random.u8(..8) == 0 { 5 } else { 1 };
        for _ in 0..rows {
            let key = &self.keys[self.random.usize(..self.keys.len())];
            let value = format!("{:016x}", self.random.u64(..));
            let update = sqlx::query("UPDATE scores SET value = $2 WHERE key = $1");
            let update = update.bind(key).bind(value);
            update.execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        sleep(Duration::from_millis(15)).await;
        Ok(())
    }
}

struct KeyReader {
    reader: Reader,
    keys: Vec<String>,
    random: fastrand::Rng,
    pause: Duration,
}

impl AsyncWork for KeyReader {
    async fn once(&mut self) -> Result<(), String> {
        let key = &self.keys[self.random.usize(..self.keys.len())];
        let read = self.reader.get(key).await;
        let read = read.map_err(|failure| failure.kind().to_string())?;
        if !self.pause.is_zero() {
            sleep(self.pause).await;
        }
        match read.status {
            200 => Ok(()),
            status => Err(format!("{status}: {}", read.value)),
        }
    }
}
