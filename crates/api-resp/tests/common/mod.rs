//! A port over groups in memory, and a client that sends bytes.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;

use std::time::Duration;

use bytes::Bytes;
use gaggle_api_resp::{Drained, Monitor, Options, RespServer};
use gaggle_group::{Group, Groups, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes; a test that hits it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The data of all tests: what Redis is given where it stands beside.
pub(crate) fn data() -> Vec<(&'static [u8], Vec<u8>)> {
    vec![
        (b"Tom", b"630".to_vec()),
        (b"Jack", b"five hundred".to_vec()),
        (b"empty", Vec::new()),
        (b"binary\r\n\0\xff", b"\0\r\n\xff".to_vec()),
        (b"long", vec![b'l'; 100]),
        (
            b"large",
            (0..100_000_u32).map(|n| (n % 251) as u8).collect(),
        ),
        (b"other:Tom", b"with a colon".to_vec()),
        (b"", b"of the empty key".to_vec()),
    ]
}

pub(crate) fn find(key: &[u8]) -> Option<Bytes> {
    let data = data();
    let found = data.into_iter().find(|(known, _)| *known == key);
    found.map(|(_, value)| value.into())
}

/// A group with the data.
pub(crate) fn scores() -> Group {
    Group::builder("scores")
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(find(&key)) })
        .build()
        .unwrap()
}

/// A group on an origin of the test's.
pub(crate) fn group(name: &str, origin: Arc<dyn Origin>) -> Group {
    Group::builder(name).origin_arc(origin).build().unwrap()
}

pub(crate) struct Port {
    pub(crate) addr: SocketAddr,
    pub(crate) monitor: Monitor,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Drained>,
}

impl Port {
    pub(crate) async fn of(groups: impl IntoIterator<Item = Group>, options: Options) -> Self {
        let server = RespServer::bind("127.0.0.1:0", options).await.unwrap();
        let addr = server.local_addr();
        let serving = server.groups(&Groups::new(groups).unwrap()).unwrap();
        let monitor = serving.monitor();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serving.serve(async {
            let _ = stopped.await;
        }));
        Self {
            addr,
            monitor,
            stop: Some(stop),
            serving,
        }
    }

    pub(crate) async fn open(&self) -> Client {
        Client(TcpStream::connect(self.addr).await.unwrap())
    }

    /// What a new connection is answered to these bytes, until it is closed.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.open().await;
        client.send(bytes).await;
        client.end().await
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn drained(self) -> Drained {
        timeout(LONG, self.serving).await.unwrap().unwrap()
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(LONG, self.0.write_all(bytes))
            .await
            .unwrap()
            .unwrap();
    }

    /// Sends no more, and reads to the end.
    pub(crate) async fn end(mut self) -> Vec<u8> {
        // It may be closed already.
        let _ = self.0.shutdown().await;
        self.rest().await
    }

    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut answer = Vec::new();
        let mut buf = vec![0; 64 << 10];
        loop {
            match timeout(LONG, self.0.read(&mut buf)).await.unwrap() {
                Ok(0) | Err(_) => return answer,
                Ok(n) => answer.extend_from_slice(&buf[..n]),
            }
        }
    }

    /// Reads exactly that.
    pub(crate) async fn expect(&mut self, answer: impl AsRef<[u8]>) {
        let answer = answer.as_ref();
        let mut got = vec![0; answer.len()];
        let read = timeout(LONG, self.0.read_exact(&mut got)).await.unwrap();
        let shown = || String::from_utf8_lossy(&got).into_owned();
        read.unwrap_or_else(|error| panic!("{error}: {}", shown()));
        assert_eq!(
            String::from_utf8_lossy(&got),
            String::from_utf8_lossy(answer)
        );
    }

    pub(crate) async fn ask(&mut self, command: &str, answer: impl AsRef<[u8]>) {
        self.send(format!("{command}\r\n").as_bytes()).await;
        self.expect(answer).await;
    }
}

/// A request as clients send it.
pub(crate) fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}
