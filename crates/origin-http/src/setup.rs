//! From options to an origin: everything that can be checked is checked here.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::addresses::{Resolver, check_host};
use crate::client::Factory;
use crate::origin::{Common, Inner};
use crate::retry::RetryBudget;
use crate::service::Service;
use crate::template::Template;
use crate::upstream::{Patience, Upstream};
use crate::url::{Site, public_part};
use crate::{Allow, HttpOptions, HttpOrigin, OptionsError};

pub(crate) fn origin(options: &HttpOptions, allow: Allow) -> Result<HttpOrigin, OptionsError> {
    let templates = each(
        ["url", "fallbacks"],
        &options.url,
        &options.fallbacks,
        |url| {
            let template = Template::parse(url)?;
            check_site(template.site(), allow)?;
            Ok(if allow.dot_segments {
                template.with_dot_segments()
            } else {
                template
            })
        },
    )?;
    options.check()?;
    let https = templates.iter().any(|it| it.site().https);
    #[cfg(feature = "batch")]
    let batch = crate::batch::Checked::of(options, allow)?;
    #[cfg(feature = "batch")]
    let https = https || batch.as_ref().is_some_and(crate::batch::Checked::is_https);
    #[cfg(not(feature = "batch"))]
    if options.batch.is_some() {
        let reason = "needs the feature `batch` of gaggle-origin-http, which is off";
        return Err(OptionsError::new("batch", reason));
    }
    options.check_tls(https)?;
    let common = Common {
        headers: options.header_map()?,
        bearer: options.token()?,
        honour_freshness: options.honour_freshness,
        send_trace: options.send_trace,
        send_timeout: options.send_timeout,
    };
    let services = Services {
        options,
        factory: Factory::new(options, https, Resolver::new(!allow.link_local))?,
        budget: Arc::new(RetryBudget::new()),
    };
    Ok(HttpOrigin {
        inner: Arc::new(Inner {
            service: services.of(&options.url, &options.fallbacks),
            #[cfg(feature = "batch")]
            batch: batch.map(|batch| batch.build(&services)),
            templates,
            common,
            total_timeout: options.total_timeout,
        }),
    })
}

/// Parses a URL and its fallbacks with `parse`, with errors that name the field.
pub(crate) fn each<T>(
    [field, others]: [&'static str; 2],
    url: &str,
    fallbacks: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, OptionsError> {
    let first = parse(url).map_err(|reason| OptionsError::new(field, reason));
    let others = fallbacks.iter().enumerate().map(|(at, url)| {
        let number = at + 1;
        parse(url).map_err(|reason| OptionsError::new(others, format!("number {number}: {reason}")))
    });
    std::iter::once(first).chain(others).collect()
}

pub(crate) fn check_site(site: &Site, allow: Allow) -> Result<(), String> {
    if allow.link_local {
        return Ok(());
    }
    check_host(&site.host).map_err(|error| error.to_string())
}

/// Makes services that share a budget of retries.
pub(crate) struct Services<'a> {
    options: &'a HttpOptions,
    factory: Factory,
    budget: Arc<RetryBudget>,
}

impl Services<'_> {
    pub(crate) fn of(&self, url: &str, fallbacks: &[String]) -> Service {
        let options = self.options;
        let urls = std::iter::once(url).chain(fallbacks.iter().map(String::as_str));
        let alone = fallbacks.is_empty();
        Service {
            upstreams: urls
                .map(|url| Upstream::new(public_part(url), &self.factory, alone))
                .collect(),
            balance: options.balance,
            turn: AtomicUsize::new(0),
            retries: options.retries,
            budget: Arc::clone(&self.budget),
            patience: Patience {
                head: options.connect_timeout.saturating_add(options.read_timeout),
                read: options.read_timeout,
            },
        }
    }
}
