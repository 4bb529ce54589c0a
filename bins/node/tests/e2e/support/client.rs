//! A client of the front door and the admin endpoints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{Node, PATIENCE};

/// Keeps connections, uses no proxy, and follows no redirects.
#[derive(Clone)]
pub(crate) struct Client(reqwest::Client);

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build();
        Self(client.unwrap())
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        addr: SocketAddr,
        target: &str,
        body: String,
    ) -> reqwest::Result<Answer> {
        let url = format!("http://{addr}{target}");
        let answer = self.0.request(method, url).body(body).send().await?;
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes().await?.into(),
        })
    }

    pub(crate) async fn get(&self, addr: SocketAddr, target: &str) -> Answer {
        self.send(Method::GET, addr, target, String::new())
            .await
            .unwrap()
    }

    /// A key of `scores`, from the front door.
    pub(crate) async fn key(&self, node: &Node, key: &[u8]) -> Answer {
        self.get(node.api, &format!("/v1/scores/{}", escape(key)))
            .await
    }

    /// Keys of `scores` in one request: the status and the value of each, in order.
    pub(crate) async fn batch(&self, node: &Node, keys: &[Vec<u8>]) -> Vec<(u16, Vec<u8>)> {
        let names: Vec<_> = keys.iter().map(|key| STANDARD.encode(key)).collect();
        let asked = json!({ "keys64": names });
        let rows = self.batch_rows(node, &asked).await;
        assert_eq!(rows.len(), keys.len());
        let sent_back = rows.iter().map(|row| row["key64"].as_str().unwrap());
        assert!(sent_back.eq(names.iter().map(String::as_str)));
        rows.iter().map(outcome).collect()
    }

    /// The rows of the answer to a batch.
    pub(crate) async fn batch_rows(&self, node: &Node, asked: &Value) -> Vec<Value> {
        let answer = self
            .send(Method::POST, node.api, "/v1/scores", asked.to_string())
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["results"].as_array().unwrap().clone()
    }

    /// The name of a key's owner, as that node sees it.
    pub(crate) async fn owner(&self, node: &Node, key: &[u8]) -> String {
        let target = format!("/owner?group=scores&key={}", escape(key));
        let answer = self.get(node.admin, &target).await.json();
        answer["owner"].as_str().unwrap().into()
    }

    /// A metric of one node, summed over the samples that have these labels.
    pub(crate) async fn metric(&self, node: &Node, name: &str, labels: &[&str]) -> u64 {
        let page = self.get(node.admin, "/metrics").await.text();
        let samples = page.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        samples
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

/// The status and the value in a row of a batch.
pub(crate) fn outcome(row: &Value) -> (u16, Vec<u8>) {
    let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
    let value = row["value"].as_str().unwrap_or_default();
    (status, STANDARD.decode(value).unwrap())
}

/// Percent-encodes all that is neither a letter nor a digit, the dot included.
pub(crate) fn escape(key: &[u8]) -> String {
    let mut escaped = String::new();
    for byte in key {
        match byte {
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(*byte)),
            byte => write!(escaped, "%{byte:02X}").unwrap(),
        }
    }
    escaped
}

/// Decodes the escapes of a strict sender.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}
