//! Scratch.
use std::sync::Arc;
use bytes::Bytes;
use gaggle_group::{Group, SPAN_TARGET};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::{Instrument, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, registry};

#[test]
fn herd() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let only = EnvFilter::new(format!("info,{SPAN_TARGET}=debug"));
    tracing::subscriber::set_global_default(registry().with(layer.with_filter(only))).unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    rt.block_on(async {
        let group = Group::builder("scores")
            .origin_fn(|key: Bytes| async move {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                Ok::<_, std::io::Error>(Some(key))
            })
            .build()
            .unwrap();
        let mut joined = 0;
        for n in 0..2000 {
            let barrier = Arc::new(tokio::sync::Barrier::new(8));
            let mut set = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let (group, barrier) = (group.clone(), barrier.clone());
                set.spawn(async move { barrier.wait().await; group.get(n.to_string()).await.unwrap(); }.instrument(info_span!("caller")));
            }
            set.join_all().await;
            joined += 7;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let spans = exporter.get_finished_spans().unwrap();
        let linked: usize = spans.iter().filter(|s| s.name == "caller").map(|s| s.links.len()).sum();
        println!("HERD joined {joined} (stats {}) linked {linked}", group.stats().collapsed);
    });
}
