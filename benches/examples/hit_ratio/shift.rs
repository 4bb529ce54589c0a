use gaggle_benches::hit_ratio::{Column, Policy, Table, Trace, parallel};

use super::arguments::Arguments;
use super::traces::Traces;

/// What is asked for before, what after, and the capacity in entries.
const SHIFTS: [(&str, &str, usize); 8] = [
    ("cache2k_web12", "scarab_recs", 10_000),
    ("scarab_recs", "cache2k_web12", 1_200),
    ("scarab_recs", "twitter_cluster52_1m", 10_000),
    ("twitter_cluster52_1m", "scarab_recs", 25_000),
    ("arc_P3", "arc_OLTP", 5_000),
    ("arc_OLTP", "cache2k_web07", 1_200),
    ("lirs_gli", "lirs_sprite", 600),
    ("cloudphysics_sample", "lirs_multi1", 1_000),
];

/// The parts of the time after the shift that the table of windows begins with.
const WINDOWS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

const IN_WINDOWS: [Column; 2] = [Column::Lru, Column::Paged];

struct Shift<'a> {
    name: String,
    entries: usize,
    /// The second half of the later trace after the first half of the earlier one.
    shifted: Trace,
    /// The whole of the later trace.
    warm: &'a Trace,
    /// How many accesses there are after the shift.
    after: usize,
}

pub(crate) fn run(arguments: &Arguments, traces: &Traces) -> String {
    let mut columns = arguments.of([
        Column::Quick,
        Column::Moka,
        Column::Foyer,
        Column::Paged,
        Column::GaggleLru,
    ]);
    columns.insert(0, Column::Lru);
    let shifts: Vec<_> = SHIFTS
        .iter()
        .filter_map(|&shift| prepare(shift, traces))
        .collect();
    let cells: Vec<_> = shifts
        .iter()
        .flat_map(|shift| columns.iter().map(move |&column| (shift, column)))
        .collect();
    let outcomes = parallel(&cells, |&(shift, column)| Outcome::of(shift, column));
    let headings = || {
        ["shift"]
            .into_iter()
            .chain(columns.iter().map(|column| column.name()))
    };
    let [mut recovery, mut catching_up, mut lost] = [(); 3].map(|()| Table::new(headings()));
    let mut windows = Table::new(
        ["shift, column".to_owned()]
            .into_iter()
            .chain(WINDOWS.map(|part| format!("{part}/64"))),
    );
    for (shift, outcomes) in shifts.iter().zip(outcomes.chunks(columns.len())) {
        let lru = &outcomes[0];
        let add = |table: &mut Table, figure: &dyn Fn(&Outcome) -> Option<f64>| {
            let figures = outcomes.iter().map(figure).collect();
            table.rows.push((shift.name.clone(), figures));
        };
        add(&mut recovery, &|outcome| {
            within_a_point(&outcome.shifted, &outcome.warm)
        });
        add(&mut catching_up, &|outcome| {
            within_a_point(&outcome.shifted, &lru.warm)
        });
        add(&mut lost, &|outcome| Some(outcome.lost()));
        let shown = columns.iter().zip(outcomes);
        for (column, outcome) in shown.filter(|(column, _)| IN_WINDOWS.contains(column)) {
            let name = format!("{}, {}", shift.name, column.name());
            windows
                .rows
                .push((name, percent_in_windows(&outcome.shifted)));
        }
    }
    format!(
        "## A shift of the popular set\n\n\
        The second half of one trace follows the first half of another, with which it has no key in common. The measure is \
        the same cache on the same accesses after the first half of their own trace. Thousands of accesses after the shift \
        until the last fiftieth of the time after it (at least 1,000 accesses) is within one point of that; none, if it \
        never is:\n\n\
        {recovery}\n\
        The same until it is within one point of what strict LRU would have had without the shift:\n\n\
        {catching_up}\n\
        Thousands of hits fewer than that, over the whole time after the shift:\n\n\
        {lost}\n\
        Hits in percent in the windows up to these parts of the time after the shift:\n\n\
        {windows}"
    )
}

fn prepare<'a>(
    (before, after, entries): (&str, &str, usize),
    traces: &'a Traces,
) -> Option<Shift<'a>> {
    let warm = traces.named(after)?;
    let [earlier, _] = traces.named(before)?.halves();
    let [_, later] = warm.halves();
    Some(Shift {
        name: format!("{before}, then {after} @ {entries}"),
        entries,
        shifted: earlier.then_other(&later),
        warm,
        after: later.accesses().len(),
    })
}

/// The hits up to each access after the shift, and up to the same access without it.
struct Outcome {
    shifted: Vec<usize>,
    warm: Vec<usize>,
}

impl Outcome {
    fn of(shift: &Shift<'_>, column: Column) -> Self {
        let hits = |trace: &Trace| {
            let mut policy = column.of_entries(trace, shift.entries);
            last_hits(trace, policy.as_mut(), shift.after)
        };
        Self {
            shifted: hits(&shift.shifted),
            warm: hits(shift.warm),
        }
    }

    /// In thousands of hits.
    fn lost(&self) -> f64 {
        let count = |hits: &[usize]| hits.last().copied().map_or(0.0, thousands);
        count(&self.warm) - count(&self.shifted)
    }
}

/// The hits up to each of the last so many accesses, from zero.
fn last_hits(trace: &Trace, policy: &mut dyn Policy, count: usize) -> Vec<usize> {
    let (before, after) = trace.accesses().split_at(trace.accesses().len() - count);
    for &access in before {
        policy.access(access);
    }
    let mut sums = Vec::with_capacity(count + 1);
    let mut hits = 0;
    sums.push(hits);
    for &access in after {
        hits += usize::from(policy.access(access));
        sums.push(hits);
    }
    sums
}

/// Thousands of accesses up to the end of the first window in which there is at most one hit in a
/// hundred accesses too few.
fn within_a_point(shifted: &[usize], warm: &[usize]) -> Option<f64> {
    let count = shifted.len() - 1;
    let length = (count / 50).max(1_000);
    let within = |hits: &[usize], end: usize| hits[end] - hits[end - length];
    (length..=count)
        .step_by(length / 10)
        .find(|&end| within(shifted, end) + length / 100 >= within(warm, end))
        .map(thousands)
}

fn percent_in_windows(hits: &[usize]) -> Vec<Option<f64>> {
    let count = hits.len() - 1;
    let mut start = 0;
    let mut percent = Vec::with_capacity(WINDOWS.len());
    for part in WINDOWS {
        let end = count * part / 64;
        let in_window = (hits[end] - hits[start]) * 100;
        percent.push((end > start).then(|| thousands(in_window) / thousands(end - start)));
        start = end;
    }
    percent
}

#[expect(
    clippy::cast_precision_loss,
    reason = "traces have millions of accesses"
)]
fn thousands(n: usize) -> f64 {
    n as f64 / 1_000.0
}
