//! The `tracing` table: where traces are sent, and which.
//!
//! The variables that OpenTelemetry names for all programs stand in for fields that nothing else
//! sets (`variables.rs`).

use std::path::PathBuf;

use gaggle_telemetry::{OtlpError, OtlpOptions, otlp};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::bounds::{interval, timeout};
use super::units::Span;

mod variables;

pub(super) use variables::{is_meant, lay_below};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Tracing {
    /// The base URL of a collector. None: nothing is traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    pub(crate) protocol: Protocol,
    /// A file with headers for the collector, such as credentials: one a line, `name: value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) headers_file: Option<PathBuf>,
    /// The authority of the collector's certificate; by default those that this machine trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// The part of traces that is recorded.
    pub(crate) sample: f64,
    /// Whether the decision of clients, whether a trace is recorded, is followed.
    pub(crate) follow_parents: bool,
    pub(crate) service_name: String,
    /// Other attributes of the resource, in the form of `OTEL_RESOURCE_ATTRIBUTES`: `team=a,tier=1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource_attributes: Option<String>,
    /// How long a request to the collector may take.
    pub(crate) timeout: Span,
    /// How often spans are sent that do not fill a batch.
    pub(crate) interval: Span,
    /// Spans that wait, at most.
    pub(crate) max_queue: usize,
    /// Spans in one request, at most.
    pub(crate) max_batch: usize,
}

/// The protocol of a collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    /// OTLP over HTTP.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// The most spans that may be configured to wait. More would take too much memory from the cache.
const MOST_SPANS: usize = 1 << 16;

impl Default for Tracing {
    fn default() -> Self {
        let options = OtlpOptions::default();
        Self {
            endpoint: None,
            protocol: Protocol::default(),
            headers_file: options.headers_file,
            ca: options.ca,
            sample: options.sample,
            follow_parents: options.follow_parents,
            service_name: options.service_name,
            resource_attributes: None,
            timeout: Span(options.timeout),
            interval: Span(options.interval),
            max_queue: options.max_queue,
            max_batch: options.max_batch,
        }
    }
}

impl Tracing {
    /// The options of the exporter, if traces are exported.
    pub(crate) fn options(&self) -> Option<OtlpOptions> {
        let endpoint = self.endpoint.clone()?;
        Some(OtlpOptions {
            endpoint,
            headers_file: self.headers_file.clone(),
            ca: self.ca.clone(),
            sample: self.sample,
            follow_parents: self.follow_parents,
            service_name: self.service_name.clone(),
            service_version: env!("CARGO_PKG_VERSION").to_owned(),
            // Checked when the configuration is read.
            resource_attributes: self.attributes().unwrap_or_default(),
            timeout: self.timeout.0,
            interval: self.interval.0,
            max_queue: self.max_queue,
            max_batch: self.max_batch,
        })
    }

    fn attributes(&self) -> Result<Vec<(String, String)>, OtlpError> {
        let text = self.resource_attributes.as_deref();
        otlp::resource_attributes(text.unwrap_or_default())
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        timeout("tracing.timeout", self.timeout)?;
        interval("tracing.interval", self.interval)?;
        if self.service_name.is_empty() {
            return Err(ConfigError::new("tracing.service-name", "is empty"));
        }
        if self.max_queue > MOST_SPANS {
            let problem = format!("expected at most {MOST_SPANS}");
            return Err(ConfigError::new("tracing.max-queue", problem));
        }
        self.attributes().map_err(|failure| refused(&failure))?;
        // Even without an endpoint the other fields must be valid: an invalid one is reported
        // before it is needed.
        let options = self.options().unwrap_or_else(|| {
            let endpoint = Some("http://127.0.0.1:4318".to_owned());
            let with = Self {
                endpoint,
                ..self.clone()
            };
            with.options().unwrap_or_default()
        });
        options.check().map_err(|failure| refused(&failure))
    }
}

/// What is wrong with a field of this table.
pub(crate) fn refused(failure: &OtlpError) -> ConfigError {
    let field = failure.field().replace('_', "-");
    ConfigError::new(format!("tracing.{field}"), failure.reason())
}
