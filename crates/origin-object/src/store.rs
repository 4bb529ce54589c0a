//! The store of a URL.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;

use crate::place::Place;
use crate::{ObjectOptions, OptionsError};

/// A store, and the facts that an origin needs.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The prefix of all names in it.
    pub(crate) prefix: String,
    /// Whether it fetches credentials and signs requests.
    pub(crate) signs: bool,
    /// The directory, if it is one.
    pub(crate) directory: Option<PathBuf>,
}

/// Makes the store. It sends no request; it checks that a directory exists.
pub(crate) fn open(place: &Place, options: &ObjectOptions) -> Result<Opened, OptionsError> {
    match place.scheme.as_str() {
        "s3" | "s3a" => s3(place, options),
        "gs" => gcs(place, options),
        "az" | "azure" | "adl" | "abfs" | "abfss" => azure(place, options),
        "file" => directory(place, options),
        _ => Err(OptionsError::new(
            "url",
            "must begin with s3://, gs://, az:// or file://",
        )),
    }
}

#[cfg(feature = "fs")]
fn directory(place: &Place, options: &ObjectOptions) -> Result<Opened, OptionsError> {
    use object_store::local::LocalFileSystem;
    use url::Url;

    if !place.bucket.is_empty() {
        return Err(OptionsError::new("url", "has a host, which no file has"));
    }
    let path = Url::parse(&options.url)
        .ok()
        .and_then(|url| url.to_file_path().ok());
    let path = path.ok_or_else(|| OptionsError::new("url", "is no path of a directory"))?;
    if !path.is_dir() {
        return Err(OptionsError::new("url", "there is no such directory"));
    }
    let store = LocalFileSystem::new_with_prefix(&path)
        .map_err(|_| OptionsError::new("url", "the directory cannot be opened"))?;
    Ok(Opened {
        store: Arc::new(store),
        prefix: String::new(),
        signs: false,
        directory: Some(path),
    })
}

#[cfg(not(feature = "fs"))]
fn directory(_: &Place, _: &ObjectOptions) -> Result<Opened, OptionsError> {
    Err(lacks("fs"))
}

#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure", feature = "fs")))]
fn lacks(feature: &str) -> OptionsError {
    let reason = format!("needs the feature `{feature}` of gaggle-origin-object, which is off");
    OptionsError::new("url", reason)
}

#[cfg(feature = "aws")]
fn s3(place: &Place, options: &ObjectOptions) -> Result<Opened, OptionsError> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Name};

    let cloud = Cloud::new(place, options)?;
    let mut builder = if cloud.reads_environment() {
        AmazonS3Builder::from_env()
    } else {
        AmazonS3Builder::new()
    };
    let keys = (&options.access_key_id, &options.secret_access_key);
    match keys {
        (Some(id), Some(secret)) => {
            builder = builder
                .with_access_key_id(id)
                .with_secret_access_key(secret);
        }
        (None, None) if options.token.is_none() => {}
        (None, _) => return Err(OptionsError::new("access_key_id", "is missing")),
        (_, None) => return Err(OptionsError::new("secret_access_key", "is missing")),
    }
    if let Some(token) = &options.token {
        builder = builder.with_token(token);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if options.virtual_hosted_style {
        builder = builder.with_virtual_hosted_style_request(true);
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    for (name, value) in &options.options {
        match name.parse() {
            Ok(Name::Client(_)) => return Err(of_the_client(name)),
            Ok(name) => builder = builder.with_config(name, value),
            Err(_) => return Err(unknown(name)),
        }
    }
    let store = builder
        .with_bucket_name(&place.bucket)
        .with_client_options(cloud.client_options())
        .with_retry(cloud.retry())
        .with_http_connector(cloud.connector)
        .build();
    opened(store, place, options)
}

#[cfg(not(feature = "aws"))]
fn s3(_: &Place, _: &ObjectOptions) -> Result<Opened, OptionsError> {
    Err(lacks("aws"))
}

#[cfg(feature = "gcp")]
fn gcs(place: &Place, options: &ObjectOptions) -> Result<Opened, OptionsError> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Name};

    let cloud = Cloud::new(place, options)?;
    let foreign = [
        ("access_key_id", options.access_key_id.is_some()),
        ("secret_access_key", options.secret_access_key.is_some()),
        ("region", options.region.is_some()),
        ("virtual_hosted_style", options.virtual_hosted_style),
    ];
    refuse(foreign, "gs://")?;
    let mut builder = if cloud.reads_environment() {
        GoogleCloudStorageBuilder::from_env()
    } else {
        GoogleCloudStorageBuilder::new()
    };
    if let Some(token) = &options.token {
        builder = builder.with_bearer_token(token);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_base_url(endpoint.trim_end_matches('/'));
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    for (name, value) in &options.options {
        match name.parse() {
            Ok(Name::Client(_)) => return Err(of_the_client(name)),
            Ok(name) => builder = builder.with_config(name, value),
            Err(_) => return Err(unknown(name)),
        }
    }
    let store = builder
        .with_bucket_name(&place.bucket)
        .with_client_options(cloud.client_options())
        .with_retry(cloud.retry())
        .with_http_connector(cloud.connector.taking_gzip())
        .build();
    opened(store, place, options)
}

#[cfg(not(feature = "gcp"))]
fn gcs(_: &Place, _: &ObjectOptions) -> Result<Opened, OptionsError> {
    Err(lacks("gcp"))
}

#[cfg(feature = "azure")]
fn azure(place: &Place, options: &ObjectOptions) -> Result<Opened, OptionsError> {
    use object_store::azure::{AzureConfigKey as Name, MicrosoftAzureBuilder};

    let cloud = Cloud::new(place, options)?;
    let foreign = [
        ("region", options.region.is_some()),
        ("virtual_hosted_style", options.virtual_hosted_style),
    ];
    refuse(foreign, "az://")?;
    let mut builder = if cloud.reads_environment() {
        MicrosoftAzureBuilder::from_env()
    } else {
        MicrosoftAzureBuilder::new()
    };
    if let Some(account) = &options.access_key_id {
        builder = builder.with_account(account);
    }
    if let Some(secret) = &options.secret_access_key {
        builder = builder.with_access_key(secret);
    }
    if let Some(token) = &options.token {
        builder = builder.with_bearer_token_authorization(token);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    for (name, value) in &options.options {
        match name.parse() {
            Ok(Name::Client(_)) => return Err(of_the_client(name)),
            Ok(name) => builder = builder.with_config(name, value),
            Err(_) => return Err(unknown(name)),
        }
    }
    let store = builder
        .with_url(format!("{}://{}/", place.scheme, place.bucket))
        .with_client_options(cloud.client_options())
        .with_retry(cloud.retry())
        .with_http_connector(cloud.connector)
        .build();
    opened(store, place, options)
}

#[cfg(not(feature = "azure"))]
fn azure(_: &Place, _: &ObjectOptions) -> Result<Opened, OptionsError> {
    Err(lacks("azure"))
}

/// What the three services share.
#[cfg(feature = "cloud")]
struct Cloud<'a> {
    options: &'a ObjectOptions,
    connector: crate::client::Connector,
}

#[cfg(feature = "cloud")]
impl<'a> Cloud<'a> {
    fn new(place: &Place, options: &'a ObjectOptions) -> Result<Self, OptionsError> {
        if place.bucket.is_empty() {
            return Err(OptionsError::new("url", "has no bucket"));
        }
        if let Some(endpoint) = &options.endpoint {
            check_endpoint(endpoint, options.allow_http)?;
        }
        let keys = [&options.secret_access_key, &options.token];
        if options.anonymous && keys.iter().any(|key| key.is_some()) {
            let reason = "requests are not signed, and yet there is a key or a token";
            return Err(OptionsError::new("anonymous", reason));
        }
        let connector = crate::client::Connector::new(options)
            .map_err(|error| OptionsError::new("url", format!("no TLS: {error}")))?;
        Ok(Self { options, connector })
    }

    /// Whether keys are read from the environment: keys from here and half of those from there
    /// would not match.
    fn reads_environment(&self) -> bool {
        let options = self.options;
        !options.anonymous && options.secret_access_key.is_none() && options.token.is_none()
    }

    fn client_options(&self) -> object_store::ClientOptions {
        object_store::ClientOptions::new().with_allow_http(self.options.allow_http)
    }

    fn retry(&self) -> object_store::RetryConfig {
        object_store::RetryConfig {
            backoff: object_store::BackoffConfig {
                init_backoff: std::time::Duration::from_millis(100),
                max_backoff: std::time::Duration::from_secs(1),
                base: 2.0,
            },
            max_retries: self.options.retries,
            retry_timeout: self.options.timeout,
        }
    }
}

#[cfg(feature = "cloud")]
fn check_endpoint(endpoint: &str, allows_http: bool) -> Result<(), OptionsError> {
    let refused = |reason: &str| Err(OptionsError::new("endpoint", reason));
    let Ok(url) = url::Url::parse(endpoint) else {
        return refused("is not a URL");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refused("has a user or a password, which belong in options of their own");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refused("has a query or a fragment, which are not used");
    }
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => Ok(()),
        ("http", Some(_)) if allows_http => Ok(()),
        ("http", Some(_)) => refused("is http://, which `allow_http` does not allow"),
        _ => refused("must begin with https:// or http://"),
    }
}

#[cfg(any(feature = "gcp", feature = "azure"))]
fn refuse<const N: usize>(
    foreign: [(&'static str, bool); N],
    scheme: &str,
) -> Result<(), OptionsError> {
    match foreign.into_iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(OptionsError::new(
            field,
            format!("is not used with {scheme}"),
        )),
        None => Ok(()),
    }
}

#[cfg(feature = "cloud")]
fn of_the_client(name: &str) -> OptionsError {
    let reason = format!("`{name}` is one of an HTTP client that is not used here");
    OptionsError::new("options", reason)
}

#[cfg(feature = "cloud")]
fn unknown(name: &str) -> OptionsError {
    let name = name.escape_debug();
    OptionsError::new("options", format!("the store knows no option `{name}`"))
}

#[cfg(feature = "cloud")]
fn opened<S: ObjectStore>(
    store: object_store::Result<S>,
    place: &Place,
    options: &ObjectOptions,
) -> Result<Opened, OptionsError> {
    let store = store.map_err(|error| {
        let mut reason = error.to_string();
        let keys = [
            &options.access_key_id,
            &options.secret_access_key,
            &options.token,
        ];
        let secrets = keys
            .into_iter()
            .flatten()
            .chain(options.options.values())
            .filter(|secret| !secret.is_empty());
        for secret in secrets {
            reason = reason.replace(secret.as_str(), "…");
        }
        OptionsError::new("url", reason)
    })?;
    Ok(Opened {
        store: Arc::new(store),
        prefix: place.prefix.clone(),
        signs: !options.anonymous,
        directory: None,
    })
}
