//! `gagglectl get`: the value of a key, byte for byte.

use std::io::{self, IsTerminal as _};

use hyper::Method;
use hyper::header::HeaderName;

use crate::cli::GetArgs;
use crate::client::{Client, Reply};
use crate::outcome::{Failure, Outcome};
use crate::output::{self, shown};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Asks by `/api?key=`, which unlike a path can contain every key, and chooses the only group by
/// itself.
///
/// The value is held until it is complete: a script never gets half of one.
pub(crate) async fn run(
    client: &Client,
    args: &GetArgs,
    verbose: bool,
) -> Result<Outcome, Failure> {
    let limit = usize::try_from(args.max_value.as_u64()).unwrap_or(usize::MAX);
    let target = args.key.query("/api")?;
    let reply = client
        .ask(Method::GET, &args.api_addr, &target, limit)
        .await?;
    if args.headers {
        print_headers(&reply);
    } else if verbose {
        print_cache_status(&reply);
    }
    let reply = reply.ok()?;
    output::answer(&reply.body)?;
    if io::stdout().is_terminal() && !reply.body.ends_with(b"\n") {
        output::answer(b"\n")?;
    }
    Ok(Outcome::Complete)
}

fn print_headers(reply: &Reply) {
    output::aside(&reply.status.to_string());
    for (name, value) in &reply.headers {
        output::aside(&format!("{name}: {}", shown(value.as_bytes())));
    }
}

fn print_cache_status(reply: &Reply) {
    for value in reply.headers.get_all(CACHE_STATUS) {
        output::aside(&format!("Cache-Status: {}", shown(value.as_bytes())));
    }
}
