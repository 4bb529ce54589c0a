//! A bucket of an object store.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use gaggle_origin_object::ObjectOptions;
use serde::{Deserialize, Serialize};

use crate::config::secret::{Secret, one_of};
use crate::config::units::Size;
use crate::config::{ConfigError, Span, bounds, mask};

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Object {
    pub(crate) url: String,
    /// The name of a key's object below the URL's prefix.
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_key_id: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_access_key: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_access_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) allow_http: bool,
    pub(crate) virtual_hosted_style: bool,
    pub(crate) anonymous: bool,
    /// Further options of the store, by its own names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<String, Secret>,
    pub(crate) connect_timeout: Span,
    pub(crate) read_timeout: Span,
    /// The longest that a load may take with all of its tries.
    pub(crate) total_timeout: Span,
    pub(crate) retries: usize,
    pub(crate) max_idle_connections: usize,
    pub(crate) idle_timeout: Span,
    /// From which size on an object is read in several parts at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parallel_from: Option<Size>,
    pub(crate) part_size: Size,
    /// How many parts are read at a time.
    pub(crate) parts: usize,
    pub(crate) honour_freshness: bool,
}

impl Default for Object {
    fn default() -> Self {
        let options = ObjectOptions::default();
        Self {
            url: options.url,
            path: options.path,
            endpoint: options.endpoint,
            region: options.region,
            access_key_id: None,
            secret_access_key: None,
            secret_access_key_file: None,
            token: None,
            token_file: None,
            allow_http: options.allow_http,
            virtual_hosted_style: options.virtual_hosted_style,
            anonymous: options.anonymous,
            options: BTreeMap::new(),
            connect_timeout: Span(options.connect_timeout),
            read_timeout: Span(options.read_timeout),
            total_timeout: Span(options.timeout),
            retries: options.retries,
            max_idle_connections: options.max_idle_connections,
            idle_timeout: Span(options.idle_timeout),
            parallel_from: options.parallel_from.map(Size),
            part_size: Size(options.part_size),
            parts: options.parts,
            honour_freshness: options.honour_freshness,
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("url", &mask::url(&self.url))
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Object {
    /// How to open it. Reads the files; `field` names one in an error.
    pub(crate) fn options(
        &self,
        field: impl Fn(&str) -> String,
    ) -> Result<ObjectOptions, ConfigError> {
        let revealed = |secret: &Secret| secret.reveal().to_owned();
        let options = self.options.iter();
        Ok(ObjectOptions {
            url: self.url.clone(),
            path: self.path.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key_id: self.access_key_id.as_ref().map(revealed),
            secret_access_key: one_of(
                &field("secret-access-key-file"),
                self.secret_access_key.as_ref(),
                self.secret_access_key_file.as_deref(),
            )?,
            token: one_of(
                &field("token-file"),
                self.token.as_ref(),
                self.token_file.as_deref(),
            )?,
            allow_http: self.allow_http,
            virtual_hosted_style: self.virtual_hosted_style,
            anonymous: self.anonymous,
            options: options
                .map(|(name, value)| (name.clone(), revealed(value)))
                .collect(),
            connect_timeout: self.connect_timeout.0,
            read_timeout: self.read_timeout.0,
            timeout: self.total_timeout.0,
            retries: self.retries,
            max_idle_connections: self.max_idle_connections,
            idle_timeout: self.idle_timeout.0,
            parallel_from: self.parallel_from.map(|size| size.0),
            part_size: self.part_size.0,
            parts: self.parts,
            honour_freshness: self.honour_freshness,
        })
    }

    pub(super) fn validate(&self, field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        if self.url.is_empty() {
            return Err(ConfigError::new(field("url"), "missing"));
        }
        for (file, both) in [
            (
                "secret-access-key-file",
                self.secret_access_key.is_some() && self.secret_access_key_file.is_some(),
            ),
            (
                "token-file",
                self.token.is_some() && self.token_file.is_some(),
            ),
        ] {
            if both {
                let text = file.trim_end_matches("-file");
                let problem = format!("expected one of {text} and {file}, not both");
                return Err(ConfigError::new(field(file), problem));
            }
        }
        bounds::timeout(&field("connect-timeout"), self.connect_timeout)?;
        bounds::timeout(&field("read-timeout"), self.read_timeout)?;
        bounds::timeout(&field("total-timeout"), self.total_timeout)?;
        bounds::at_most_a_day(&field("idle-timeout"), self.idle_timeout)
    }

    pub(super) fn mask(&mut self) {
        self.url = mask::url(&self.url);
        self.endpoint = self.endpoint.as_deref().map(mask::url);
        let secrets = [
            &mut self.access_key_id,
            &mut self.secret_access_key,
            &mut self.token,
        ];
        let secrets = secrets.into_iter().flatten();
        for secret in secrets.chain(self.options.values_mut()) {
            *secret = Secret::masked();
        }
    }
}
