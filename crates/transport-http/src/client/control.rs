//! Control requests: removals, values to keep, and the question for removals.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::try_join_all;
use gaggle_group::{Key, Known, News, Notice, PeerError, Put, Scope};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use reqwest::{Body, Request, Response};

use super::asker::{Asker, MAX_ERROR};
use super::body;
use crate::encoding::PROTOBUF_TYPE;
use crate::headers;
use crate::message::{SMALL, TwoPart};
use crate::notices::{self, MAX_REQUEST};
use crate::proto::control_request::Request as Kind;
use crate::proto::{ControlRequest, NewsRequest, PutRequest, RemoveRequest};
use crate::terms;

/// The longest key whose removal travels in a URL: escaped it may be three times as long.
const MAX_URL_KEY: usize = 16 << 10;

/// How many keys at a time are removed by requests of their own.
const DELETES: usize = 16;

/// What a request takes beside keys, in bytes: its group's name aside.
const OVERHEAD: usize = 1 << 10;

impl Asker {
    /// Tells the peer of a removal: of one key in a form that older peers understand, too.
    pub(super) async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError> {
        if let Scope::Keys(keys) = &notice.scope
            && let [key] = &keys[..]
            && key.len() <= MAX_URL_KEY
        {
            return self.delete(group, key, Some(notice.id)).await;
        }
        let most = MAX_REQUEST.saturating_sub(OVERHEAD + group.len());
        let message = message(Kind::Remove(RemoveRequest {
            group: group.to_owned(),
            key: Bytes::new(),
            notice: Some(notices::put_notice(notice, most)),
        }));
        let request = || self.control_request(message.clone().into());
        if let Some(response) = self.control(request).await? {
            return self.done(response).await;
        }
        match &notice.scope {
            Scope::Keys(keys) => self.delete_each(group, keys).await,
            _ => Err(self.refused("it can remove no group")),
        }
    }

    /// Without the removal's name: a peer that knew it would take the second key's removal for one that it has applied.
    async fn delete_each(&self, group: &str, keys: &[Key]) -> Result<(), PeerError> {
        for some in keys.chunks(DELETES) {
            let mut deletes = Vec::with_capacity(some.len());
            for key in some {
                deletes.push(self.delete(group, key, None));
            }
            try_join_all(deletes).await?;
        }
        Ok(())
    }

    /// Gives the peer a value to keep.
    pub(super) async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        let message = PutMessage::new(&put);
        let request = || self.control_request(message.body());
        match self.control(request).await? {
            Some(response) => self.done(response).await,
            None => Err(self.refused("it takes no values")),
        }
    }

    /// Asks for removals; `None` if the peer has no such thing.
    pub(super) async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        let message = message(Kind::News(NewsRequest {
            group: group.to_owned(),
            known: notices::put_known(known),
            follower: follower.to_owned(),
        }));
        let request = || self.control_request(message.clone().into());
        let Some(response) = self.control(request).await? else {
            return Ok(None);
        };
        let pause = self.options().read_timeout;
        let body = body::read(response, notices::MAX_NEWS, pause)
            .await
            .map_err(|error| self.unread_news(error))?;
        match notices::read_news(body.freeze()) {
            Ok(news) => Ok(Some(news)),
            Err(bad) => Err(self.refused(format!("status 200, but {bad}"))),
        }
    }

    fn unread_news(&self, error: body::BodyError) -> PeerError {
        match error {
            body::BodyError::TooLong { .. } => {
                let most = notices::MAX_NEWS;
                self.refused(format!("status 200, but a body of more than {most} bytes"))
            }
            error => self.unread(error, notices::MAX_NEWS),
        }
    }

    fn control_request(&self, body: Body) -> Result<Request, PeerError> {
        let mut request = Request::new(Method::POST, self.base()?);
        let headers = request.headers_mut();
        headers.insert(headers::FORWARDED, headers::ONE);
        headers.insert(headers::CONTROL, headers::ONE);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF_TYPE));
        *request.body_mut() = Some(body);
        Ok(request)
    }

    /// Sends a control request; `None` if the peer knows no such thing: another implementation takes it for a read.
    async fn control(
        &self,
        request: impl Fn() -> Result<Request, PeerError>,
    ) -> Result<Option<Response>, PeerError> {
        let (request, again) = (request()?, request()?);
        // Err would mean that the semaphore is closed, which nobody does.
        let _slot = self.slots.acquire().await;
        let response = self.send_or(request, Some(again)).await?;
        let status = response.status();
        let understood = response.headers().contains_key(headers::CONTROL);
        if understood && status == StatusCode::OK {
            return Ok(Some(response));
        }
        // A failure says nothing about what the peer knows: it may be a proxy's.
        if !understood && (!status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED) {
            body::start(response, MAX_ERROR, self.options().read_timeout).await;
            return Ok(None);
        }
        match self.without_value(response, b"").await {
            Ok(_) => Err(self.refused("it took a control request for a get")),
            Err(failure) => Err(failure),
        }
    }

    /// Reads an answer without a body to its end, so that the connection is good for the next request.
    async fn done(&self, response: Response) -> Result<(), PeerError> {
        body::start(response, MAX_ERROR, self.options().read_timeout).await;
        Ok(())
    }
}

fn message(request: Kind) -> Bytes {
    let message = ControlRequest {
        request: Some(request),
    };
    message.encode_to_vec().into()
}

/// A request with a value, as prost would write the message; by hand, because prost can only copy the value.
struct PutMessage {
    head: Bytes,
    /// The end of the message, if it has a value.
    value: Option<Bytes>,
}

impl PutMessage {
    fn new(put: &Put<'_>) -> Self {
        let entry = terms::entry_head(put.entry);
        let value = put.entry.value.clone();
        let message = PutRequest {
            group: put.group.to_owned(),
            key: put.key.clone(),
            id: Some(notices::put_id(put.removal)),
            entry: None,
        };
        // All tags here are one byte long. The innermost length comes first, as the others depend on it.
        let within = |len: usize| 1 + encoded_len_varint(len as u64) + len;
        let entry_len = entry.encoded_len() + value.as_ref().map_or(0, |value| within(value.len()));
        let put_len = message.encoded_len() + within(entry_len);
        let mut head = BytesMut::with_capacity(message.encoded_len() + entry.encoded_len() + 64);
        let mut open = |number: u32, len: usize, fields: &dyn Fn(&mut BytesMut)| {
            encode_key(number, WireType::LengthDelimited, &mut head);
            encode_varint(len as u64, &mut head);
            fields(&mut head);
        };
        open(2, put_len, &|head| message.encode_raw(head));
        open(4, entry_len, &|head| entry.encode_raw(head));
        if let Some(value) = &value {
            open(1, value.len(), &|_| {});
        }
        match value {
            Some(value) if value.len() <= SMALL => {
                head.put_slice(&value);
                Self {
                    head: head.freeze(),
                    value: None,
                }
            }
            value => Self {
                head: head.freeze(),
                value,
            },
        }
    }

    fn body(&self) -> Body {
        match &self.value {
            None => self.head.clone().into(),
            Some(value) => Body::wrap(TwoPart::new(self.head.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gaggle_group::{Entry, Field, Freshness, Metadata, RemovalId};

    use super::*;

    #[test]
    fn a_value_is_written_as_prost_reads_it() {
        let freshness = Freshness::for_ttl(Duration::from_millis(300))
            .stale_while_revalidate(Duration::from_millis(4));
        let metadata = Metadata::default().with(Field::ETag, "\"1\"");
        for len in [
            None,
            Some(0),
            Some(1),
            Some(200),
            Some(SMALL),
            Some(SMALL + 1),
        ] {
            let entry = match len {
                Some(len) => Entry::value(vec![7; len]),
                None => Entry::absent(),
            };
            for entry in [
                entry.clone(),
                entry
                    .with_freshness(freshness)
                    .with_metadata(metadata.clone()),
            ] {
                let key = Key::from_static(b"Tom");
                let removal = RemovalId {
                    issuer: 5,
                    number: 6,
                };
                let put = PutMessage::new(&Put {
                    group: "scores",
                    key: &key,
                    entry: &entry,
                    removal,
                });
                let whole = [put.head, put.value.unwrap_or_default()].concat();
                let Some(Kind::Put(read)) = ControlRequest::decode(&whole[..]).unwrap().request
                else {
                    panic!("another request")
                };
                assert_eq!((&*read.group, &read.key), ("scores", &key));
                assert_eq!(notices::id(read.id.unwrap()).unwrap(), removal);
                let read = terms::entry(read.entry.unwrap(), |value| value).unwrap();
                assert_eq!(read, entry, "{len:?}");
            }
        }
    }
}
