//! The answers to control requests: removals, values to keep, hand-over, leaving, requests for
//! removals, and an operator's queries.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use gaggle_group::{Entry, Group, Groups, Key, TraceParent};
use gaggle_proto::inspect::Unanswered;
use gaggle_proto::peer::control_request::Request as Kind;
use gaggle_proto::peer::{
    ControlRequest, HandOverRequest, HandOverResponse, HandedOver, HelloRequest, HelloResponse,
    InspectRequest, LeavingRequest, NewsRequest, PutRequest, RemoveRequest,
};
use gaggle_proto::{MAX_HANDED, count, hello, inspect, notices, terms};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use prost::Message;

use super::body::{self, Bounds};
use super::refusal::Refusal;
use crate::bounds::{BadNotice, MAX_REQUEST, check_count};
use crate::client::is_base_url;
use crate::encoding::PROTOBUF_TYPE;
use crate::headers;
use crate::message::kept;

/// Fields whose elements are counted before they are decoded: a removal's keys, the removals that
/// an asker knows, those of a hand-over, and a node's groups.
const REPEATED: [&[u32]; 4] = [&[1, 3, 2], &[3, 2], &[4, 3], &[6, 1, 10]];

/// The field of the entries of a hand-over.
const ENTRIES: &[u32] = &[4, 2];

/// The answer to the request in `body`, which may belong to a trace. Whatever its status, its
/// header says that the request was read as a control request.
pub(super) async fn answer(
    groups: &Groups,
    body: Body,
    bounds: Bounds<'_>,
    is_ours: bool,
    trace: Option<TraceParent>,
) -> Response {
    let answered = answered(groups, body, bounds, is_ours, trace).await;
    let mut response = answered.unwrap_or_else(Refusal::into_response);
    response
        .headers_mut()
        .insert(headers::CONTROL, headers::ONE);
    response
}

async fn answered(
    groups: &Groups,
    body: Body,
    bounds: Bounds<'_>,
    is_ours: bool,
    trace: Option<TraceParent>,
) -> Result<Response, Refusal> {
    let largest = groups.iter().map(|group| group.limits().max_value).max();
    let largest = usize::try_from(largest.unwrap_or(0)).unwrap_or(usize::MAX);
    // A node of another cluster may only send a hello.
    let limit = MAX_REQUEST.saturating_add(if is_ours { largest } else { 0 });
    let body::Read {
        bytes,
        mut reserved,
    } = body::read(body, limit, bounds)
        .await
        .map_err(|unread| Refusal::unread(unread, Refusal::ControlBody { limit }))?;
    let (len, held) = (bytes.len(), bytes.capacity());
    let body = Bytes::from(bytes);
    for path in REPEATED {
        check_count(&body, path).map_err(Refusal::Notice)?;
    }
    let entries = count(&body, ENTRIES).map_err(malformed)?;
    if entries > MAX_HANDED {
        return Err(Refusal::Entries(entries));
    }
    let message = ControlRequest::decode(body).map_err(malformed)?;
    let too_long = len > MAX_REQUEST;
    match message.request {
        Some(Kind::Hello(message)) if !too_long => greet(groups, &message),
        _ if !is_ours => Err(Refusal::OtherCluster),
        Some(Kind::Put(message)) => put(groups, message, held, trace),
        Some(Kind::HandOver(message)) => {
            // For the copies of the values, while the message still exists.
            if let Some(reserved) = &mut reserved {
                let twice = reserved.bytes() + len as u64;
                reserved.grow_to(twice).await.map_err(Refusal::NoRoom)?;
            }
            hand_over(groups, message)
        }
        Some(_) if too_long => Err(Refusal::ControlBody { limit: MAX_REQUEST }),
        Some(Kind::Remove(message)) => remove(groups, message, trace),
        Some(Kind::News(message)) => news(groups, message),
        Some(Kind::Leaving(message)) => leaving(groups, &message),
        Some(Kind::Inspect(message)) => inspect(groups, &message),
        // Too long, and so refused above.
        Some(Kind::Hello(_)) | None => Err(Refusal::Malformed),
    }
}

fn remove(
    groups: &Groups,
    message: RemoveRequest,
    trace: Option<TraceParent>,
) -> Result<Response, Refusal> {
    let group = group(groups, &message.group)?;
    let notice = message.notice.ok_or(Refusal::Malformed)?;
    let notice = notices::notice(&notice).map_err(Refusal::notice)?;
    group.apply_traced(&notice, trace);
    Ok(Response::new(Body::empty()))
}

fn put(
    groups: &Groups,
    message: PutRequest,
    held: usize,
    trace: Option<TraceParent>,
) -> Result<Response, Refusal> {
    let group = group(groups, &message.group)?;
    let (Some(id), Some(entry)) = (message.id, message.entry) else {
        return Err(Refusal::Malformed);
    };
    if message.key.len() > notices::MAX_KEY {
        return Err(Refusal::notice(notices::BadNotice::KeyTooLong));
    }
    let id = notices::id(id).map_err(Refusal::notice)?;
    let entry = terms::entry(entry, |value| kept(value, held)).map_err(Refusal::terms)?;
    let key = &message.key;
    if let Err(error) = group.accept_traced(key, &entry, id, trace) {
        let key = key.to_vec();
        return Err(Refusal::Load { error, key });
    }
    Ok(Response::new(Body::empty()))
}

fn hand_over(groups: &Groups, message: HandOverRequest) -> Result<Response, Refusal> {
    let group = group(groups, &message.group)?;
    let known = notices::known(message.known);
    let entries = message.entries.into_iter().map(handed);
    let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    let kept = group.take_over(entries, &known);
    let body = HandOverResponse { kept }.encode_to_vec();
    Ok(message_of(body))
}

/// An entry of a hand-over. The group copies the values that it keeps.
fn handed(handed: HandedOver) -> Result<(Key, Entry), Refusal> {
    let entry = handed.entry.ok_or(Refusal::Malformed)?;
    if handed.key.len() > notices::MAX_KEY {
        return Err(Refusal::notice(notices::BadNotice::KeyTooLong));
    }
    let entry = terms::entry(entry, |value| value).map_err(Refusal::terms)?;
    Ok((Key::copy_from_slice(&handed.key), entry))
}

fn leaving(groups: &Groups, message: &LeavingRequest) -> Result<Response, Refusal> {
    let word = hello::word(message).ok_or(Refusal::Malformed)?;
    for group in groups.iter() {
        group.router().leaves(&word);
    }
    Ok(Response::new(Body::empty()))
}

/// The groups of a node share a router.
fn greet(groups: &Groups, message: &HelloRequest) -> Result<Response, Refusal> {
    let from = message.hello.as_ref().and_then(hello::read);
    let from = from.ok_or(Refusal::Malformed)?;
    let router = groups.iter().next().map(Group::router);
    let me = router.map(|router| {
        router.greeted(&from);
        hello::put(&router.hello())
    });
    Ok(message_of(HelloResponse { hello: me }.encode_to_vec()))
}

fn news(groups: &Groups, message: NewsRequest) -> Result<Response, Refusal> {
    let group = group(groups, &message.group)?;
    let follower = &*message.follower;
    // Any other text does not name a node that can be notified.
    let is_name = follower.len() <= notices::MAX_FOLLOWER && is_base_url(follower);
    let known = notices::known(message.known);
    let news = group.news(&known, Some(follower).filter(|_| is_name));
    Ok(message_of(notices::put_news(&news).encode_to_vec()))
}

fn inspect(groups: &Groups, message: &InspectRequest) -> Result<Response, Refusal> {
    match inspect::answer(groups, message) {
        Ok(answer) => Ok(message_of(answer.encode_to_vec())),
        Err(Unanswered::NoGroup(name)) => Err(Refusal::NoGroup(name.into_bytes())),
        Err(Unanswered::Unknown) => Err(Refusal::Malformed),
    }
}

fn message_of(message: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(Bytes::from(message)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF_TYPE));
    response
}

fn group<'a>(groups: &'a Groups, name: &str) -> Result<&'a Group, Refusal> {
    let group = groups.get(name);
    group.ok_or_else(|| Refusal::NoGroup(name.as_bytes().to_vec()))
}

fn malformed(error: prost::DecodeError) -> Refusal {
    Refusal::Notice(BadNotice::Message(error))
}
