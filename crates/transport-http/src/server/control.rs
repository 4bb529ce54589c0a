//! The answers to control requests: removals, values to keep, and who asks for removals.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use gaggle_group::{Group, Groups};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use prost::Message;

use super::body;
use super::refusal::Refusal;
use crate::client::is_base_url;
use crate::encoding::PROTOBUF_TYPE;
use crate::headers;
use crate::message::kept;
use crate::notices::{self, BadNotice, MAX_REQUEST, check_count};
use crate::proto::control_request::Request as Kind;
use crate::proto::{ControlRequest, NewsRequest, PutRequest, RemoveRequest};
use crate::terms;

/// Fields whose elements are counted before they are decoded: a removal's keys, and the removals that an asker knows.
const REPEATED: [&[u32]; 2] = [&[1, 3, 2], &[3, 2]];

/// The answer to the request in `body`. Whatever its status, it says that the request was read as what it is.
pub(super) async fn answer(groups: &Groups, body: Body) -> Response {
    let answered = answered(groups, body).await;
    let mut response = answered.unwrap_or_else(Refusal::into_response);
    response
        .headers_mut()
        .insert(headers::CONTROL, headers::ONE);
    response
}

async fn answered(groups: &Groups, body: Body) -> Result<Response, Refusal> {
    let largest = groups.iter().map(|group| group.limits().max_value).max();
    let largest = usize::try_from(largest.unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = MAX_REQUEST.saturating_add(largest);
    let body = body::read(body, limit).await;
    let body = body.ok_or(Refusal::ControlBody { limit })?;
    let (len, held) = (body.len(), body.capacity());
    let body = body.freeze();
    for path in REPEATED {
        check_count(&body, path).map_err(Refusal::Notice)?;
    }
    let message = ControlRequest::decode(body).map_err(malformed)?;
    let too_long = len > MAX_REQUEST;
    match message.request {
        Some(Kind::Put(message)) => put(groups, message, held),
        Some(_) if too_long => Err(Refusal::ControlBody { limit: MAX_REQUEST }),
        Some(Kind::Remove(message)) => remove(groups, message),
        Some(Kind::News(message)) => news(groups, message),
        None => Err(Refusal::Malformed),
    }
}

fn remove(groups: &Groups, message: RemoveRequest) -> Result<Response, Refusal> {
    let group = group(groups, &message.group)?;
    let notice = message.notice.ok_or(Refusal::Malformed)?;
    let notice = notices::notice(&notice).map_err(Refusal::Notice)?;
    group.apply(&notice);
    Ok(Response::new(Body::empty()))
}

fn put(groups: &Groups, message: PutRequest, held: usize) -> Result<Response, Refusal> {
    let group = group(groups, &message.group)?;
    let (Some(id), Some(entry)) = (message.id, message.entry) else {
        return Err(Refusal::Malformed);
    };
    if message.key.len() > notices::MAX_KEY {
        return Err(Refusal::Notice(BadNotice::KeyTooLong));
    }
    let id = notices::id(id).map_err(Refusal::Notice)?;
    let entry = terms::entry(entry, |value| kept(value, held)).map_err(Refusal::Terms)?;
    let key = &message.key;
    if let Err(error) = group.accept(key, &entry, id) {
        let key = key.to_vec();
        return Err(Refusal::Load { error, key });
    }
    Ok(Response::new(Body::empty()))
}

fn news(groups: &Groups, message: NewsRequest) -> Result<Response, Refusal> {
    let group = group(groups, &message.group)?;
    let follower = &*message.follower;
    // Whatever else stands there is no node that could be told of anything.
    let is_name = follower.len() <= notices::MAX_FOLLOWER && is_base_url(follower);
    let known = notices::known(message.known);
    let news = group.news(&known, Some(follower).filter(|_| is_name));
    let body = Bytes::from(notices::put_news(&news).encode_to_vec());
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF_TYPE));
    Ok(response)
}

fn group<'a>(groups: &'a Groups, name: &str) -> Result<&'a Group, Refusal> {
    let group = groups.get(name);
    group.ok_or_else(|| Refusal::NoGroup(name.as_bytes().to_vec()))
}

fn malformed(error: prost::DecodeError) -> Refusal {
    Refusal::Notice(BadNotice::Message(error))
}
