//! `gagglectl bench`: puts load on the front doors and measures it.
//!
//! A [`schedule`] says when each request is due, [`caller`]s send them over their [`connection`]s
//! and [`recorder`]s keep their results. The warm-up is a separate schedule, with the same callers
//! and a recorder that is not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::{BenchArgs, LoadArgs, OriginArgs};
use crate::client::Client;
use crate::outcome::{Failure, Outcome};
use crate::output;

use self::caller::{Caller, Plan};
use self::cluster::Before;
use self::connection::FrontDoor;
use self::hdr::{HdrFile, HdrLog};
use self::keys::Keys;
use self::origin::Origin;
use self::plot::PlotFile;
use self::progress::Progress;
use self::recorder::{Recorder, Recorders};
use self::report::{OriginReport, Report};
use self::schedule::{Length, Schedule};

mod caller;
mod cluster;
mod connection;
mod hdr;
mod keys;
mod origin;
mod plot;
mod progress;
mod reason;
mod recorder;
mod report;
mod schedule;
mod value;

/// The largest value that a group takes by default.
const MAX_VALUE: u64 = 64 << 20;

/// The results of one schedule.
struct Phase {
    callers: Vec<Caller>,
    recorder: Recorder,
    elapsed: Duration,
    /// Whether the log of histograms was written.
    logged: Result<(), Failure>,
}

pub(crate) async fn run(
    client: &Client,
    args: &BenchArgs,
    timeout: Duration,
) -> Result<Outcome, Failure> {
    let mut keys = Keys::new(&args.keys, args.group.as_deref())?;
    let hdr = args.files.hdr.as_deref().map(HdrFile::create).transpose()?;
    let plot = args
        .files
        .plot
        .as_deref()
        .map(PlotFile::create)
        .transpose()?;
    let origin = serve(&args.origin)?;
    let mut doors = Vec::with_capacity(args.api_addrs.len());
    for addr in &args.api_addrs {
        doors.push(Arc::new(
            FrontDoor::find(addr, client.tls(), timeout).await?,
        ));
    }
    let plan = Arc::new(Plan {
        doors,
        timeout,
        verify: args.origin.verify.then(|| args.origin.value_size.as_u64()),
    });
    let mut callers = Caller::many(args.load.connections, &plan, &mut keys);
    if !args.load.warmup.is_zero() {
        let length = Length::Time(args.load.warmup);
        callers = phase("warm-up", length, &args.load, callers, None)
            .await?
            .callers;
    }

    let before = Before::read(client, args).await?;
    let loads_before = origin.as_ref().map_or(0, Origin::loads);
    let length = (args.load.requests).map_or(Length::Time(args.load.duration), Length::Requests);
    let Phase {
        recorder,
        elapsed,
        logged,
        ..
    } = phase("load", length, &args.load, callers, hdr).await?;
    let cluster = match before {
        Some(before) => Some(before.compare(client, args.group.as_deref()).await?),
        None => None,
    };
    let origin = origin.map(|origin| OriginReport {
        loads: origin.loads() - loads_before,
        value_size: args.origin.value_size.as_u64(),
        verified: args.origin.verify,
    });

    let missed = cluster.iter().flat_map(|cluster| &cluster.missed);
    let missed = missed.inspect(|missed| output::note(&missed.error)).count();
    let report = Report::new(args, &recorder, elapsed, cluster, origin);
    let plotted = plot.map_or(Ok(()), |file| file.write(&report.title(), &recorder));
    let unwritten: Vec<Failure> = [logged, plotted]
        .into_iter()
        .filter_map(Result::err)
        .collect();
    let outcome = if !unwritten.is_empty() {
        Outcome::Unwritten
    } else if recorder.errors() > 0 {
        Outcome::Errors
    } else if missed > 0 {
        Outcome::Missed
    } else {
        Outcome::Complete
    };
    let text = if args.json {
        report
            .json()
            .map_err(|error| Failure::Failed(format!("the report cannot be written: {error}")))?
    } else {
        report.lines()
    };
    // First, since a file that cannot be written must not cost the report.
    let printed = output::answer(text.as_bytes());
    for failure in unwritten {
        output::note(&failure.to_string());
    }
    printed?;
    Ok(outcome)
}

/// The origin, if one is requested. Prints its address, because the port may be any free one.
fn serve(args: &OriginArgs) -> Result<Option<Origin>, Failure> {
    let Some(addr) = args.serve_origin else {
        return Ok(None);
    };
    let size = args.value_size.as_u64();
    if size > MAX_VALUE {
        return Err(Failure::Usage(format!(
            "values of {size} bytes are over the limit of {MAX_VALUE}"
        )));
    }
    let origin = Origin::serve(addr, size)
        .map_err(|error| Failure::Usage(format!("--serve-origin {addr}: {error}")))?;
    output::note(&format!("values at http://{}/{{key}}", origin.addr));
    Ok(Some(origin))
}

async fn phase(
    name: &'static str,
    length: Length,
    load: &LoadArgs,
    callers: Vec<Caller>,
    hdr: Option<HdrFile>,
) -> Result<Phase, Failure> {
    let failed = |error| Failure::Failed(format!("no histogram: {error}"));
    let threads = load.threads.into();
    let recorders = match hdr {
        Some(_) => Recorders::with_intervals(threads),
        None => Recorders::new(threads),
    };
    let recorders = Arc::new(recorders.map_err(failed)?);
    let hdr = hdr.map(|file| file.start(&recorders)).transpose()?;
    let start = Instant::now();
    let schedule = Arc::new(match load.rate {
        Some(rate) => Schedule::open(start, length, rate, callers.len()),
        None => Schedule::closed(start, length),
    });
    let progress = Progress::start(name, length, start, &recorders);
    let callers = caller::run(callers, &schedule, &recorders).await?;
    let elapsed = match length {
        // The last request may be answered before the measured time ends.
        Length::Time(time) => start.elapsed().max(time),
        Length::Requests(_) => start.elapsed(),
    };
    drop(progress);
    let logged = hdr.map_or(Ok(()), HdrLog::finish);
    Ok(Phase {
        callers,
        recorder: recorders.sum().map_err(failed)?,
        elapsed,
        logged,
    })
}
