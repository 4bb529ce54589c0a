//! `/cluster`: every node as it says that it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use gaggle_group::{Group, Groups, Inspected, Report, ReportedGroup};
use serde::Serialize;

use super::ask::{self, Answer, Asked, Question};
use crate::reply;

#[derive(Serialize)]
struct Cluster {
    node: Arc<str>,
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    name: Arc<str>,
    address: Arc<str>,
    #[serde(rename = "self")]
    is_self: bool,
    /// Whether it is a member of the ring.
    member: bool,
    reached: bool,
    error: Option<String>,
    rtt_seconds: Option<f64>,
    status: Option<Status>,
}

#[derive(Serialize)]
struct Status {
    version: Arc<str>,
    state: Arc<str>,
    generation: u64,
    uptime_seconds: f64,
    admin: Option<Arc<str>>,
    ring: Ring,
    groups: BTreeMap<Arc<str>, Counts>,
    /// Whether members or groups were left out, as there are so many.
    cut: bool,
}

#[derive(Serialize)]
struct Ring {
    hash: Arc<str>,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    name: Arc<str>,
    up: bool,
}

#[derive(Serialize)]
struct Counts {
    gets: u64,
    hits: u64,
    client_gets: u64,
    client_hits: u64,
    bytes: u64,
    limit_bytes: u64,
    entries: u64,
    loads_in_flight: u64,
}

pub(super) async fn answer(groups: &Groups) -> Response {
    let me = groups.iter().next().map(Group::router);
    let nodes = ask::all(groups, &Question::Report).await;
    let cluster = Cluster {
        node: me.map_or_else(|| "".into(), |router| router.me()),
        nodes: nodes.into_iter().map(Node::from).collect(),
    };
    reply::json(StatusCode::OK, &cluster)
}

impl From<Asked> for Node {
    fn from(asked: Asked) -> Self {
        let (reached, error) = (asked.is_reached(), asked.error());
        Self {
            name: asked.node.name,
            address: asked.node.address,
            is_self: asked.node.is_self,
            member: asked.is_member,
            reached,
            error,
            rtt_seconds: asked.rtt.map(|rtt| rtt.as_secs_f64()),
            status: match asked.answer {
                Answer::Found(Inspected::Report(report)) => Some(report.into()),
                _ => None,
            },
        }
    }
}

impl From<Report> for Status {
    fn from(report: Report) -> Self {
        let about = report.about;
        let members = report.members.into_iter();
        let groups = report.groups.iter();
        Self {
            version: about.version,
            state: about.state,
            generation: about.generation,
            uptime_seconds: about.uptime.as_secs_f64(),
            admin: about.admin,
            ring: Ring {
                hash: report.ring,
                members: members
                    .map(|member| Member {
                        name: member.name,
                        up: member.up,
                    })
                    .collect(),
            },
            groups: groups
                .map(|group| (Arc::clone(&group.name), group.into()))
                .collect(),
            cut: report.is_cut,
        }
    }
}

impl From<&ReportedGroup> for Counts {
    fn from(group: &ReportedGroup) -> Self {
        Self {
            gets: group.gets,
            hits: group.hits,
            client_gets: group.client_gets,
            client_hits: group.client_hits,
            bytes: group.bytes,
            limit_bytes: group.limit_bytes,
            entries: group.entries,
            loads_in_flight: group.loads_in_flight,
        }
    }
}
