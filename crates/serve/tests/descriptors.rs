//! A server whose process has run out of descriptors. The limit is the process's: there is one
//! test here.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs::File, io::ErrorKind, time::Duration};

use axum::{Router, routing::get};
use gaggle_serve::{Options, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};

const HANG: Duration = Duration::from_secs(60 * 60);

async fn get_hello(client: &mut TcpStream) {
    let request = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let read = timeout(HANG, client.read_buf(&mut answer)).await;
        assert_ne!(read.expect("it hangs").unwrap(), 0, "it is closed");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_for_new_ones() {
    let limit = Rlimit {
        current: Some(100),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let options = Options {
        keep_alive_idle: Duration::MAX,
        header_read_timeout: Duration::MAX,
        ..Options::default()
    };
    let server = Server::bind("127.0.0.1:0", options).await.unwrap();
    let addr = server.local_addr();
    let (_stop, stopped) = oneshot::channel::<()>();
    let router = Router::new().route("/", get(async || "hello"));
    tokio::spawn(server.serve(router, async {
        let _ = stopped.await;
    }));

    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.set_nodelay(true).unwrap();
        get_hello(&mut client).await;
        clients.push(client);
        sleep(Duration::from_secs(1)).await;
    }
    let mut files = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::NotFound);
                break;
            }
        }
    }
    // One descriptor for the client's end. None is left for the server's.
    files.pop();
    let mut newcomer = TcpStream::connect(addr).await.unwrap();
    get_hello(&mut newcomer).await;

    // That of the client which was idle for longest.
    let closed = clients[0].read(&mut [0]).await.unwrap();
    assert_eq!(closed, 0);
    // The system takes a descriptor before it looks for a connection: one more connection may be
    // closed without need, which leaves a descriptor free. No more than that.
    for client in clients.iter_mut().skip(2) {
        get_hello(client).await;
    }
}
