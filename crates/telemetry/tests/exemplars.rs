//! Exemplars on the metrics page. Alone in its process: a span that another thread has seen first,
//! without a subscriber, may count as disabled here.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/page.rs"]
#[allow(dead_code, reason = "other tests use all of it")]
mod page;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gaggle_group::{Group, Groups, Key, Propagation, SPAN_TARGET, TraceParent};
use gaggle_telemetry::{BuildInfo, Metrics};
use tracing::{Level, Span};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::page::Page;

/// Has a trace of each load, which is sampled or not.
struct Traced {
    sampled: bool,
}

impl Propagation for Traced {
    fn outgoing(&self, _: &Span) -> Option<TraceParent> {
        TraceParent::new([0xab; 16], [1; 8], u8::from(self.sampled))
    }

    fn incoming(&self, _: &Span, _: &TraceParent) {}
}

fn group(name: &str, sampled: bool) -> Group {
    Group::builder(name)
        .origin_fn(|key: Key| async move {
            match &key[..] {
                b"fails" => Err("the database is down"),
                _ => Ok(Some(key)),
            }
        })
        .propagation(Arc::new(Traced { sampled }))
        .build()
        .unwrap()
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

#[tokio::test]
async fn a_load_of_a_sampled_trace_is_an_exemplar_of_its_bucket() {
    let only = Targets::new().with_target(SPAN_TARGET, Level::DEBUG);
    let _guard = tracing_subscriber::registry().with(only).set_default();
    let (sampled, unsampled) = (group("sampled", true), group("unsampled", false));
    let failing = group("failing", true);
    let build = BuildInfo {
        version: "1".to_owned(),
    };
    let groups = [sampled.clone(), unsampled.clone(), failing.clone()];
    let metrics = Metrics::new(Groups::new(groups).unwrap(), build);
    assert!(Page::parse(&metrics.encode()).exemplars.is_empty());

    let before = now();
    for group in [&sampled, &unsampled] {
        group.get("Tom").await.unwrap();
    }
    // As they are written, in whole milliseconds.
    let about = (before * 1e3).floor() / 1e3..=now();
    // A hit is none.
    sampled.get("Tom").await.unwrap();

    let text = metrics.encode();
    let page = Page::parse(&text);
    let [(series, exemplar)] = Vec::from_iter(&page.exemplars)[..] else {
        panic!("not one exemplar: {text}")
    };
    let labels = "\",group=\"sampled\",source=\"origin\"}";
    assert!(series.starts_with("gaggle_load_seconds_bucket{le=\""));
    assert!(series.ends_with(labels), "{series}");
    assert_eq!(exemplar.trace, "ab".repeat(16));
    assert!(about.contains(&exemplar.at), "{} in {about:?}", exemplar.at);
    assert!(!metrics.encode_plain().contains(" # {"));
    // A load that fails is one, too.
    failing.get("fails").await.unwrap_err();
    let page = Page::parse(&metrics.encode());
    let of_failing = page.exemplars.keys();
    let of_failing = of_failing.filter(|series| series.contains("group=\"failing\""));
    assert_eq!((of_failing.count(), page.exemplars.len()), (1, 2));
}
