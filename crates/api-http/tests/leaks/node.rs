//! Every way to ask a node for a key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router as Routes;
use axum::body::Body;
use axum::http::Request;
use gaggle_api_http::{Admin, FrontOptions, MetricsPage, NoReload, Readiness, admin, front_door};
use gaggle_console::Console;
use gaggle_group::{
    Fetch, Fetched, Group, Groups, Key, Member, Notice, Peer, PeerError, PeerRequests, Route,
    Router, Verdict, async_trait,
};
use gaggle_transport_grpc::GrpcTransport;
use gaggle_transport_http::HttpTransport;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

const LONG: Duration = Duration::from_secs(30);

/// The request, and the whole answer: status, headers and body.
type Answers = Vec<(&'static str, String)>;

/// A node with one group, and two others that ask it by each transport.
pub(crate) struct Node {
    front: Routes,
    admin: Routes,
    peers: Routes,
    transports: Vec<(&'static str, Arc<dyn Peer>)>,
}

impl Node {
    pub(crate) async fn serve(group: Group) -> Self {
        let groups = Groups::new([group]).unwrap();
        let peers = gaggle_transport_http::router(
            groups.clone(),
            gaggle_transport_http::ServerOptions::default(),
        );
        let grpc = gaggle_transport_grpc::router(
            groups.clone(),
            gaggle_transport_grpc::ServerOptions::default(),
        );
        let (http_at, grpc_at) = (bind(peers.clone()).await, bind(grpc).await);
        let options = gaggle_transport_http::ClientOptions {
            connect_timeout: LONG,
            ..Default::default()
        };
        let http = HttpTransport::new(options).unwrap();
        let http = http.peer(&format!("http://{http_at}")).unwrap();
        let options = gaggle_transport_grpc::ClientOptions {
            connect_timeout: LONG,
            ..Default::default()
        };
        let grpc = GrpcTransport::new(options);
        let grpc = grpc.peer(&format!("http://{grpc_at}")).unwrap();
        Self {
            front: front_door(groups.clone(), FrontOptions::default()),
            admin: admin(Admin {
                console: Console::new(groups.clone()),
                origins: BTreeMap::new(),
                version: "1.2.3".to_owned(),
                groups,
                readiness: Readiness::new(),
                metrics: MetricsPage::new("text/plain", String::new),
                hosts: Vec::new(),
                reload: Arc::new(NoReload),
            }),
            peers,
            transports: vec![("http", http as Arc<dyn Peer>), ("grpc", grpc)],
        }
    }

    /// A node whose keys all belong to an owner of another kind, which reports all that it knows.
    pub(crate) fn asking_one_that_says(text: &'static str) -> Self {
        let group = asking(Arc::new(Talkative(text)));
        let groups = Groups::new([group]).unwrap();
        Self {
            front: front_door(groups, FrontOptions::default()),
            admin: Routes::new(),
            peers: Routes::new(),
            transports: Vec::new(),
        }
    }

    /// What each port answers, and what another node that asked this one answers.
    pub(crate) async fn every_answer(&self, key: &str) -> Answers {
        let mut answers = self.front_answers(key).await;
        let path = format!("/_groupcache/scores/{key}");
        for (endpoint, router, method, path) in [
            ("peers: a get", &self.peers, "GET", &*path),
            ("peers: a head", &self.peers, "HEAD", &*path),
            ("admin: status", &self.admin, "GET", "/status"),
        ] {
            let forwarded = ("gaggle-forwarded", "1");
            answers.push((endpoint, ask(router, method, path, forwarded, "").await));
        }
        for (transport, peer) in &self.transports {
            let asked = Key::from(key.to_owned());
            let failure = peer
                .fetch(Fetch::new("scores", &asked, 1 << 20, LONG))
                .await;
            // With all its parts, whichever of them are shown.
            answers.push(("what a peer is told", format!("{failure:?}")));
            let other = asking(Arc::clone(peer));
            let front = front_door(Groups::new([other]).unwrap(), FrontOptions::default());
            let path = format!("/v1/scores/{key}");
            let endpoint = match *transport {
                "http" => "front door of a node that asked over HTTP",
                _ => "front door of a node that asked over gRPC",
            };
            let mut answer = ask(&front, "GET", &path, ("accept", "*/*"), "").await;
            answer
                .push_str(&ask(&front, "POST", "/v1/scores", ("accept", "*/*"), &batch(key)).await);
            let peer = peer.name().strip_prefix("http://").unwrap();
            assert!(
                !answer.contains(peer),
                "{endpoint} tells the owner's address: {answer}"
            );
            answers.push((endpoint, answer));
        }
        answers.push(("peers: another group", {
            let path = format!("/_groupcache/nobody/{key}");
            ask(&self.peers, "GET", &path, ("gaggle-forwarded", "1"), "").await
        }));
        answers.push(("admin: owner", {
            let path = format!("/owner?key={key}");
            ask(&self.admin, "GET", &path, ("accept", "*/*"), "").await
        }));
        answers
    }

    /// What the front door answers.
    pub(crate) async fn front_answers(&self, key: &str) -> Answers {
        let (query, path) = (format!("/api?key={key}"), format!("/v1/scores/{key}"));
        let batch = batch(key);
        let mut answers = Vec::new();
        for (endpoint, method, path, body) in [
            ("front: /api", "GET", &*query, ""),
            ("front: /v1", "GET", &*path, ""),
            ("head: /v1", "HEAD", &*path, ""),
            ("batch", "POST", "/v1/scores", &*batch),
        ] {
            let answer = ask(&self.front, method, path, ("accept", "*/*"), body).await;
            answers.push((endpoint, answer));
        }
        answers
    }
}

fn batch(key: &str) -> String {
    format!(r#"{{"keys":["{key}"]}}"#)
}

async fn bind(router: Routes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn ask(
    router: &Routes,
    method: &str,
    path: &str,
    header: (&str, &str),
    body: &str,
) -> String {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header.0, header.1);
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers = &head.headers;
    format!(
        "{} {headers:?} {}",
        head.status,
        String::from_utf8_lossy(&body)
    )
}

/// A group all of whose keys that peer owns.
fn asking(peer: Arc<dyn Peer>) -> Group {
    Group::builder("scores")
        .origin_fn(|_: Key| async { Ok::<Option<Key>, std::io::Error>(None) })
        .router(Arc::new(AllTheirs(peer)))
        .build()
        .unwrap()
}

struct AllTheirs(Arc<dyn Peer>);

impl Router for AllTheirs {
    fn route(&self, _key: &[u8]) -> Route {
        Route::Theirs(Arc::clone(&self.0))
    }

    fn owner(&self, _key: &[u8]) -> Member {
        Member {
            name: self.0.name().into(),
            address: self.0.name().into(),
            is_self: false,
            up: true,
            requests: PeerRequests::default(),
        }
    }

    fn members(&self) -> Vec<Member> {
        vec![self.owner(b"")]
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![Arc::clone(&self.0)]
    }

    fn digest(&self) -> String {
        String::new()
    }
}

/// A peer that reports its origin's failure in full, as earlier releases did.
struct Talkative(&'static str);

#[async_trait]
impl Peer for Talkative {
    fn name(&self) -> &str {
        "http://owner:1"
    }

    async fn fetch(&self, _: Fetch<'_>) -> Result<Fetched, PeerError> {
        Err(PeerError::Verdict {
            peer: self.name().into(),
            verdict: Verdict::OriginFailed {
                message: self.0.to_owned(),
            },
        })
    }

    async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), PeerError> {
        Ok(())
    }
}
