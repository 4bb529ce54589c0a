//! `gagglectl owner`: the node that owns a key.

use hyper::Method;
use serde::Deserialize;

use crate::cli::OwnerArgs;
use crate::client::{Client, MAX_DOCUMENT, first_of};
use crate::outcome::{Failure, Outcome};
use crate::output::{self, shown};

#[derive(Deserialize)]
struct Owner {
    owner: String,
    #[serde(rename = "self")]
    is_self: bool,
}

pub(crate) async fn run(
    client: &Client,
    args: &OwnerArgs,
    verbose: bool,
) -> Result<Outcome, Failure> {
    let target = args.key.query("/owner")?;
    let reply = first_of(&args.admin.addrs, async |addr| {
        client.ask(Method::GET, addr, &target, MAX_DOCUMENT).await
    })
    .await?;
    let reply = reply.ok()?;
    let Owner { owner, is_self } = reply.json()?;
    if verbose {
        let verb = if is_self { "owns" } else { "does not own" };
        output::note(&format!("{}: this node {verb} the key", reply.addr));
    }
    output::answer(format!("{}\n", shown(owner.as_bytes())).as_bytes())?;
    Ok(Outcome::Complete)
}
