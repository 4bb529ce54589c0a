//! One request to one node, bounded in time and in bytes.

use std::error::Error as _;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;

use crate::outcome::Failure;
use crate::output::{self, shown};

/// The largest JSON document or line of text that a node sends: `/status` in a ring of ten thousand members has some MiB.
pub(crate) const MAX_DOCUMENT: usize = 16 << 20;

/// A connection that takes longer is taken for a node that is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// `HOST:PORT` of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addr(String);

#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    timeout: Duration,
}

/// A node's answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) addr: Addr,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl FromStr for Addr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "HOST:PORT is expected, such as 127.0.0.1:9990";
        // What a URL takes for anything but host and port would move the request elsewhere.
        if text.contains(['/', '\\', '@', '?', '#']) || text.contains(char::is_whitespace) {
            return Err(EXPECTED);
        }
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let port: u16 = port.parse().map_err(|_| EXPECTED)?;
        // A node that listens on all addresses, as the shared variables may say, is asked on this machine's own.
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            host => host,
        };
        let addr = Self(format!("{host}:{port}"));
        if host.is_empty() || Url::parse(&addr.url("/")).is_err() {
            return Err(EXPECTED);
        }
        Ok(addr)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Addr {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.0)
    }
}

impl Client {
    /// A client whose requests take `timeout` at most. It reads no proxy variables and follows no redirects: the addresses
    /// are those of the nodes themselves.
    pub(crate) fn new(timeout: Duration) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .build()
            .map_err(|error| Failure::Failed(format!("no HTTP client: {error}")))?;
        Ok(Self { http, timeout })
    }

    /// Asks a node and reads its answer, whatever the status, up to `limit` bytes.
    pub(crate) async fn ask(
        &self,
        method: Method,
        addr: &Addr,
        target: &str,
        limit: usize,
    ) -> Result<Reply, Failure> {
        self.send(self.request(method, addr, target), addr, limit)
            .await
    }

    /// A request to a node, for [`send`](Self::send): with headers and a body, where it needs them.
    pub(crate) fn request(&self, method: Method, addr: &Addr, target: &str) -> RequestBuilder {
        self.http.request(method, addr.url(target))
    }

    /// Sends a request to the node that it was made for, and reads the answer as [`ask`](Self::ask) does.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        addr: &Addr,
        limit: usize,
    ) -> Result<Reply, Failure> {
        let lost = |error| self.lost(addr, &error);
        let mut response = request.send().await.map_err(lost)?;
        let body = read(&mut response, limit)
            .await
            .map_err(lost)?
            .ok_or_else(|| {
                Failure::Failed(format!(
                    "{addr}: the answer is over the limit of {limit} bytes"
                ))
            })?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        Ok(Reply {
            addr: addr.clone(),
            status,
            headers,
            body,
        })
    }

    /// A request that got no whole answer. The URL, which holds the key, is left out.
    fn lost(&self, addr: &Addr, error: &reqwest::Error) -> Failure {
        let reason = if error.is_timeout() && error.is_connect() {
            format!(
                "cannot be reached: no connection within {:?}",
                CONNECT_TIMEOUT.min(self.timeout)
            )
        } else if error.is_timeout() {
            format!("no whole answer within {:?}", self.timeout)
        } else {
            let verb = if error.is_connect() {
                "cannot be reached"
            } else {
                "the connection broke"
            };
            format!("{verb}: {}", cause(error))
        };
        Failure::Unreachable(format!("{addr}: {reason}"))
    }
}

/// The answer of the first node that can be reached. Says which could not.
pub(crate) async fn first_of<T>(
    addrs: &[Addr],
    ask: impl AsyncFn(&Addr) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut last = Failure::Usage("no address to ask".to_owned());
    for (at, addr) in addrs.iter().enumerate() {
        if at > 0 {
            output::note(&last.to_string());
        }
        match ask(addr).await {
            Err(failure @ Failure::Unreachable(_)) => last = failure,
            answer => return answer,
        }
    }
    Err(last)
}

/// The body, or `None` if it is over the limit.
async fn read(response: &mut Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > limit - body.len() {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The innermost cause: what the system said, without the layers that passed it on.
fn cause(error: &reqwest::Error) -> String {
    let Some(mut cause) = error.source() else {
        return "no reason given".to_owned();
    };
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    shown(cause.to_string().as_bytes())
}

impl Reply {
    /// The answer if it is 200, else what the node says.
    pub(crate) fn ok(self) -> Result<Self, Failure> {
        if self.status == StatusCode::OK {
            Ok(self)
        } else {
            Err(self.refusal())
        }
    }

    /// The body as a JSON document.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let addr = &self.addr;
            Failure::Failed(format!("{addr}: the answer is not understood: {error}"))
        })
    }

    /// What an answer other than 200 means.
    pub(crate) fn refusal(&self) -> Failure {
        let Self {
            addr, status, body, ..
        } = self;
        let line = shown(body);
        match status.as_u16() {
            // Only the node's own words: 404 from a server that is no Gaggle node says nothing of the key. They are read from
            // the body, for a long key is cut off in the line.
            404 if body.trim_ascii_end().ends_with(b" not found") => {
                Failure::NotFound(format!("{addr}: {line}"))
            }
            404 if body.starts_with(b"no such group: ") => {
                Failure::Usage(format!("{addr}: {line}"))
            }
            400 | 414 => Failure::Usage(format!("{addr}: {line}")),
            _ if line.is_empty() => Failure::Failed(format!("{addr}: answered {status}")),
            _ => Failure::Failed(format!("{addr}: answered {status}: {line}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port_and_nothing_more() {
        for (text, addr) in [
            ("127.0.0.1:9999", "127.0.0.1:9999"),
            ("[::1]:80", "[::1]:80"),
            ("node-1.example:9990", "node-1.example:9990"),
            ("0.0.0.0:9990", "127.0.0.1:9990"),
            ("[::]:9990", "[::1]:9990"),
        ] {
            assert_eq!(text.parse(), Ok(Addr(addr.to_owned())), "{text}");
        }
        for text in [
            "",
            "localhost",
            ":9990",
            "a:",
            "a:0x1",
            "a:65536",
            "::1:9990",
            "http://a:1",
            "a:1/",
            "u@a:1",
            "a?b:1",
            "a b:1",
        ] {
            assert!(text.parse::<Addr>().is_err(), "{text}");
        }
    }
}
