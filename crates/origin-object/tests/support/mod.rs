//! An S3 server on loopback: s3s over a directory, with signatures checked. A layer in front of it
//! adds what s3s-fs lacks, the conditions of RFC 9110, and the faults that a test sets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gaggle_group::{Key, Load, Loaded, Origin, OriginError};
use gaggle_origin_object::{ObjectOptions, ObjectOrigin};
use http::header::{ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::dto::{PutObjectInput, StreamingBlob};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3 as _, S3Request};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) const BUCKET: &str = "bucket";
pub(crate) const ID: &str = "AKIDTESTTESTTEST";
pub(crate) const SECRET: &str = "hunter2-hunter2-hunter2";

/// How long a test waits for an expected result.
const PATIENCE: Duration = Duration::from_secs(20);

/// The handling of a request.
#[derive(Clone)]
pub(crate) enum Act {
    Serve,
    /// Answers with this status and error code; with an empty code, like a web server that is no
    /// store.
    Status(u16, &'static str),
    /// Breaks the connection off after that many bytes of the body.
    Cut(usize),
    /// Never answers.
    Silent,
    /// Sends nothing more after that many bytes of the body.
    SilentAfter(usize),
    /// Puts another object in the place of the one asked for, and serves that.
    Replace(Vec<u8>),
    /// Answers after that time, and then sends 64 KiB each time that it has passed again.
    Slow(Duration, Duration),
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

type Hook = Arc<dyn Fn(&Asked, usize) -> Act + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

struct State {
    service: S3Service,
    files: FileSystem,
    hook: Mutex<Hook>,
    asked: Mutex<Vec<Asked>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    connections: AtomicUsize,
}

/// The server, with an empty bucket.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
    state: Arc<State>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(dir.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ID, SECRET));
        let state = Arc::new(State {
            service: builder.build(),
            files: FileSystem::new(dir.path()).unwrap(),
            hook: Mutex::new(Arc::new(|_, _| Act::Serve)),
            asked: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, Arc::clone(&state)));
        Self {
            address,
            dir,
            state,
        }
    }

    /// Options with the right keys.
    pub(crate) fn options(&self) -> ObjectOptions {
        ObjectOptions {
            url: format!("s3://{BUCKET}/pre"),
            endpoint: Some(format!("http://{}", self.address)),
            allow_http: true,
            access_key_id: Some(ID.to_owned()),
            secret_access_key: Some(SECRET.to_owned()),
            ..ObjectOptions::default()
        }
    }

    pub(crate) fn origin(&self) -> ObjectOrigin {
        ObjectOrigin::new(self.options()).unwrap()
    }

    /// Puts an object in the bucket, without a request.
    pub(crate) async fn put(&self, name: &str, content: impl Into<Bytes>) {
        self.state.put(name, content.into(), |_| {}).await;
    }

    pub(crate) async fn put_with(
        &self,
        name: &str,
        content: &str,
        with: impl FnOnce(&mut PutObjectInput),
    ) {
        self.state
            .put(name, Bytes::copy_from_slice(content.as_bytes()), with)
            .await;
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(BUCKET).join(name)
    }

    /// From now on `hook` decides how each request is handled, by its number from 0 on.
    pub(crate) fn acts(&self, hook: impl Fn(&Asked, usize) -> Act + Send + Sync + 'static) {
        *self.state.hook.lock().unwrap() = Arc::new(hook);
        self.state.asked.lock().unwrap().clear();
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// The most requests that were answered concurrently.
    pub(crate) fn most_under_way(&self) -> usize {
        self.state.most_under_way.load(SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }
}

/// Waits until something holds, with a deadline.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn load(origin: &ObjectOrigin, key: &str) -> Result<Loaded, OriginError> {
    let key = Key::copy_from_slice(key.as_bytes());
    let load = origin.load(Load::new(&key, 64 << 20));
    tokio::time::timeout(PATIENCE, load).await.unwrap()
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            state.connections.fetch_add(1, SeqCst);
            let service = service_fn(|request| state.answer(request));
            // It fails where a test breaks it off.
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await,
            );
            state.connections.fetch_sub(1, SeqCst);
        });
    }
}

impl State {
    async fn put(&self, name: &str, content: Bytes, with: impl FnOnce(&mut PutObjectInput)) {
        let body = StreamingBlob::from(Body::from(content));
        let mut input = PutObjectInput::builder()
            .bucket(BUCKET.to_owned())
            .key(name.to_owned())
            .body(Some(body))
            .build()
            .unwrap();
        with(&mut input);
        let request = S3Request {
            input,
            method: Method::PUT,
            uri: http::Uri::from_static("/"),
            headers: HeaderMap::new(),
            extensions: http::Extensions::new(),
            credentials: None,
            region: None,
            service: None,
            trailing_headers: None,
        };
        self.files.put_object(request).await.unwrap();
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let asked = Asked {
            method: request.method().clone(),
            target: request.uri().to_string(),
            headers: request.headers().clone(),
        };
        let number = {
            let mut all = self.asked.lock().unwrap();
            all.push(asked.clone());
            all.len() - 1
        };
        let hook = Arc::clone(&self.hook.lock().unwrap());
        let act = hook(&asked, number);
        match &act {
            Act::Status(status, code) => return Ok(refusal(*status, code)),
            Act::Silent => return std::future::pending().await,
            Act::Replace(content) => {
                let path = request.uri().path();
                let name = path.strip_prefix(&format!("/{BUCKET}/")).unwrap();
                self.put(name, content.clone().into(), |_| {}).await;
            }
            Act::Slow(latency, _) => tokio::time::sleep(*latency).await,
            _ => {}
        }
        let answer = match self.service.call(request.map(Body::from)).await {
            Ok(answer) => conditional(&asked, answer),
            Err(error) => panic!("{error:?}"),
        };
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let guard = UnderWay::new(self);
        Ok(Response::from_parts(parts, sent(body, act, guard)))
    }
}

/// An answer that is being sent.
struct UnderWay(Arc<State>);

impl UnderWay {
    fn new(state: &Arc<State>) -> Self {
        let now = state.under_way.fetch_add(1, SeqCst) + 1;
        state.most_under_way.fetch_max(now, SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
    }
}

fn sent(body: Bytes, act: Act, guard: UnderWay) -> UnsyncBoxBody<Bytes, std::io::Error> {
    const PIECE: usize = 64 << 10;
    let pieces = stream::try_unfold((body, 0, guard), move |(mut body, sent, guard)| {
        let act = act.clone();
        async move {
            let most = match act {
                Act::Cut(after) if sent >= after => {
                    return Err(std::io::Error::other("cut off"));
                }
                Act::SilentAfter(after) if sent >= after => std::future::pending().await,
                Act::Cut(after) | Act::SilentAfter(after) => PIECE.min(after - sent),
                Act::Slow(_, pause) if !body.is_empty() => {
                    tokio::time::sleep(pause).await;
                    PIECE
                }
                _ => PIECE,
            };
            if body.is_empty() {
                return Ok(None);
            }
            let piece = body.split_to(most.min(body.len()));
            let sent = sent + piece.len();
            // So that the end of the connection does not discard bytes that were sent before it.
            tokio::task::yield_now().await;
            Ok(Some((Frame::data(piece), (body, sent, guard))))
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

fn refusal(status: u16, code: &str) -> Answer {
    let body = match code {
        "" => format!("<html><body><h1>{status}</h1></body></html>"),
        code => format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"),
    };
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// Evaluates the conditions that s3s-fs ignores (RFC 9110, section 13.2.2).
fn conditional(asked: &Asked, answer: Response<Body>) -> Response<Body> {
    if !answer.status().is_success() || asked.method != Method::GET {
        return answer;
    }
    let told = |name| answer.headers().get(name).map(|it| it.to_str().unwrap());
    let status = if asked
        .header(IF_MATCH)
        .is_some_and(|tag| told(ETAG) != Some(tag))
    {
        StatusCode::PRECONDITION_FAILED
    } else if let Some(tag) = asked.header(IF_NONE_MATCH) {
        if told(ETAG) != Some(tag) {
            return answer;
        }
        StatusCode::NOT_MODIFIED
    } else if let Some(date) = asked.header(IF_MODIFIED_SINCE) {
        if told(LAST_MODIFIED) != Some(date) {
            return answer;
        }
        StatusCode::NOT_MODIFIED
    } else {
        return answer;
    };
    let (mut parts, _) = answer.into_parts();
    parts.status = status;
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

pub(crate) fn range(asked: &Asked) -> Option<String> {
    asked.header(RANGE).map(str::to_owned)
}
