//! The metrics page.

use std::time::SystemTime;

use gaggle_group::Groups;
use prometheus_client::registry::Registry;

use self::encode::Collected;
use self::log::LogCounts;
use self::snapshot::Snapshots;
use self::text::Format;
use crate::Log;

mod encode;
mod families;
mod log;
mod process;
mod snapshot;
mod text;
#[cfg(feature = "otlp")]
mod traces;

pub use families::{Families, Family, Kind, Number, Sample, Source, Value};

/// The content type of [`Metrics::encode`]: OpenMetrics 1.0 text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The content type of [`Metrics::encode_plain`]: the text format that Prometheus had before.
pub const PLAIN_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is running. The page adds the operating system and the processor's architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// The program's version.
    pub version: String,
}

/// The metrics of a set of groups, and of what else has counts. Keeps no counts of its own: each
/// page is made from snapshots.
pub struct Metrics {
    sources: Vec<Box<dyn Source>>,
}

impl Metrics {
    /// The metrics of these groups and of the rings they are in.
    pub fn new(groups: Groups, build: BuildInfo) -> Self {
        Self {
            sources: vec![Box::new(Snapshots { groups, build })],
        }
    }

    /// Adds them to a registry of the program's own, to stand on one page with its other metrics.
    /// For the names to stay `gaggle_…`, the registry must have no prefix. That page has no
    /// exemplars.
    pub fn register(groups: Groups, build: BuildInfo, registry: &mut Registry) {
        Self::new(groups, build).register_all(registry);
    }

    /// The same for all metrics that this page has.
    pub fn register_all(self, registry: &mut Registry) {
        registry.register_collector(Box::new(Collected(self.sources)));
    }

    /// And those of the program's log.
    #[must_use]
    pub fn with_log(self, log: Log) -> Self {
        self.with(LogCounts(log))
    }

    /// And those of this process, by the names that Prometheus' client libraries give them
    /// (`process_…`). They are read from `/proc`; on systems without it there are none. Where
    /// `/proc` does not show when the machine booted, this call counts as the process's start.
    #[must_use]
    pub fn with_process(self) -> Self {
        let now = SystemTime::now();
        self.with(move |families: &mut Families| process::families(families, now))
    }

    /// And those of something else that counts, such as a server or a front door.
    #[must_use]
    pub fn with(mut self, source: impl Source) -> Self {
        self.sources.push(Box::new(source));
        self
    }

    /// All families, as of now: for a program that exports them in another way.
    pub fn families(&self) -> Vec<Family> {
        let mut families = Families::default();
        for source in &self.sources {
            source.collect(&mut families);
        }
        families.into_vec()
    }

    /// The page, as of now, as [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        text::page(&self.families(), Format::Open)
    }

    /// The page, as of now, as [`PLAIN_CONTENT_TYPE`].
    pub fn encode_plain(&self) -> String {
        text::page(&self.families(), Format::Plain)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics")
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}
