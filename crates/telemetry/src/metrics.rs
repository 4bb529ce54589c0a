//! The metrics page.

use gaggle_group::Groups;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tracing::warn;

use self::log::LogCounts;
use self::snapshot::Snapshots;
use crate::Log;

mod families;
mod log;
mod snapshot;

/// The content type of [`Metrics::encode`]: OpenMetrics 1.0 text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// The program's version.
    pub version: String,
}

/// The metrics of a set of groups. Keeps no counts of its own: each page is made from their snapshots.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The metrics of these groups and of the rings they are in.
    pub fn new(groups: Groups, build: BuildInfo) -> Self {
        let mut registry = Registry::default();
        Self::register(groups, build, &mut registry);
        Self { registry }
    }

    /// Adds them to a registry of the program's own, to stand on one page with its other metrics. For the names to stay
    /// `gaggle_…`, the registry must have no prefix.
    pub fn register(groups: Groups, build: BuildInfo, registry: &mut Registry) {
        registry.register_collector(Box::new(Snapshots { groups, build }));
    }

    /// And those of the program's log.
    #[must_use]
    pub fn with_log(mut self, log: Log) -> Self {
        self.registry.register_collector(Box::new(LogCounts(log)));
        self
    }

    /// The page, as of now.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        if let Err(error) = text::encode(&mut page, &self.registry) {
            // Writing to a String does not fail. If it did, the page would lack its `# EOF`, which tells the scraper.
            warn!(%error, "the metrics page is incomplete");
        }
        page
    }
}
