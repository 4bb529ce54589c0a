//! The command line of `bench`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::timeout;
use crate::addr::Addr;

/// The longest run.
const MAX_TIME: Duration = Duration::from_hours(24);

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The front doors to load, separated by commas; requests go to each of them one after another
    #[arg(
        long = "api-addr",
        value_name = "HOST:PORT",
        env = "GAGGLECTL_API_ADDR",
        default_value = "127.0.0.1:9999",
        value_delimiter = ','
    )]
    pub(crate) api_addrs: Vec<Addr>,
    /// The admin addresses whose counters give the hit ratio, separated by commas
    #[arg(
        long = "admin-addr",
        value_name = "HOST:PORT",
        env = "GAGGLECTL_ADMIN_ADDR",
        value_delimiter = ','
    )]
    pub(crate) admin_addrs: Vec<Addr>,
    /// The group; may be left out where the nodes have only one
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) keys: BenchKeyArgs,
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Prints one JSON document in place of the lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// How much, how fast and for how long.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Open loop: how many requests are due in a second, whatever the answers; without it each
    /// caller asks again when answered
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// How many callers; each has one request under way, and one connection to each node
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) connections: u16,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many requests to measure, in place of a duration
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: Option<u64>,
    /// How long to warm up first, which is not measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration_or_none)]
    pub(crate) warmup: Duration,
    /// How many threads the callers share
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) threads: u8,
}

/// Which keys are asked for.
#[derive(Debug, Args)]
pub(crate) struct BenchKeyArgs {
    /// How many keys there are
    #[arg(long = "keys", value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// The text before a key's number
    #[arg(long = "key-prefix", value_name = "TEXT", default_value = "key-")]
    pub(crate) prefix: String,
    /// Zipf's exponent: key N is asked for in proportion to (N+1)^-S; without it all keys alike
    #[arg(long, value_name = "S", value_parser = exponent)]
    pub(crate) zipf: Option<f64>,
    /// The seed of the random keys
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
}

/// The origin that the bench serves by itself.
#[derive(Debug, Args)]
pub(crate) struct OriginArgs {
    /// Serves values at http://IP:PORT/{key}, for nodes that have this origin
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) serve_origin: Option<SocketAddr>,
    /// The size of each value
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "100B",
        requires = "serve_origin"
    )]
    pub(crate) value_size: ByteSize,
    /// Compares each value to what the origin served for its key
    #[arg(long, requires = "serve_origin")]
    pub(crate) verify: bool,
}

/// What is written besides the report.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// Writes an HdrHistogram log (V2) of the latencies, with an interval for each second
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr: Option<PathBuf>,
    /// Writes a plot of the latencies by percentile, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    timeout(text).and_then(bounded)
}

fn duration_or_none(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| error.to_string())
        .and_then(bounded)
}

fn bounded(time: Duration) -> Result<Duration, String> {
    if time > MAX_TIME {
        return Err("it must be 24h at most".to_owned());
    }
    Ok(time)
}

fn exponent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(exponent) if (0.0..=10.0).contains(&exponent) => Ok(exponent),
        _ => Err("it must be a number from 0 to 10".to_owned()),
    }
}
