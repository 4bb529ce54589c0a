//! `gagglectl remove`: removes a key on every node.

use std::fmt::Write as _;

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use crate::cli::OneKeyArgs;
use crate::client::{Addr, Client, MAX_DOCUMENT, Reply, first_of};
use crate::key;
use crate::outcome::{Failure, Outcome};
use crate::output::{self, shown};
use crate::status;

#[derive(Deserialize)]
struct Removal {
    removed: Vec<String>,
    missed: Vec<Missed>,
}

#[derive(Deserialize)]
struct Missed {
    node: String,
    error: String,
}

/// Has one node remove the key everywhere. Where that node cannot be reached the next is asked: to remove twice does no harm.
pub(crate) async fn run(client: &Client, args: &OneKeyArgs) -> Result<Outcome, Failure> {
    let key = args.key.bytes()?;
    let group = args.key.group.as_deref();
    let reply = first_of(&args.admin_addrs, async |addr| {
        remove(client, addr, group, &key).await
    })
    .await?;
    // 502 is also what a node answers that missed others.
    if !matches!(reply.status, StatusCode::OK | StatusCode::BAD_GATEWAY) {
        return Err(reply.refusal());
    }
    let Removal { removed, missed } = match reply.json() {
        Err(_) if reply.status == StatusCode::BAD_GATEWAY => return Err(reply.refusal()),
        removal => removal?,
    };
    let mut lines = String::new();
    // Writing to a String cannot fail.
    for node in &removed {
        let _ = writeln!(lines, "removed {}", shown(node.as_bytes()));
    }
    for Missed { node, error } in &missed {
        let _ = writeln!(
            lines,
            "missed  {}: {}",
            shown(node.as_bytes()),
            shown(error.as_bytes())
        );
    }
    output::answer(lines.as_bytes())?;
    Ok(if missed.is_empty() {
        Outcome::Complete
    } else {
        Outcome::Missed
    })
}

async fn remove(
    client: &Client,
    addr: &Addr,
    group: Option<&str>,
    key: &[u8],
) -> Result<Reply, Failure> {
    let target = match group {
        Some(group) => key::path(group, key)?,
        None => key::path(&status::only_group(client, addr).await?, key)?,
    };
    client
        .ask(Method::DELETE, addr, &target, MAX_DOCUMENT)
        .await
}
