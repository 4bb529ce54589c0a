//! A node's answer to a removal, or to a value that was put: the nodes that were reached, and
//! those that were missed.

use std::fmt::Write as _;

use hyper::StatusCode;
use serde::Deserialize;

use crate::client::Reply;
use crate::outcome::{Failure, Outcome};
use crate::output::{self, shown};

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Removal {
    removed: Vec<String>,
    missed: Vec<Missed>,
}

#[derive(Debug, Deserialize)]
struct Missed {
    node: String,
    error: String,
}

impl Removal {
    /// The result in an answer.
    pub(crate) fn of(reply: &Reply) -> Result<Self, Failure> {
        // 502 is also what a node answers that missed others.
        if !matches!(reply.status, StatusCode::OK | StatusCode::BAD_GATEWAY) {
            return Err(reply.refusal());
        }
        match reply.json() {
            Err(_) if reply.status == StatusCode::BAD_GATEWAY => Err(reply.refusal()),
            removal => removal,
        }
    }

    /// Combines both: a node that was missed once was missed.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for node in other.removed {
            if !self.removed.contains(&node) {
                self.removed.push(node);
            }
        }
        for missed in other.missed {
            if self.missed.iter().all(|known| known.node != missed.node) {
                self.missed.push(missed);
            }
        }
        let missed = &self.missed;
        let told = |node: &String| missed.iter().all(|missed| missed.node != *node);
        self.removed.retain(told);
        self
    }

    /// Prints a line for each node: `done` and the name of one that was reached.
    pub(crate) fn print(&self, done: &str) -> Result<Outcome, Failure> {
        let mut lines = String::new();
        // Writing to a String cannot fail.
        for node in &self.removed {
            let _ = writeln!(lines, "{done} {}", shown(node.as_bytes()));
        }
        for Missed { node, error } in &self.missed {
            let node = shown(node.as_bytes());
            let _ = writeln!(lines, "missed  {node}: {}", shown(error.as_bytes()));
        }
        output::answer(lines.as_bytes())?;
        Ok(if self.missed.is_empty() {
            Outcome::Complete
        } else {
            Outcome::Missed
        })
    }
}
