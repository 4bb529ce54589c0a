//! Nodes that answer by a script, and the binary that asks them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;

/// What a node answers to each request: a status, headers and a body. A request is written as its
/// method and raw target, followed by its `Cache-Control` and its `Authorization` in brackets and
/// its body if it has them, with blanks between them.
#[derive(Default, Clone)]
pub(crate) struct Script(HashMap<String, Answer>);

type Answer = (u16, Vec<(&'static str, &'static str)>, Bytes);

impl Script {
    pub(crate) fn on(self, request: &str, status: u16, body: impl Into<Bytes>) -> Self {
        self.with_headers(request, status, &[], body)
    }

    pub(crate) fn with_headers(
        mut self,
        request: &str,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: impl Into<Bytes>,
    ) -> Self {
        self.0
            .insert(request.to_owned(), (status, headers.to_vec(), body.into()));
        self
    }

    pub(crate) fn json(self, request: &str, status: u16, document: &Value) -> Self {
        self.on(request, status, document.to_string())
    }

    /// Serves the script, for as long as the test's runtime lives.
    pub(crate) async fn play(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(answer).with_state(Arc::new(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        addr
    }
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut asked = format!("{} {}", head.method, head.uri);
    for name in ["cache-control", "authorization"] {
        if let Some(value) = head.headers.get(name) {
            asked += &format!(" [{}]", value.to_str().unwrap());
        }
    }
    let body = axum::body::to_bytes(body, 4 << 20).await.unwrap();
    if !body.is_empty() {
        asked += &format!(" {}", String::from_utf8_lossy(&body));
    }
    let unexpected = || {
        (
            StatusCode::IM_A_TEAPOT.as_u16(),
            vec![],
            format!("unexpected: {asked}").into(),
        )
    };
    let (status, headers, body) = script.0.get(&asked).cloned().unwrap_or_else(unexpected);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }

    /// A failure: the exit code, nothing on stdout, and one line on stderr with each of the parts.
    pub(crate) fn assert_fails(&self, code: i32, parts: &[&str]) {
        assert_eq!((self.code, self.text()), (code, ""), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert!(self.stderr.starts_with("gagglectl: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {}", self.stderr);
        }
    }
}

pub(crate) fn command(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gagglectl"));
    command.args(args).kill_on_drop(true);
    for name in [
        "API_ADDR",
        "ADMIN_ADDR",
        "TOKEN",
        "TOKEN_FILE",
        "CA",
        "CERT",
        "KEY",
        "PLAIN",
    ] {
        command.env_remove(format!("GAGGLECTL_{name}"));
    }
    // Requests go to the nodes directly, whatever proxy the machine has.
    command
        .env("http_proxy", "http://127.0.0.1:1")
        .env("no_proxy", "");
    command
}

pub(crate) async fn run(command: &mut Command) -> Run {
    let output = command.output().await.unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) async fn ctl(args: &[&str]) -> Run {
    run(&mut command(args)).await
}

/// An address that refuses connections for as long as the socket lives.
pub(crate) fn refusing() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap().to_string();
    (socket, addr)
}

/// A node that accepts connections and answers with these bytes; then it closes the connection, or
/// hangs.
pub(crate) async fn raw(bytes: &'static [u8], hang_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(bytes).await;
            if !hang_up {
                held.push(stream);
            }
        }
    });
    addr
}
