use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::{sync::mpsc, task::Id, time::Instant};

use crate::activity::{Activity, Standing};

/// The most connections that one call checks.
const LOOKS: usize = 256;

/// Which connection is closed when another one needs its place: the least recently used of those
/// that are idle.
///
/// Requests do not report here, so that this costs a request nothing. Each connection that may be
/// idle has a moment before which it was certainly in use, and is checked when that moment is the
/// earliest. If it has been used since, its moment moves; if it is busy, it is put aside and
/// reports when it becomes idle. A check that finds no connection to close belongs to a request
/// that has arrived since the last check, and the connection that is found is the least recently
/// used.
pub(crate) struct Roster {
    connections: HashMap<Id, Member>,
    /// Connections that are not put aside, by their moment.
    spare: BTreeSet<(Instant, Id)>,
    /// At most one report of each connection is under way.
    reports: mpsc::UnboundedReceiver<Id>,
    report: mpsc::UnboundedSender<Id>,
}

struct Member {
    activity: Arc<Activity>,
    /// `None` while it is put aside.
    moment: Option<Instant>,
}

/// The result of the search for a connection to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// One was asked to close.
    Asked,
    /// There is none at the moment.
    None,
    /// There may be one among those that were not checked yet.
    Unknown,
}

impl Roster {
    pub(crate) fn new() -> Self {
        let (report, reports) = mpsc::unbounded_channel();
        Self {
            connections: HashMap::new(),
            spare: BTreeSet::new(),
            reports,
            report,
        }
    }

    pub(crate) fn joined(&mut self, id: Id, activity: Arc<Activity>, now: Instant) {
        let moment = Some(now);
        self.connections.insert(id, Member { activity, moment });
        self.spare.insert((now, id));
    }

    pub(crate) fn left(&mut self, id: Id) {
        if let Some(Member {
            moment: Some(moment),
            ..
        }) = self.connections.remove(&id)
        {
            self.spare.remove(&(moment, id));
        }
    }

    /// Waits until a connection that was put aside is idle. It is cancel-safe.
    pub(crate) async fn idle(&mut self) {
        // The channel is never closed, since the roster has a sender itself.
        if let Some(id) = self.reports.recv().await {
            self.back(id);
        }
    }

    /// Asks the connection that was used least recently, if any is idle, to close.
    pub(crate) fn make_room(&mut self, now: Instant) -> Room {
        while let Ok(id) = self.reports.try_recv() {
            self.back(id);
        }
        for _ in 0..LOOKS {
            let Some(&(moment, id)) = self.spare.first() else {
                return Room::None;
            };
            if moment > now {
                return Room::None;
            }
            self.spare.remove(&(moment, id));
            let Some(member) = self.connections.get_mut(&id) else {
                continue;
            };
            member.moment = None;
            match member.activity.standing(id, &self.report) {
                Standing::Spare(since) if since <= moment => {
                    member.activity.ask_to_leave(id, self.report.clone());
                    return Room::Asked;
                }
                Standing::Spare(since) => self.put(id, since),
                Standing::Busy | Standing::Leaving => {}
            }
        }
        Room::Unknown
    }

    fn back(&mut self, id: Id) {
        let Some(member) = self.connections.get(&id) else {
            return;
        };
        if member.moment.is_some() {
            return;
        }
        match member.activity.standing(id, &self.report) {
            Standing::Spare(since) => self.put(id, since),
            // It will report again, or end.
            Standing::Busy | Standing::Leaving => {}
        }
    }

    fn put(&mut self, id: Id, moment: Instant) {
        if let Some(member) = self.connections.get_mut(&id) {
            member.moment = Some(moment);
            self.spare.insert((moment, id));
        }
    }
}

#[cfg(test)]
mod tests;
