//! The state of the screen: the last samples, and what the keys chose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::History;
use super::keys::Input;
use super::poll::{HotKeys, Sample, Wish};
use crate::addr::Addr;
use crate::cli::TopArgs;
use crate::cluster::{Cluster, GroupCounters, Node};

/// How much of the past the plots show, in seconds. A node keeps an hour.
const SPANS: [f64; 3] = [300.0, 900.0, 3600.0];

/// A rate over a shorter time is noise.
const MIN_ELAPSED: Duration = Duration::from_millis(250);

/// The most groups and nodes that can be chosen, however many a node names.
const MAX_CHOICES: usize = 1000;

#[derive(Debug)]
pub(super) struct Model {
    pub(super) has_colours: bool,
    pub(super) paused: bool,
    entries: Vec<Addr>,
    /// Which of [`SPANS`].
    span: usize,
    /// The chosen group; `None` for all.
    pub(super) group: Option<String>,
    /// The name of the chosen node; `None` for the one that is asked.
    chosen: Option<String>,
    pub(super) entry: Option<Addr>,
    pub(super) cluster: Option<Cluster>,
    /// The node that `history` is of.
    pub(super) plotted: Option<Addr>,
    pub(super) history: Option<History>,
    /// Of the group that the keys are of.
    pub(super) hot: Option<(String, HotKeys)>,
    /// Gets in a second since the sample before, by node.
    pub(super) rates: BTreeMap<String, Rates>,
    /// The sample from which the rates are computed.
    baseline: Option<(Instant, Cluster)>,
    /// Why the last sample is not complete.
    pub(super) error: Option<String>,
}

/// Per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) gets: f64,
    /// Hits of clients' gets, in percent; `None` without gets.
    pub(super) hit_percent: Option<f64>,
}

/// The consequence of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Draw,
    /// The request to the nodes has changed.
    Ask,
    Quit,
}

impl Model {
    pub(super) fn new(args: &TopArgs, has_colours: bool) -> Self {
        Self {
            has_colours,
            paused: false,
            entries: args.admin.addrs.clone(),
            span: 1,
            group: args.group.clone(),
            chosen: None,
            entry: None,
            cluster: None,
            plotted: None,
            history: None,
            hot: None,
            rates: BTreeMap::new(),
            baseline: None,
            error: None,
        }
    }

    /// What the poller asks from now on.
    pub(super) fn wish(&self) -> Arc<Wish> {
        Arc::new(Wish {
            entries: self.entries.clone(),
            node: self.chosen_addr(),
            group: self.hot_group(),
            paused: self.paused,
        })
    }

    pub(super) fn span(&self) -> f64 {
        SPANS[self.span]
    }

    /// Whether this node's history is plotted.
    pub(super) fn is_chosen(&self, node: &Node) -> bool {
        match &self.chosen {
            Some(name) => *name == node.name,
            None => node.is_self,
        }
    }

    /// The group whose keys are shown: the chosen one, or the first.
    pub(super) fn hot_group(&self) -> Option<String> {
        let first = || self.groups().into_iter().next();
        self.group.clone().or_else(first)
    }

    pub(super) fn groups(&self) -> Vec<String> {
        let groups = self.cluster.iter().flat_map(|cluster| cluster.groups());
        groups.take(MAX_CHOICES).map(str::to_owned).collect()
    }

    /// Takes in a sample. Parts that failed keep their last state, and the reason is shown.
    pub(super) fn take(&mut self, sample: Sample) {
        if self.paused {
            return;
        }
        self.error = None;
        match sample.cluster {
            Ok(cluster) => {
                self.count(sample.at, &cluster);
                self.cluster = Some(cluster);
                self.entry = sample.entry;
            }
            Err(error) => self.error = Some(error),
        }
        match sample.history {
            Ok(history) => {
                self.history = Some(history);
                self.plotted = sample.plotted;
            }
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
        match sample.hot {
            Some((group, Ok(keys))) => self.hot = Some((group, keys)),
            Some((_, Err(error))) => self.error = self.error.take().or(Some(error)),
            None => {}
        }
    }

    /// Counts what has happened since the baseline, unless that is a moment ago.
    fn count(&mut self, at: Instant, cluster: &Cluster) {
        if let Some((since, before)) = &self.baseline {
            let elapsed = at.saturating_duration_since(*since);
            if elapsed < MIN_ELAPSED {
                return;
            }
            let group = self.group.as_deref();
            self.rates = rates(before, cluster, group, elapsed.as_secs_f64());
        }
        self.baseline = Some((at, cluster.clone()));
    }

    pub(super) fn press(&mut self, input: Input) -> Step {
        match input {
            Input::Quit => Step::Quit,
            Input::Resize => Step::Draw,
            Input::Pause => {
                self.paused = !self.paused;
                Step::Ask
            }
            Input::ShorterSpan => {
                self.span = self.span.saturating_sub(1);
                Step::Draw
            }
            Input::LongerSpan => {
                self.span = (self.span + 1).min(SPANS.len() - 1);
                Step::Draw
            }
            Input::NextGroup => {
                let groups = self.groups();
                let next = match &self.group {
                    None => 0,
                    Some(group) => groups
                        .iter()
                        .position(|name| name == group)
                        .map_or(0, |at| at + 1),
                };
                // After the last group comes the sum of all.
                self.group = groups.into_iter().nth(next);
                // They were of another group.
                self.rates.clear();
                Step::Ask
            }
            Input::PreviousNode => self.choose(false),
            Input::NextNode => self.choose(true),
        }
    }

    /// Goes to the next or the previous node that can be asked.
    fn choose(&mut self, forward: bool) -> Step {
        let Some(cluster) = &self.cluster else {
            return Step::Draw;
        };
        let nodes: Vec<&Node> = cluster
            .nodes
            .iter()
            .take(MAX_CHOICES)
            .filter(|node| node.is_self || admin(node).is_some())
            .collect();
        let at = nodes.iter().position(|node| self.is_chosen(node));
        let next = match at {
            _ if nodes.is_empty() => return Step::Draw,
            None => 0,
            Some(at) if forward => (at + 1) % nodes.len(),
            Some(at) => (at + nodes.len() - 1) % nodes.len(),
        };
        self.chosen = Some(nodes[next].name.clone());
        self.history = None;
        Step::Ask
    }

    fn chosen_addr(&self) -> Option<Addr> {
        let (name, cluster) = (self.chosen.as_ref()?, self.cluster.as_ref()?);
        let node = cluster.nodes.iter().find(|node| node.name == *name)?;
        // The node that was found by a given address keeps it: what it reports may be an address
        // that only the cluster can reach.
        if node.is_self {
            return None;
        }
        admin(node)
    }
}

/// The address of a node's admin endpoints, if it reports one.
fn admin(node: &Node) -> Option<Addr> {
    let url = node.status.as_ref()?.admin.as_ref()?;
    url.trim_end_matches('/').parse().ok()
}

fn rates(
    before: &Cluster,
    after: &Cluster,
    group: Option<&str>,
    elapsed: f64,
) -> BTreeMap<String, Rates> {
    let counters = |cluster: &Cluster, name: &str| -> Option<GroupCounters> {
        let node = cluster.nodes.iter().find(|node| node.name == name)?;
        Some(node.status.as_ref()?.counters(group))
    };
    let mut rates = BTreeMap::new();
    for node in &after.nodes {
        if let (Some(before), Some(after)) =
            (counters(before, &node.name), counters(after, &node.name))
            // Counters that went back are those of another run.
            && let Some(gets) = after.gets.checked_sub(before.gets)
        {
            let clients = after.client_gets.saturating_sub(before.client_gets);
            let hits = after.client_hits.saturating_sub(before.client_hits);
            let hit_percent =
                (clients > 0).then(|| (float(hits) / float(clients) * 100.0).min(100.0));
            let gets = float(gets) / elapsed;
            rates.insert(node.name.clone(), Rates { gets, hit_percent });
        }
    }
    rates
}

#[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
fn float(count: u64) -> f64 {
    count as f64
}
