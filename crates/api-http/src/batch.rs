//! Many keys in one request: a request costs far more than the key in it.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gaggle_group::{Answer, Error, Group, Key};
use serde::{Deserialize, Serialize, Serializer};

use crate::FrontOptions;
use crate::body;
use crate::reply::{self, Refusal};

/// The body of a request: exactly one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    keys: Option<Vec<String>>,
    keys64: Option<Vec<String>>,
}

/// The keys that a client names.
pub(crate) struct Batch {
    /// The keys as the client wrote them, to be sent back.
    names: Vec<String>,
    /// The keys that they stand for.
    keys: Vec<Key>,
    /// Whether the names are base64.
    base64: bool,
}

#[derive(Serialize)]
struct Results {
    results: Vec<Row>,
}

/// What became of one key. It has `key` or `key64`, as the request had.
#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key64: Option<String>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_base64")]
    value: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) async fn answer(
    group: &Group,
    options: &FrontOptions,
    body: Body,
) -> Result<Response, Refusal> {
    let batch = Batch::read(body, options).await?;
    let results = resolve(group, options, batch).await;
    Ok(reply::json(StatusCode::OK, &Results { results }))
}

impl Batch {
    pub(crate) async fn read(body: Body, options: &FrontOptions) -> Result<Self, Refusal> {
        let limit = options.max_body;
        let over = || {
            let line = format!("the body is over the limit of {limit} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, line)
        };
        let body = body::read(body, limit, options.body_timeout, over).await?;
        Self::parse(&body, options.max_batch_keys)
    }

    pub(crate) fn into_keys(self) -> Vec<Key> {
        self.keys
    }

    fn parse(body: &[u8], max_keys: usize) -> Result<Self, Refusal> {
        let asked: Asked = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("bad JSON: {error}")))?;
        let (names, base64) = match (asked.keys, asked.keys64) {
            (Some(names), None) => (names, false),
            (None, Some(names)) => (names, true),
            _ => {
                let line = "exactly one of the fields keys and keys64 is needed";
                return Err(Refusal::bad_request(line.to_owned()));
            }
        };
        if names.len() > max_keys {
            let line = format!("{} keys are over the limit of {max_keys}", names.len());
            return Err(Refusal::bad_request(line));
        }
        let keys = names.iter().enumerate().map(|(at, name)| match base64 {
            false => Ok(Key::copy_from_slice(name.as_bytes())),
            true => STANDARD.decode(name).map(Key::from).map_err(|error| {
                Refusal::bad_request(format!("keys64[{at}] is not base64: {error}"))
            }),
        });
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            names,
            base64,
        })
    }
}

/// Asks for the keys, some at a time: enough of them to make one request to each owner worth its while. Once a value does
/// not fit into the answer any more, the keys behind it are not asked for: what is held at one time is the answer and the
/// values of one step.
async fn resolve(group: &Group, options: &FrontOptions, batch: Batch) -> Vec<Row> {
    let mut outcomes = Vec::with_capacity(batch.keys.len());
    let mut room = Some(options.max_batch_bytes);
    for step in batch.keys.chunks(options.batch_loads.max(1)) {
        if room.is_none() {
            break;
        }
        for outcome in group.get_many(step).await {
            outcomes.push(fits(&mut room, &outcome).then_some(outcome));
        }
    }
    outcomes.resize(batch.names.len(), None);
    let rows = batch.names.into_iter().zip(outcomes);
    rows.map(|(name, outcome)| Row::new(name, batch.base64, outcome))
        .collect()
}

/// Takes an outcome's bytes from the room that is left in the answer. `None` is a full answer, which stays full.
fn fits(room: &mut Option<u64>, outcome: &Result<Answer, Error>) -> bool {
    let value = outcome
        .as_ref()
        .ok()
        .and_then(|answer| answer.value.as_ref());
    let needed = value.map_or(0, |value| value.len() as u64);
    *room = room.and_then(|room| room.checked_sub(needed));
    room.is_some()
}

impl Row {
    /// `None` is a key that the answer has no room for.
    fn new(name: String, base64: bool, outcome: Option<Result<Answer, Error>>) -> Self {
        let (status, value, error) = match outcome {
            Some(Ok(Answer {
                value: Some(value), ..
            })) => (StatusCode::OK, Some(value), None),
            Some(Ok(_)) => (StatusCode::NOT_FOUND, None, None),
            Some(Err(error)) => {
                let line = reply::error_line(&error);
                (reply::status(&error), None, Some(line))
            }
            None => (
                StatusCode::PAYLOAD_TOO_LARGE,
                None,
                Some("the answer is full".to_owned()),
            ),
        };
        let (key, key64) = if base64 {
            (None, Some(name))
        } else {
            (Some(name), None)
        };
        Self {
            key,
            key64,
            status: status.as_u16(),
            value,
            error,
        }
    }
}

/// Writes the base64 straight into the document, without a string in between.
fn as_base64<S: Serializer>(value: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(&Base64Display::new(value, &STANDARD)),
        None => serializer.serialize_none(),
    }
}
