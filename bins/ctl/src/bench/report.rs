//! The result of a bench, for machines and for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytesize::ByteSize;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::cluster::Cluster;
use super::reason::Met;
use super::recorder::{Kinds, Recorder};
use crate::cli::BenchArgs;

/// The most reasons that the lines have. `--json` has all.
const MAX_FAILURES: usize = 8;

/// The document of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    mode: &'static str,
    /// Requests due in a second; `null` in a closed loop.
    rate: Option<u32>,
    connections: u16,
    threads: u8,
    nodes: Vec<String>,
    group: Option<String>,
    keys: KeysReport,
    elapsed_seconds: f64,
    requests: u64,
    requests_per_second: f64,
    /// Answered with 200 and, if values are verified, the right value.
    ok: u64,
    ok_per_second: f64,
    errors: u64,
    errors_by_status: BTreeMap<u16, u64>,
    errors_by_kind: Kinds,
    /// Why, the most frequent reason first.
    failures: Vec<Met>,
    body_bytes: u64,
    body_bytes_per_second: f64,
    /// Of every request, however it ended.
    latency_us: Option<Latencies>,
    /// Of the `ok` ones.
    latency_ok_us: Option<Latencies>,
    /// `null` where no admin address was given.
    cluster: Option<Cluster>,
    /// `null` where the bench served none.
    origin: Option<OriginReport>,
}

#[derive(Debug, Serialize)]
struct KeysReport {
    count: u32,
    prefix: String,
    /// `null`: all keys are equally likely.
    zipf: Option<f64>,
    seed: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Latencies {
    mean: f64,
    p50: u64,
    p90: u64,
    p99: u64,
    #[serde(rename = "p99.9")]
    p99_9: u64,
    max: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct OriginReport {
    pub(super) loads: u64,
    pub(super) value_size: u64,
    pub(super) verified: bool,
}

impl Report {
    pub(super) fn new(
        args: &BenchArgs,
        recorder: &Recorder,
        elapsed: Duration,
        cluster: Option<Cluster>,
        origin: Option<OriginReport>,
    ) -> Self {
        let (load, keys) = (&args.load, &args.keys);
        Self {
            mode: if load.rate.is_some() {
                "open"
            } else {
                "closed"
            },
            rate: load.rate,
            connections: load.connections,
            threads: load.threads,
            nodes: args.api_addrs.iter().map(ToString::to_string).collect(),
            group: args.group.clone(),
            keys: KeysReport {
                count: keys.count,
                prefix: keys.prefix.clone(),
                zipf: keys.zipf,
                seed: keys.seed,
            },
            elapsed_seconds: elapsed.as_secs_f64(),
            requests: recorder.requests(),
            requests_per_second: per_second(recorder.requests(), elapsed),
            ok: recorder.ok.len(),
            ok_per_second: per_second(recorder.ok.len(), elapsed),
            errors: recorder.errors(),
            errors_by_status: recorder.statuses.clone(),
            errors_by_kind: recorder.kinds,
            failures: recorder.reasons.met(),
            body_bytes: recorder.bytes,
            body_bytes_per_second: per_second(recorder.bytes, elapsed),
            latency_us: Latencies::of(&recorder.all),
            latency_ok_us: Latencies::of(&recorder.ok),
            cluster,
            origin,
        }
    }

    /// A summary of the measurement, in one line.
    pub(super) fn title(&self) -> String {
        let Self {
            mode,
            requests,
            connections,
            elapsed_seconds,
            ..
        } = self;
        let rate = self.requests_per_second;
        format!(
            "{mode} loop, {connections} callers: {requests} requests in {elapsed_seconds:.1} s, {rate:.1}/s"
        )
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut lines);
        lines
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { mode, requests, .. } = self;
        let pace = self
            .rate
            .map_or(String::new(), |rate| format!(" at {rate}/s"));
        let nodes = match self.nodes.len() {
            1 => "1 node".to_owned(),
            count => format!("{count} nodes"),
        };
        let (callers, seconds) = (self.connections, self.elapsed_seconds);
        writeln!(
            out,
            "load      {mode} loop{pace}, {callers} callers, {nodes}, {seconds:.2} s"
        )?;
        let rate = self.requests_per_second;
        writeln!(out, "requests  {requests}, {rate:.1}/s")?;
        let (ok, rate) = (self.ok, self.ok_per_second);
        writeln!(out, "ok        {ok}, {rate:.1}/s")?;
        writeln!(out, "errors    {}", self.errors_line())?;
        for met in self.failures.iter().take(MAX_FAILURES) {
            let Met { count, reason, .. } = met;
            let status = met
                .status
                .map_or(String::new(), |status| format!("status {status}: "));
            writeln!(out, "          {count} {status}{reason}")?;
        }
        writeln!(
            out,
            "bytes     {}, {}/s",
            iec(self.body_bytes),
            iec(whole(self.body_bytes_per_second))
        )?;
        if let Some(latencies) = self.latency_us {
            writeln!(out, "latency   {}", latencies.line())?;
        }
        if let Some(latencies) = self.latency_ok_us
            && self.errors > 0
        {
            writeln!(out, "of ok     {}", latencies.line())?;
        }
        if let Some(cluster) = &self.cluster {
            writeln!(out, "cluster   {}", cluster_line(cluster))?;
        }
        if let Some(origin) = &self.origin {
            let size = iec(origin.value_size);
            writeln!(out, "origin    {} loads of {size}", origin.loads)?;
        }
        Ok(())
    }

    fn errors_line(&self) -> String {
        let Kinds {
            connect,
            timeout,
            broken,
            late,
            wrong,
        } = self.errors_by_kind;
        let kinds = [
            ("no connection", connect),
            ("timeout", timeout),
            ("broken", broken),
            ("not sent in time", late),
            ("wrong value", wrong),
        ];
        let statuses = self
            .errors_by_status
            .iter()
            .map(|(status, count)| format!("{count} status {status}"));
        let kinds = kinds
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{count} {kind}"));
        let parts: Vec<String> = statuses.chain(kinds).collect();
        if parts.is_empty() {
            return "0".to_owned();
        }
        format!("{}: {}", self.errors, parts.join(", "))
    }
}

impl Latencies {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        Some(Self {
            mean: histogram.mean(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p99_9: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        })
    }

    fn line(&self) -> String {
        [
            ("mean", whole(self.mean)),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p99_9),
            ("max", self.max),
        ]
        .map(|(name, micros)| format!("{name} {}", time(micros)))
        .join("  ")
    }
}

fn cluster_line(cluster: &Cluster) -> String {
    let Cluster {
        gets,
        origin_loads,
        peer_loads,
        ..
    } = cluster;
    let hits = cluster
        .hit_ratio
        .map_or("-".to_owned(), |ratio| format!("{:.1}%", ratio * 100.0));
    let mut line = format!(
        "{hits} hits of {gets} gets, {origin_loads} loads from the origin, {peer_loads} from peers"
    );
    if !cluster.missed.is_empty() {
        let _ = write!(line, " (without {} nodes)", cluster.missed.len());
    }
    line
}

#[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        return 0.0;
    }
    count as f64 / elapsed.as_secs_f64()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn iec(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// Three digits or more.
#[expect(clippy::cast_precision_loss, reason = "of a day at most")]
fn time(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{micros} us"),
        10_000..10_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}
