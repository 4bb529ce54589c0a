//! The origin: a GET for each load.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use gaggle_group::{
    ByteBudget, Hint, Load, Loaded, Metadata, Origin, OriginError, OriginFault, Reservation,
};
use object_store::path::Path;
use object_store::{Attribute, GetOptions, GetRange, GetResult, ObjectStore};
use tokio::time::timeout;

use crate::buffer::Buffer;
use crate::failure::{Meaning, failure};
use crate::freshness::hint;
use crate::metadata::{ask_for_changes, metadata, strong_tag};
use crate::parts::{Pieces, Unread, read_parts};
use crate::place::Place;
use crate::seen::Seen;
use crate::store::{Opened, open};
use crate::template::Template;
use crate::{ObjectOptions, OptionsError};

/// How often an object that changes while it is read is read from its start.
const MAX_READS: usize = 2;

/// The objects of a bucket below one prefix. A clone shares the connections.
#[derive(Clone)]
pub struct ObjectOrigin {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn ObjectStore>,
    template: Template,
    /// The bucket and the template, for errors and logs.
    name: String,
    signs: bool,
    directory: Option<PathBuf>,
    timeout: Duration,
    parallel: Option<Parallel>,
    honour_freshness: bool,
}

/// How large objects are read.
struct Parallel {
    from: u64,
    part_size: usize,
    /// How many are read in addition to the first answer.
    others: usize,
}

impl ObjectOrigin {
    /// Checks the options and makes a client. No request is sent yet: a service that is down, a
    /// missing bucket and wrong keys are failures of loads. A directory must exist.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "options are written in place"
    )]
    pub fn new(options: ObjectOptions) -> Result<Self, OptionsError> {
        let place = Place::parse(&options.url).map_err(|reason| OptionsError {
            field: "url",
            reason,
        })?;
        Self::of(open(&place, &options)?, &place, &options)
    }

    /// The same with an existing store: only those options count that set what is read and for how
    /// long. The path of `url` is the prefix in the store, as in `memory:///prefix`; its scheme
    /// and host are for errors and logs.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "options are written in place"
    )]
    pub fn from_store(
        store: Arc<dyn ObjectStore>,
        options: ObjectOptions,
    ) -> Result<Self, OptionsError> {
        let place = Place::parse(&options.url).map_err(|reason| OptionsError {
            field: "url",
            reason,
        })?;
        let opened = Opened {
            store,
            prefix: place.prefix.clone(),
            signs: false,
            directory: None,
        };
        Self::of(opened, &place, &options)
    }

    fn of(opened: Opened, place: &Place, options: &ObjectOptions) -> Result<Self, OptionsError> {
        options.check()?;
        let refused = |reason| OptionsError {
            field: "path",
            reason,
        };
        let template = Template::parse(&opened.prefix, &options.path).map_err(refused)?;
        let slash = if place.prefix.is_empty() { "" } else { "/" };
        let part_size = usize::try_from(options.part_size).unwrap_or(usize::MAX);
        let parallel = options.parallel_from.map(|from| Parallel {
            from,
            part_size,
            others: options.parts - 1,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                store: opened.store,
                template,
                name: format!("{place}{slash}{}", options.path),
                signs: opened.signs,
                directory: opened.directory,
                timeout: options.timeout,
                parallel: parallel.filter(|parallel| parallel.others > 0),
                honour_freshness: options.honour_freshness,
            }),
        })
    }
}

impl fmt::Debug for ObjectOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectOrigin")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Origin for ObjectOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let inner = &*self.inner;
        let name = inner
            .template
            .name(load.key)
            .map_err(|error| inner.failed(OriginFault::Key, error.to_string()))?;
        match timeout(inner.timeout, inner.load(&name, load)).await {
            Ok(loaded) => loaded,
            Err(_) => {
                let reason = format!("no whole value within {:?}", inner.timeout);
                Err(inner.failed(OriginFault::TimedOut, reason))
            }
        }
    }
}

/// How a load ended, or that it has to be retried.
enum Ended {
    Failed(OriginError),
    /// The object was replaced while it was read.
    Changed,
}

impl From<OriginError> for Ended {
    fn from(error: OriginError) -> Self {
        Self::Failed(error)
    }
}

impl Inner {
    async fn load(&self, name: &Path, load: Load<'_>) -> Result<Loaded, OriginError> {
        for _ in 0..MAX_READS {
            match self.read(name, load).await {
                Ok(loaded) => return Ok(loaded),
                Err(Ended::Failed(error)) => return Err(error),
                Err(Ended::Changed) => {}
            }
        }
        let reason = "the object became another one each time it was read";
        Err(self.failed(OriginFault::Unusable, reason))
    }

    async fn read(&self, name: &Path, load: Load<'_>) -> Result<Loaded, Ended> {
        let seen = Seen::default();
        let mut options = GetOptions::default();
        options.extensions.insert(seen.clone());
        let stale = load
            .stale
            .filter(|stale| ask_for_changes(&mut options, stale));
        let got = match self.store.get_opts(name, options).await {
            Ok(got) => got,
            Err(error) => return self.without_value(&error, &seen, stale).await,
        };
        let limit = load.max_value;
        let size = got.range.end.saturating_sub(got.range.start);
        if size > limit {
            let len = Some(size);
            return Err(OriginError::TooLarge { len, limit }.into());
        }
        let Ok(len) = usize::try_from(size) else {
            let len = Some(size);
            return Err(OriginError::TooLarge { len, limit }.into());
        };
        let metadata = metadata(&got.meta, &got.attributes);
        let cache_control = got.attributes.get(&Attribute::CacheControl);
        let freshness = self.freshness(cache_control.map(AsRef::as_ref));
        let _reserved = reserve(load.budget, size).await?;
        let value = self.value(name, got, len, seen).await?;
        Ok(Loaded::value(value)
            .with_freshness(freshness)
            .with_metadata(metadata))
    }

    /// The meaning of an answer without an object.
    async fn without_value(
        &self,
        error: &object_store::Error,
        seen: &Seen,
        stale: Option<&Metadata>,
    ) -> Result<Loaded, Ended> {
        let head = seen.head();
        match (Meaning::of(error, &head, self.signs), stale) {
            (Meaning::Absent, _) => {
                self.check_directory().await?;
                Ok(Loaded::absent())
            }
            (Meaning::NotModified, Some(stale)) => Ok(Loaded::not_modified()
                .with_freshness(self.freshness(head.cache_control.as_deref()))
                .with_metadata(stale.clone().with_age(Duration::ZERO))),
            (Meaning::NotModified, None) => {
                let reason = "answered 304 to a request that had no condition";
                Err(self.failed(OriginFault::Status(304), reason).into())
            }
            (Meaning::Changed, _) => {
                let reason = "answered 412 to a request that had no such condition";
                Err(self.failed(OriginFault::Status(412), reason).into())
            }
            (Meaning::Failed { fault, reason }, _) => Err(self.failed(fault, reason).into()),
        }
    }

    /// If the directory itself is missing, none of its files is "not found".
    async fn check_directory(&self) -> Result<(), OriginError> {
        let Some(directory) = self.directory.clone() else {
            return Ok(());
        };
        let is_there = tokio::task::spawn_blocking(move || directory.is_dir()).await;
        match is_there {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.failed(OriginFault::Unreachable, "the directory is gone")),
            Err(error) => Err(self.failed(OriginFault::Other, error.to_string())),
        }
    }

    /// Reads the body, whose bytes are reserved.
    async fn value(
        &self,
        name: &Path,
        got: GetResult,
        len: usize,
        seen: Seen,
    ) -> Result<Bytes, Ended> {
        let tag = strong_tag(&got.meta).map(str::to_owned);
        let parallel = self.parallel.as_ref();
        let parallel = parallel.filter(|parallel| len as u64 >= parallel.from);
        let read = match (parallel, tag) {
            (Some(parallel), Some(tag)) if len > parallel.part_size => {
                let ask = |range| self.part(name, range, &tag, len as u64);
                let (part_size, others) = (parallel.part_size, parallel.others);
                read_parts(pieces(got, seen), len, part_size, others, ask).await
            }
            _ => read_whole(pieces(got, seen), len).await,
        };
        read.map_err(|unread| match unread {
            Unread::Changed => Ended::Changed,
            Unread::Length => {
                let reason = "the object's length is not the one that was said";
                self.failed(OriginFault::Unusable, reason).into()
            }
            Unread::Store(error, head) => match Meaning::of(&error, &head, self.signs) {
                Meaning::Failed { fault, reason } => self.failed(fault, reason).into(),
                // From a part, or from the rest of a body that broke off.
                Meaning::Absent | Meaning::Changed | Meaning::NotModified => Ended::Changed,
            },
        })
    }

    /// Requests a part of the object with this tag and length.
    async fn part(
        &self,
        name: &Path,
        range: Range<u64>,
        tag: &str,
        size: u64,
    ) -> Result<Pieces, Unread> {
        let seen = Seen::default();
        let mut options = GetOptions {
            if_match: Some(tag.to_owned()),
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        options.extensions.insert(seen.clone());
        let got = self.store.get_opts(name, options).await;
        let got = got.map_err(|error| Unread::Store(Box::new(error), seen.head()))?;
        // A store that does not support the condition answers with the present object.
        let is_same = got.meta.e_tag.as_deref() == Some(tag) && got.meta.size == size;
        if !is_same || got.range != range {
            return Err(Unread::Changed);
        }
        Ok(pieces(got, seen))
    }

    fn freshness(&self, cache_control: Option<&str>) -> Hint {
        match cache_control {
            Some(text) if self.honour_freshness => hint(text),
            _ => Hint::default(),
        }
    }

    fn failed(&self, fault: OriginFault, reason: impl Into<String>) -> OriginError {
        failure(&self.name, fault, reason)
    }
}

/// Reserves a value's bytes while it is read. Small values do not count.
async fn reserve(
    budget: Option<&ByteBudget>,
    size: u64,
) -> Result<Option<Reservation>, OriginError> {
    match budget {
        Some(budget) if size >= ByteBudget::SMALL as u64 => Ok(Some(budget.reserve(size).await?)),
        _ => Ok(None),
    }
}

/// The body of an answer.
fn pieces(got: GetResult, seen: Seen) -> Pieces {
    let failed = move |error| Unread::Store(Box::new(error), seen.head());
    got.into_stream().map_err(failed).boxed()
}

/// Reads a body to its end, so that its connection can be used again.
async fn read_whole(mut pieces: Pieces, len: usize) -> Result<Bytes, Unread> {
    let mut buffer = Buffer::new(len);
    while let Some(piece) = pieces.next().await {
        buffer.push(&piece?).map_err(|_| Unread::Length)?;
    }
    if buffer.missing() > 0 {
        return Err(Unread::Length);
    }
    Ok(buffer.finish())
}
