//! One connection to a front door. It needs less work than a whole client, so that it measures the
//! node.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::client::escape;

/// Sends one request after another, and connects again after an error.
pub(crate) struct Reader {
    addr: SocketAddr,
    patience: Duration,
    stream: Option<BufReader<TcpStream>>,
}

/// The answer to a get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) status: u16,
    pub(crate) value: String,
    /// Whether it came from the asked node's own memory.
    pub(crate) hit: bool,
}

impl Read {
    pub(crate) fn is(&self, value: &str) -> bool {
        (self.status, self.value.as_str()) == (200, value)
    }

    /// The row's value as the node returns it; `None` if there is no such row.
    pub(crate) fn row(&self) -> Option<&str> {
        match self.status {
            200 => Some(&self.value),
            404 => None,
            status => panic!("{status}: {}", self.value),
        }
    }
}

impl Reader {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            patience: PATIENCE,
            stream: None,
        }
    }

    /// Gives up an answer after that time.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A key of `scores`.
    pub(crate) async fn get(&mut self, key: &str) -> Result<Read> {
        self.get_of("scores", key).await
    }

    pub(crate) async fn get_of(&mut self, group: &str, key: &str) -> Result<Read> {
        let key = escape(key.as_bytes());
        self.ask(&format!(
            "GET /v1/{group}/{key} HTTP/1.1\r\nHost: gaggle\r\n\r\n"
        ))
        .await
    }

    /// Keys of `scores` in one request. Only the status of the answer and the number of keys with
    /// a value are read.
    pub(crate) async fn batch(&mut self, keys: &[String]) -> Result<usize> {
        let body = serde_json::json!({ "keys": keys }).to_string();
        let head = "POST /v1/scores HTTP/1.1\r\nHost: gaggle\r\nContent-Length:";
        let answer = self
            .ask(&format!("{head} {}\r\n\r\n{body}", body.len()))
            .await?;
        assert_eq!(answer.status, 200, "{}", answer.value);
        Ok(answer.value.matches("\"status\":200").count())
    }

    async fn ask(&mut self, request: &str) -> Result<Read> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.addr).await?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let asked = timeout(self.patience, exchange(&mut stream, request)).await;
        let read = asked.map_err(|_| Error::from(ErrorKind::TimedOut))??;
        self.stream = Some(stream);
        Ok(read)
    }
}

async fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> Result<Read> {
    stream.get_mut().write_all(request.as_bytes()).await?;
    let mut line = String::new();
    let (mut status, mut length, mut chunked, mut hit) = (None, 0, false, false);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end().to_ascii_lowercase();
        if text.is_empty() {
            break;
        }
        if status.is_none() {
            status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        } else if let Some(value) = text.strip_prefix("content-length: ") {
            length = value.parse().map_err(|_| ErrorKind::InvalidData)?;
        } else if let Some(value) = text.strip_prefix("cache-status: ") {
            hit = value.starts_with("gaggle; hit");
        } else if text == "transfer-encoding: chunked" {
            chunked = true;
        }
    }
    let body = if chunked {
        chunks(stream).await?
    } else {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        body
    };
    Ok(Read {
        status: status.ok_or(ErrorKind::InvalidData)?,
        value: String::from_utf8(body).map_err(|_| ErrorKind::InvalidData)?,
        hit,
    })
}

async fn chunks(stream: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let (mut body, mut line) = (Vec::new(), String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let length =
            usize::from_str_radix(line.trim_end(), 16).map_err(|_| ErrorKind::InvalidData)?;
        let begin = body.len();
        body.resize(begin + length + 2, 0);
        stream.read_exact(&mut body[begin..]).await?;
        body.truncate(begin + length);
        if length == 0 {
            return Ok(body);
        }
    }
}
