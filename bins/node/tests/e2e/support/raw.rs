//! Requests written by hand: URL libraries resolve `..`, `%2E%2E` included, and the tests must
//! not.

use std::net::SocketAddr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use super::client::Answer;

/// GET of exactly that target.
pub(crate) async fn get(addr: SocketAddr, target: &str) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(PATIENCE, exchange).await.unwrap();
    let answer = read(&answer).unwrap();
    assert_eq!(
        answer.header("content-length"),
        answer.body.len().to_string()
    );
    answer
}

/// The bytes that arrived until the connection was closed, as an answer; `None` if they are not
/// one.
pub(crate) fn read(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n")?;
    let mut head = std::str::from_utf8(&answer[..end]).ok()?.split("\r\n");
    let status = head.next()?.split(' ').nth(1)?;
    let mut headers = HeaderMap::new();
    for line in head {
        let (name, value) = line.split_once(": ")?;
        headers.append(
            name.parse::<HeaderName>().ok()?,
            HeaderValue::from_str(value).ok()?,
        );
    }
    Some(Answer {
        status: status.parse().ok()?,
        headers,
        body: answer[end + 4..].to_vec(),
    })
}
