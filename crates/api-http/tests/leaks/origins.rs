//! Origins that fail, each in every possible way.

use std::any::Any;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Group, Origin, OriginError, OriginFault};
use gaggle_origin_files::FilesOrigin;
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use gaggle_origin_sql::{SqliteOptions, SqliteOrigin};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use crate::KEY;

/// The only text that clients may get.
pub(crate) const OTHER: &str = "the reason is in the log of the node that asked it";

const DSN: &str = "postgres://root:hunter2@db.internal/scores";

/// A group whose origin fails, and the expected texts.
pub(crate) struct Failing {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// What no answer may hold.
    pub(crate) secrets: Vec<String>,
    /// What the answers say of it.
    pub(crate) fault: &'static str,
    /// What the log has.
    pub(crate) logged: Vec<String>,
    /// Resources that must live as long.
    pub(crate) _kept: Box<dyn Any>,
}

fn of(origin: impl Origin) -> Group {
    Group::builder("scores").origin(origin).build().unwrap()
}

pub(crate) async fn every_origin() -> Vec<Failing> {
    let mut all = http_origins().await;
    all.push(sqlite().await);
    all.extend(files());
    all.extend(closures());
    all
}

/// A service that answers each request with these bytes, and then closes the connection unless it
/// should stay open.
async fn service(answer: &'static str, go_on: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // What fails is what the origin sees.
                while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                    if !go_on {
                        break;
                    }
                }
            });
        }
    });
    address
}

async fn http_origins() -> Vec<Failing> {
    let refusing = TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = refusing.local_addr().unwrap();
    let secret = "HTTP/1.1 500 db.internal\r\ncontent-length: 7\r\n\r\nhunter2";
    let redirect =
        "HTTP/1.1 302 Found\r\nlocation: http://db.internal/\r\ncontent-length: 0\r\n\r\n";
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhunter2";
    let ways = [
        ("http 500", service(secret, true).await, "answered 500"),
        ("http 302", service(redirect, true).await, "answered 302"),
        ("http refused", refused, "cannot be connected to"),
        ("http silent", service("", true).await, "timed out"),
        (
            "http broken",
            service(broken, false).await,
            "the connection broke off",
        ),
        ("http stuck", service(broken, true).await, "timed out"),
        (
            "http closed",
            service("", false).await,
            "the connection broke off",
        ),
        (
            "http nonsense",
            service("hunter2\r\n\r\n", false).await,
            "the connection broke off",
        ),
    ];
    let mut kept = Some(refusing);
    let failing = ways.map(|(name, address, fault)| {
        let origin = HttpOrigin::new(HttpOptions {
            url: format!("http://{address}/secret-path/{{key}}?token=hunter2"),
            headers: vec![("x-secret".to_owned(), "hunter2-header".to_owned())],
            connect_timeout: Duration::from_millis(50),
            read_timeout: Duration::from_millis(50),
            ..HttpOptions::default()
        });
        // The log has the host and port, and nothing of the path: a path may hold a secret.
        let place = format!("http://{address}/");
        Failing {
            name,
            group: of(origin.unwrap()),
            secrets: [
                "hunter2",
                "secret-path",
                "db.internal",
                &address.to_string(),
            ]
            .map(str::to_owned)
            .to_vec(),
            fault,
            logged: vec!["the origin failed".to_owned(), place],
            _kept: Box::new(kept.take_if(|_| address == refused)),
        }
    });
    failing.into()
}

async fn sqlite() -> Failing {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret-database");
    // An empty file is a database without tables.
    std::fs::write(&path, "").unwrap();
    let options = SqliteOptions {
        path: path.clone(),
        query: "SELECT CASE ?1 WHEN 'Zebedee' THEN json(?1) END AS secret_column".to_owned(),
        ..SqliteOptions::default()
    };
    let origin = SqliteOrigin::open(options).await.unwrap();
    let path = path.to_str().unwrap().to_owned();
    Failing {
        name: "sqlite",
        group: of(origin),
        secrets: [&*path, "sqlite", "secret", "malformed", "SELECT"]
            .map(str::to_owned)
            .to_vec(),
        fault: OTHER,
        logged: vec![path, "malformed JSON".to_owned()],
        _kept: Box::new(dir),
    }
}

#[cfg(unix)]
fn files() -> Vec<Failing> {
    let failing = |name, target: fn(&TempDir) -> std::path::PathBuf| {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(target(&dir), dir.path().join(KEY)).unwrap();
        let root = dir.path().to_str().unwrap().to_owned();
        Failing {
            name,
            group: of(FilesOrigin::open(dir.path()).unwrap()),
            secrets: vec![root.clone(), "filesystem".to_owned(), "symbolic".to_owned()],
            fault: OTHER,
            logged: vec![root],
            _kept: Box::new(dir),
        }
    };
    vec![
        failing("file outside of the root", |_| "/etc/passwd".into()),
        failing("file that is a loop", |dir| {
            dir.path().join(KEY).file_name().unwrap().into()
        }),
    ]
}

#[cfg(not(unix))]
fn files() -> Vec<Failing> {
    Vec::new()
}

fn bug() -> Result<Option<Bytes>, std::io::Error> {
    panic!("{DSN}")
}

fn closures() -> Vec<Failing> {
    let closure = |name, group, fault, logged| Failing {
        name,
        group,
        secrets: ["postgres", "hunter2", "db.internal", "root"]
            .map(str::to_owned)
            .to_vec(),
        fault,
        logged,
        _kept: Box::new(()),
    };
    let plain = Group::builder("scores")
        .origin_fn(|_: Bytes| async { Err::<Option<Bytes>, _>(DSN) })
        .build()
        .unwrap();
    let known = Group::builder("scores")
        .origin_fn(|_: Bytes| async {
            let failure = OriginError::failed(DSN).known_as(OriginFault::Unusable);
            Err::<Option<Bytes>, _>(failure)
        })
        .build()
        .unwrap();
    let panics = Group::builder("scores")
        .origin_fn(|_: Bytes| async { bug() })
        .build()
        .unwrap();
    vec![
        closure("a closure", plain, OTHER, vec![DSN.to_owned()]),
        closure(
            "a closure that knows",
            known,
            "its answer cannot be used",
            vec![DSN.to_owned()],
        ),
        // The process's panic hook has the text of a panic.
        closure("a panic", panics, "the load panicked", Vec::new()),
    ]
}
