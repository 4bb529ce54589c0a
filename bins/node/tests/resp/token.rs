//! A token that is replaced while clients are connected.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{LONG, TOKEN, World, start_in};

const NEW: &str = "another-token-of-more-than-16-bytes";

const REFUSED: &str = "-NOAUTH Authentication required.\r\n";
const VALUE: &str = "$3\r\n630\r\n";

/// A client's connection.
struct Client(TcpStream);

impl Client {
    async fn open(addr: SocketAddr, token: &str) -> Self {
        let mut client = Self(TcpStream::connect(addr).await.unwrap());
        client.ask(&format!("AUTH {token}"), "+OK\r\n").await;
        client.ask("GET Tom", VALUE).await;
        client
    }

    async fn ask(&mut self, command: &str, answer: &str) {
        let mut got = vec![0; answer.len()];
        let asked = timeout(LONG, async {
            let command = format!("{command}\r\n");
            self.0.write_all(command.as_bytes()).await.unwrap();
            self.0.read_exact(&mut got).await.unwrap();
        });
        asked.await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), answer, "{command}");
    }
}

/// Has the node read its token file again, which then has these lines.
async fn replace(world: &World, lines: &str, accepted: &str) {
    std::fs::write(world.dir.path().join("token"), lines).unwrap();
    let client = reqwest::Client::builder().no_proxy().timeout(LONG);
    let url = format!("http://{}/reload", world.node.admin);
    let request = client.build().unwrap().post(url).bearer_auth(accepted);
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_withdrawn_ends_the_rights_of_connections() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let tables = format!("[security]\ntoken-file = {file:?}\n");
    let world = start_in(dir, "", &tables).await;

    let mut old = Client::open(world.resp, TOKEN).await;
    let mut silent = Client::open(world.resp, TOKEN).await;
    // The steps of a rotation: both tokens are accepted, and then the new one alone.
    replace(&world, &format!("{TOKEN}\n{NEW}"), TOKEN).await;
    let mut new = Client::open(world.resp, NEW).await;
    old.ask("SET Tom 630", "+OK\r\n").await;
    replace(&world, &format!("{NEW}\n{TOKEN}"), TOKEN).await;
    old.ask("GET Tom", VALUE).await;
    new.ask("GET Tom", VALUE).await;
    replace(&world, NEW, NEW).await;

    for command in ["GET Tom", "SET Tom 1", "MGET Tom", "PING", "INFO"] {
        old.ask(command, REFUSED).await;
    }
    // It was idle all the time.
    silent.ask("DEL Tom", REFUSED).await;
    new.ask("GET Tom", VALUE).await;
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    old.ask(&format!("AUTH {TOKEN}"), wrong).await;
    old.ask(&format!("AUTH {NEW}"), "+OK\r\n").await;
    old.ask("GET Tom", VALUE).await;

    // A token that is accepted once more has to be given once more.
    replace(&world, &format!("{NEW}\n{TOKEN}"), NEW).await;
    silent.ask("GET Tom", REFUSED).await;
    silent.ask(&format!("AUTH {TOKEN}"), "+OK\r\n").await;
    silent.ask("GET Tom", VALUE).await;
}
