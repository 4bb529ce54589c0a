//! One hop to another node over loopback, beside the bare HTTP stack that it is made on. Both ends
//! are in this process and share its two workers.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot run says so and ends"
)]

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, SamplingMode, Throughput};
use futures_util::future::join_all;
use gaggle_benches::{criterion, on_worker, two_workers};
use gaggle_group::{
    Fetch, Group, Groups, Key, Member, NoHotCopies, Peer, PeerRequests, Route, Router,
};
use gaggle_serve::{Options, Server};
use gaggle_transport_grpc::GrpcTransport;
use gaggle_transport_http::{Batching, ClientOptions, HttpTransport, ServerOptions, router};
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

fn main() {
    let mut criterion = criterion();
    let runtime = two_workers().expect("a runtime");
    let mut group = criterion.benchmark_group("transport");
    group.sampling_mode(SamplingMode::Flat);
    for (size, value, crowds) in [
        ("100 B", Bytes::from(vec![7; 100]), &[1, 4, 16, 64, 256][..]),
        ("1 MiB", Bytes::from(vec![7; 1 << 20]), &[1, 64]),
    ] {
        let bare = Bare::new(&runtime, &value);
        let alone = Hop::new(&runtime, &value, &Over::Http(None));
        let shared = Hop::new(&runtime, &value, &Over::Http(Some(Batching::default())));
        let grpc = Hop::new(&runtime, &value, &Over::Grpc);
        for callers in crowds {
            let who = match callers {
                1 => "a lone caller".to_owned(),
                many => format!("{many} callers at once"),
            };
            let name = format!("axum and reqwest alone, {size} values, {who}");
            measure(&mut group, &runtime, &name, *callers, &bare, Bare::ask);
            let name = format!("one hop, batching off, {size} values, {who}");
            measure(&mut group, &runtime, &name, *callers, &alone, Hop::ask);
            let name = format!("one hop, {size} values, {who}");
            measure(&mut group, &runtime, &name, *callers, &shared, Hop::ask);
            let name = format!("one hop over gRPC, {size} values, {who}");
            measure(&mut group, &runtime, &name, *callers, &grpc, Hop::ask);
        }
    }
    let asker = Asker::new(&runtime);
    for callers in [1, 16] {
        let who = match callers {
            1 => "a lone caller".to_owned(),
            many => format!("{many} callers at once"),
        };
        let name = format!("100 keys of one owner, a get of each at once, {who}");
        measure(
            &mut group,
            &runtime,
            &name,
            callers,
            &asker,
            Asker::get_each,
        );
        let name = format!("100 keys of one owner, get_many, {who}");
        measure(
            &mut group,
            &runtime,
            &name,
            callers,
            &asker,
            Asker::get_many,
        );
    }
    group.finish();
    criterion.final_summary();
}

/// The time in which every one of `callers` asks once, while all of them ask again and again. Each
/// is told its number.
fn measure<A, F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    name: &str,
    callers: u64,
    asker: &A,
    ask: fn(A, u64) -> F,
) where
    A: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    group.throughput(Throughput::Elements(callers));
    group.bench_function(name, |b| {
        b.iter_custom(|iters| {
            let asker = asker.clone();
            on_worker(runtime, async move {
                let mut tasks = JoinSet::new();
                for caller in 0..callers {
                    let asker = asker.clone();
                    tasks.spawn(async move {
                        for _ in 0..iters {
                            ask(asker.clone(), caller).await;
                        }
                    });
                }
                while let Some(task) = tasks.join_next().await {
                    assert!(task.is_ok());
                }
            })
        });
    });
}

/// Serves `app` on a port of loopback and returns the base URL.
fn serve(runtime: &Runtime, app: axum::Router) -> String {
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = listener.tap_io(|connection| {
        connection.set_nodelay(true).expect("a live connection");
    });
    runtime.spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// The same, as a node serves its peers: by `gaggle_serve`, which speaks HTTP/2 as well.
fn serve_peers(runtime: &Runtime, app: axum::Router) -> String {
    let server = runtime
        .block_on(Server::bind("127.0.0.1:0", Options::default()))
        .expect("a port");
    let url = format!("http://{}", server.local_addr());
    runtime.spawn(server.serve(app, pending()));
    url
}

/// A handler that returns the value to every request, and a client with the transport's settings
/// that reads it.
#[derive(Clone)]
struct Bare {
    client: Client,
    url: reqwest::Url,
    len: usize,
}

impl Bare {
    fn new(runtime: &Runtime, value: &Bytes) -> Self {
        let (constant, len) = (value.clone(), value.len());
        let app = axum::Router::new().fallback(move || {
            let value = constant.clone();
            async move { value }
        });
        let client = Client::builder()
            .http1_only()
            .no_proxy()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(64)
            .build()
            .expect("a client");
        let url = serve(runtime, app).parse().expect("a URL");
        Self { client, url, len }
    }

    async fn ask(self, _: u64) {
        let response = self.client.get(self.url).send().await.expect("an answer");
        let body = response.bytes().await.expect("a body");
        assert_eq!(body.len(), self.len);
    }
}

/// What a hop goes over.
enum Over {
    Http(Option<Batching>),
    Grpc,
}

/// A transport's server over a group that holds the values in its main cache, and the transport's
/// client.
#[derive(Clone)]
struct Hop {
    peer: Arc<dyn Peer>,
    /// One for each caller: gets of one key would be one get, before they come here.
    keys: Arc<[Key]>,
    len: usize,
}

impl Hop {
    fn new(runtime: &Runtime, value: &Bytes, over: &Over) -> Self {
        let (constant, len) = (value.clone(), value.len());
        let things = Group::builder("things")
            .capacity(1 << 30)
            .origin_fn(move |_| {
                let value = constant.clone();
                async move { Ok::<_, Infallible>(Some(value)) }
            })
            .build()
            .expect("a group");
        let keys: Arc<[Key]> = (0..1_600)
            .map(|n| Key::from(format!("key-{n:06}")))
            .collect();
        for key in &*keys {
            runtime
                .block_on(things.get(key))
                .expect("a value, cached from here on");
        }
        let groups = Groups::new([things]).expect("one name");
        let peer: Arc<dyn Peer> = match over {
            Over::Http(batching) => {
                let url = serve_peers(runtime, router(groups, ServerOptions::default()));
                let options = ClientOptions {
                    batching: batching.clone(),
                    ..ClientOptions::default()
                };
                let transport = HttpTransport::new(options).expect("a client");
                transport.peer(&url).expect("a base URL")
            }
            Over::Grpc => {
                let app = gaggle_transport_grpc::router(groups, Default::default());
                let url = serve_peers(runtime, app);
                GrpcTransport::default().peer(&url).expect("a base URL")
            }
        };
        Self { peer, keys, len }
    }

    async fn ask(self, caller: u64) {
        let at = usize::try_from(caller).unwrap_or(usize::MAX) % self.keys.len();
        let key = &self.keys[at];
        let fetch = Fetch::new("things", key, 64 << 20, Duration::from_secs(5));
        let value = match self
            .peer
            .fetch(fetch)
            .await
            .map(|fetched| fetched.entry.value)
        {
            Ok(Some(value)) => value,
            other => unreachable!("the value is in the owner's cache: {other:?}"),
        };
        assert_eq!(value.len(), self.len);
    }
}

/// A node that owns no key and keeps no copy, and asks the one that owns all of them.
#[derive(Clone)]
struct Asker {
    group: Group,
    /// A hundred for each caller.
    keys: Arc<[Key]>,
}

impl Asker {
    fn new(runtime: &Runtime) -> Self {
        let hop = Hop::new(
            runtime,
            &Bytes::from(vec![7; 100]),
            &Over::Http(Some(Batching::default())),
        );
        let group = Group::builder("things")
            .origin_fn(|_| async { Err::<Option<Bytes>, _>("every key is the other node's") })
            .router(Arc::new(AllTheirs(hop.peer)))
            .hot_copies(NoHotCopies)
            .build()
            .expect("a group");
        // From the first answer on the owner is known to take batches.
        runtime.block_on(group.get(&hop.keys[0])).expect("a value");
        Self {
            group,
            keys: hop.keys,
        }
    }

    fn keys(&self, caller: u64) -> &[Key] {
        let hundreds = self.keys.len() / 100;
        let at = usize::try_from(caller).unwrap_or(usize::MAX) % hundreds;
        &self.keys[at * 100..][..100]
    }

    async fn get_many(self, caller: u64) {
        let answers = self.group.get_many(self.keys(caller)).await;
        assert!(answers.iter().all(Result::is_ok));
    }

    async fn get_each(self, caller: u64) {
        let gets = self.keys(caller).iter();
        let answers = join_all(gets.map(|key| self.group.lookup(key))).await;
        assert!(answers.iter().all(Result::is_ok));
    }
}

struct AllTheirs(Arc<dyn Peer>);

impl Router for AllTheirs {
    fn route(&self, _: &[u8]) -> Route {
        Route::Theirs(self.0.clone())
    }

    fn owner(&self, _: &[u8]) -> Member {
        Member {
            address: "".into(),
            name: self.0.name().into(),
            is_self: false,
            up: true,
            requests: PeerRequests::default(),
        }
    }

    fn members(&self) -> Vec<Member> {
        vec![self.owner(b"")]
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![self.0.clone()]
    }

    fn digest(&self) -> String {
        "one owner".to_owned()
    }
}
