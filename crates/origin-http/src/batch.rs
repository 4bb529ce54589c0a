//! Several keys in one request: a POST that reads.

mod answer;
mod body;

use base64::Engine as _;
use bytes::Bytes;
use futures_util::future::{join, join_all};
use gaggle_group::{Load, Loaded, Origin as _, OriginError, OriginFault, Reservation};
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use serde_json::value::RawValue;

use self::answer::values;
use self::body::Body;
use crate::answer::Answer;
use crate::origin::{Common, HttpOrigin, Time};
use crate::service::Service;
use crate::setup::{Services, check_site, each};
use crate::upstream::Ask;
use crate::url::Fixed;
use crate::{Allow, BatchAnswer, BatchOptions, BatchValues, HttpOptions, OptionsError};

/// How many keys that JSON cannot express are requested concurrently.
const SINGLES: usize = 8;
/// The most bytes that JSON adds to the text of each value: brackets, commas, some space.
const OVERHEAD: u64 = 64;

/// How several keys are requested.
pub(crate) struct Batch {
    pub(crate) max_keys: usize,
    uris: Vec<Uri>,
    service: Service,
    body: Body,
    answer: BatchAnswer,
    values: BatchValues,
    time: (&'static str, Option<std::time::Duration>),
}

/// Options that can be used.
pub(crate) struct Checked<'a> {
    options: &'a BatchOptions,
    urls: Vec<Fixed>,
    body: Body,
    time: (&'static str, Option<std::time::Duration>),
}

impl<'a> Checked<'a> {
    pub(crate) fn of(options: &'a HttpOptions, allow: Allow) -> Result<Option<Self>, OptionsError> {
        let total = ("total_timeout", options.total_timeout);
        let Some(options) = &options.batch else {
            return Ok(None);
        };
        let fields = ["batch.url", "batch.fallbacks"];
        let urls = each(fields, &options.url, &options.fallbacks, |url| {
            let url = Fixed::parse(url)?;
            check_site(&url.site, allow)?;
            Ok(url)
        })?;
        let body = Body::parse(&options.body);
        Ok(Some(Self {
            options,
            urls,
            body: body.map_err(|reason| OptionsError::new("batch.body", reason))?,
            time: options
                .timeout
                .map_or(total, |timeout| ("batch.timeout", Some(timeout))),
        }))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.urls.iter().any(|url| url.site.https)
    }

    pub(crate) fn build(self, services: &Services<'_>) -> Batch {
        let options = self.options;
        Batch {
            max_keys: options.max_keys,
            uris: self.urls.into_iter().map(|url| url.uri).collect(),
            service: services.of(&options.url, &options.fallbacks),
            body: self.body,
            answer: options.answer,
            values: options.values,
            time: self.time,
        }
    }
}

/// Loads several keys: those that JSON can express in batches, the others one by one.
pub(crate) async fn load_many(
    origin: &HttpOrigin,
    loads: &[Load<'_>],
) -> Vec<Result<Loaded, OriginError>> {
    let batch = origin.inner.batch.as_ref();
    let mut texts = Vec::new();
    let mut singles = Vec::new();
    for (at, load) in loads.iter().enumerate() {
        match std::str::from_utf8(load.key) {
            Ok(key) if batch.is_some() => texts.push((at, key, *load)),
            _ => singles.push((at, *load)),
        }
    }
    let batches = async {
        let mut outcomes = Vec::with_capacity(texts.len());
        if let Some(batch) = batch {
            for some in texts.chunks(batch.max_keys) {
                let found = batch.load(&origin.inner.common, some).await;
                outcomes.extend(some.iter().map(|(at, ..)| *at).zip(found));
            }
        }
        outcomes
    };
    let others = async {
        let mut outcomes = Vec::with_capacity(singles.len());
        for some in singles.chunks(SINGLES) {
            let found = join_all(some.iter().map(|(_, load)| origin.load(*load))).await;
            outcomes.extend(some.iter().map(|(at, _)| *at).zip(found));
        }
        outcomes
    };
    let (mut outcomes, others) = join(batches, others).await;
    outcomes.extend(others);
    outcomes.sort_unstable_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// A load whose key is text, and its place among all.
type Text<'a> = (usize, &'a str, Load<'a>);

impl Batch {
    /// An outcome for each load.
    async fn load(&self, common: &Common, loads: &[Text<'_>]) -> Vec<Result<Loaded, OriginError>> {
        let (field, limit) = self.time;
        let time = Time::of(field, limit);
        let name = self.service.upstreams.first();
        let name = name.map_or("", |upstream| &upstream.name);
        let found = time.bound(name, self.ask(common, loads, time)).await;
        found.unwrap_or_else(|error| loads.iter().map(|_| Err(error.clone())).collect())
    }

    async fn ask(
        &self,
        common: &Common,
        loads: &[Text<'_>],
        time: Time,
    ) -> Result<Vec<Result<Loaded, OriginError>>, OriginError> {
        let trace = loads.first().and_then(|(.., load)| load.trace);
        let mut headers = common.headers(trace).await;
        let json = HeaderValue::from_static("application/json");
        headers.entry(CONTENT_TYPE).or_insert(json.clone());
        headers.entry(ACCEPT).or_insert(json);
        let ask = Ask {
            method: Method::POST,
            headers,
            body: self.body.of(loads.iter().map(|(_, key, _)| *key)),
            due: time.due(loads.iter().filter_map(|(.., load)| load.deadline).max()),
            send_timeout: common.send_timeout,
        };
        let answer = self.service.ask(&ask, &self.uris).await?;
        match answer.status() {
            StatusCode::OK => self.read(common, answer, loads).await,
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => {
                let note = " to a batch: batch.url does not name what takes batches";
                Err(answer.refusal(note).await)
            }
            _ => Err(answer.refusal(" to a batch").await),
        }
    }

    async fn read(
        &self,
        common: &Common,
        answer: Answer<'_>,
        loads: &[Text<'_>],
    ) -> Result<Vec<Result<Loaded, OriginError>>, OriginError> {
        let name = answer.name;
        let unusable = |reason: &str| {
            let failure =
                crate::error::Failure::new(name, format!("the answer to a batch {reason}"));
            failure.told(OriginFault::Unusable)
        };
        let encoding = answer.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|it| !it.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(unusable("has a Content-Encoding, which was not requested"));
        }
        let freshness = common.freshness(answer.headers());
        let budget = loads.iter().find_map(|(.., load)| load.budget);
        // The body of the answer counts against the budget until the values are read.
        let (text, _reserved): (Vec<u8>, Option<Reservation>) =
            answer.text(self.longest(loads), budget).await?;
        let keys: Vec<_> = loads.iter().map(|(_, key, _)| *key).collect();
        let found = values(&text, self.answer, &keys).map_err(|reason| unusable(&reason))?;
        let each = found.into_iter().zip(loads);
        Ok(each
            .map(|(value, (.., load))| {
                let value = value.map(|raw| self.value(raw, load.max_value)).transpose();
                let loaded = value
                    .map_err(|no| match no {
                        NoValue::TooLarge(len) => OriginError::TooLarge {
                            len: Some(len),
                            limit: load.max_value,
                        },
                        NoValue::Unusable(reason) => unusable(reason),
                    })?
                    .map_or_else(Loaded::absent, Loaded::value);
                Ok(loaded.with_freshness(freshness))
            })
            .collect())
    }

    /// The longest answer that can be correct.
    fn longest(&self, loads: &[Text<'_>]) -> u64 {
        // The six letters that JSON can spend on a byte, or four that base64 spends on three.
        let times = |len: u64| match self.values {
            BatchValues::Text => len.saturating_mul(6),
            BatchValues::Base64 => len.saturating_mul(4) / 3 + 4,
        };
        let each = loads.iter().map(|(_, key, load)| {
            let key = 6 * key.len() as u64 + OVERHEAD;
            times(load.max_value).saturating_add(key)
        });
        each.fold(OVERHEAD, u64::saturating_add)
    }

    fn value(&self, raw: &RawValue, limit: u64) -> Result<Bytes, NoValue> {
        let text = raw.get();
        let fits = |len: usize| match len as u64 {
            len if len > limit => Err(NoValue::TooLarge(len)),
            _ => Ok(()),
        };
        if !text.starts_with('"') {
            fits(text.len())?;
            return Ok(Bytes::copy_from_slice(text.as_bytes()));
        }
        let string: String = serde_json::from_str(text)
            .map_err(|_| NoValue::Unusable("has a string that is no Unicode"))?;
        let value = match self.values {
            BatchValues::Text => string.into_bytes(),
            BatchValues::Base64 => BASE64
                .decode(string)
                .map_err(|_| NoValue::Unusable("has a string that is not base64"))?,
        };
        fits(value.len())?;
        Ok(value.into_boxed_slice().into())
    }
}

/// Padded or not.
const BASE64: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Why an element of an answer is not a value.
enum NoValue {
    TooLarge(u64),
    Unusable(&'static str),
}
