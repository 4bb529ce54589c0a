//! One connection to one node, kept from request to request.
//!
//! Requests are written by hyper's own client, without a pool, a resolver or redirects: the load
//! has to cost less than the answers, on the processors that both share.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{HOST, HeaderValue, InvalidHeaderValue};
use hyper::{Request, Response, StatusCode};
use rustls::ClientConfig;
use tokio::time;

use super::reason::class_of;
use super::recorder::{End, Lost, Stage};
use super::value::Value;
use crate::addr::Addr;
use crate::connect::Way;
use crate::outcome::Failure;

/// How much of the body of an error is kept, to tell its class.
const MAX_SAID: usize = 512;

type Sender = SendRequest<Empty<Bytes>>;

/// A front door, its name resolved once.
#[derive(Debug)]
pub(super) struct FrontDoor {
    way: Way,
    host: HeaderValue,
}

#[derive(Debug)]
pub(super) struct Connection {
    door: Arc<FrontDoor>,
    /// `None` before the first request, and after one that failed.
    sender: Option<Sender>,
}

impl FrontDoor {
    /// Resolves the address, and connects to it once: a bench of an absent node reports that and
    /// ends.
    pub(super) async fn find(
        addr: &Addr,
        tls: &Arc<ClientConfig>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let unreachable = |error: &dyn std::fmt::Display| {
            Failure::Unreachable(format!("{addr}: cannot be reached: {error}"))
        };
        let found = time::timeout(timeout, async {
            let way = Way::to(addr, tls).await?;
            way.connect::<Empty<Bytes>>().await?;
            io::Result::Ok(way)
        });
        let way = match found.await {
            Ok(way) => way.map_err(|error| unreachable(&error))?,
            Err(_) => return Err(unreachable(&format!("no connection within {timeout:?}"))),
        };
        let host = HeaderValue::from_str(addr.authority())
            .map_err(|error: InvalidHeaderValue| unreachable(&error))?;
        Ok(Self { way, host })
    }

    async fn connect(&self) -> Result<Sender, End> {
        let sender = self.way.connect().await;
        sender.map_err(|error| End::Lost(Lost::Connect(error.kind())))
    }
}

impl Connection {
    pub(super) fn new(door: Arc<FrontDoor>) -> Self {
        Self { door, sender: None }
    }

    /// Sends the request, reads the answer to its end and, given the value, compares it. Opens the
    /// connection first if necessary.
    pub(super) async fn get(
        &mut self,
        target: &str,
        key: &str,
        value: Option<Value>,
        timeout: Duration,
    ) -> End {
        // The sender is returned with a whole answer only: dropping it closes a connection whose
        // answer is outstanding.
        let kept = self.sender.take();
        let mut stage = Stage::Connecting;
        let asked = time::timeout(timeout, async {
            let (sender, response) = ask(&self.door, kept, target, &mut stage).await?;
            stage = Stage::Reading;
            let end = read(response, key, value).await?;
            Ok((sender, end))
        });
        match asked.await {
            Ok(Ok((sender, end))) => {
                self.sender = Some(sender);
                end
            }
            Ok(Err(end)) => end,
            Err(_) => End::Lost(Lost::Timeout(stage)),
        }
    }
}

async fn ask(
    door: &FrontDoor,
    kept: Option<Sender>,
    target: &str,
    stage: &mut Stage,
) -> Result<(Sender, Response<Incoming>), End> {
    const UNWRITABLE: End = End::Lost(Lost::Garbled);
    let mut request = Request::get(target)
        .header(HOST, &door.host)
        .body(Empty::new())
        .map_err(|_| UNWRITABLE)?;
    if let Some(mut sender) = kept
        && sender.ready().await.is_ok()
    {
        *stage = Stage::Asking;
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((sender, response)),
            // The node closed the idle connection before the request was written: that is not an
            // error.
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(lost(error.error())),
            },
        }
    }
    *stage = Stage::Connecting;
    let mut sender = door.connect().await?;
    *stage = Stage::Asking;
    let response = sender.send_request(request).await;
    Ok((sender, response.map_err(|error| lost(&error))?))
}

/// The kind of failure of a connection that broke.
fn lost(error: &hyper::Error) -> End {
    let mut source = error.source();
    let mut kind = None;
    while let Some(inner) = source {
        kind = inner.downcast_ref().map(io::Error::kind).or(kind);
        source = inner.source();
    }
    End::Lost(match kind {
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Lost::Reset,
        Some(ErrorKind::UnexpectedEof) => Lost::Short,
        _ if error.is_parse() => Lost::Garbled,
        _ => Lost::Closed,
    })
}

/// Reads the body. It is counted, and only the first words of an error are kept.
async fn read(response: Response<Incoming>, key: &str, value: Option<Value>) -> Result<End, End> {
    let status = response.status();
    let mut body = response.into_body();
    let (mut bytes, mut right) = (0, true);
    let mut said = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| lost(&error))?;
        if let Some(chunk) = frame.data_ref() {
            right = right && value.is_none_or(|value| value.has(bytes, chunk));
            bytes += chunk.len() as u64;
            if status != StatusCode::OK {
                let room = MAX_SAID - said.len();
                said.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
        }
    }
    let whole = value.is_none_or(|value| value.size() == bytes);
    Ok(match status {
        StatusCode::OK if right && whole => End::Ok { bytes },
        StatusCode::OK => End::Wrong { bytes },
        status => End::Status {
            status: status.as_u16(),
            bytes,
            said: class_of(&said, key),
        },
    })
}
