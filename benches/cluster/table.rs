//! What is printed: Markdown, so that it can go into a page as it is.

/// Medians over the rounds of one side.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// Requests answered in a second.
    pub(crate) per_second: f64,
    /// Latencies, in µs.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// CPU time for a request over all processes of the side, in µs.
    pub(crate) cpu: f64,
}

/// A ratio that ought to be reached, and what it is.
pub(crate) struct Target {
    what: &'static str,
    wanted: String,
    measured: String,
    met: bool,
}

impl Target {
    pub(crate) fn at_least(what: &'static str, least: f64, is: f64) -> Self {
        Self {
            what,
            wanted: format!("≥ {least:.2}"),
            measured: format!("{is:.2}"),
            met: is >= least,
        }
    }

    pub(crate) fn at_most(what: &'static str, most: f64, is: f64) -> Self {
        Self {
            what,
            wanted: format!("≤ {most:.2}"),
            measured: format!("{is:.2}"),
            met: is <= most,
        }
    }
}

/// One scene; ratios are to the first side.
pub(crate) fn scene<'a>(
    title: &str,
    sides: impl Iterator<Item = (&'static str, &'a Figures)> + Clone,
) {
    println!("\n### {title}\n");
    println!("| side | requests/s | of the first | p50 | p99 | CPU time per request |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let first = sides
        .clone()
        .next()
        .map_or(1.0, |(_, side)| side.per_second);
    for (name, side) in sides {
        println!(
            "| {name} | {:.0} | {:.2} | {:.0} µs | {:.0} µs | {:.1} µs |",
            side.per_second,
            side.per_second / first,
            side.p50,
            side.p99,
            side.cpu
        );
    }
}

pub(crate) fn targets(targets: &[Target]) {
    println!("\n### Targets\n");
    println!("| what | target | measured | |");
    println!("| --- | ---: | ---: | --- |");
    for Target {
        what,
        wanted,
        measured,
        met,
    } in targets
    {
        let met = if *met { "met" } else { "missed" };
        println!("| {what} | {wanted} | {measured} | {met} |");
    }
}
