//! `gagglectl put`: gives the owner of a key a value to keep.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Method, StatusCode};

use crate::addr::Addr;
use crate::cli::{PutArgs, ValueArgs};
use crate::client::{Ask, Client, MAX_DOCUMENT, Reply, first_of};
use crate::key;
use crate::outcome::{Failure, Outcome};
use crate::output::shown;
use crate::removal::Removal;
use crate::status;

/// Makes one node give the value to the owner. If that node cannot be reached, the next is asked:
/// putting the same value twice does no harm.
pub(crate) async fn run(client: &Client, args: &PutArgs) -> Result<Outcome, Failure> {
    let key = args.key.bytes()?;
    // Read once, whichever node takes it.
    let value = read(&args.value)?;
    let reply = first_of(&args.admin.addrs, async |addr| {
        put(client, addr, args, &key, &value).await
    })
    .await?;
    if reply.status == StatusCode::PAYLOAD_TOO_LARGE {
        let line = shown(&reply.body);
        return Err(Failure::Usage(format!("{}: {line}", reply.addr)));
    }
    Removal::of(&reply)?.print("reached")
}

async fn put(
    client: &Client,
    addr: &Addr,
    args: &PutArgs,
    key: &[u8],
    value: &Bytes,
) -> Result<Reply, Failure> {
    let target = match &args.key.group {
        Some(group) => key::path(group, key)?,
        None => key::path(&status::only_group(client, addr).await?, key)?,
    };
    let mut ask = Ask::new(Method::PUT, target).body(value.clone());
    if let Some(time) = args.max_age {
        let terms = HeaderValue::try_from(format!("max-age={}", time.as_secs()));
        let terms = terms.map_err(|error| Failure::Failed(format!("no header: {error}")))?;
        ask = ask.header(CACHE_CONTROL, terms);
    }
    client.send(ask, addr, MAX_DOCUMENT).await
}

fn read(args: &ValueArgs) -> Result<Bytes, Failure> {
    let limit = args.max_value.as_u64();
    let value = match (&args.value, &args.file) {
        (Some(value), _) if value != "-" => return Ok(value.as_encoded_bytes().to_vec().into()),
        (_, Some(path)) => File::open(path).and_then(|file| read_most(file, limit)),
        (..) => read_most(io::stdin().lock(), limit),
    };
    let name = || match &args.file {
        Some(path) => shown(path.as_os_str().as_encoded_bytes()),
        None => "standard input".to_owned(),
    };
    value
        .map_err(|error| Failure::Usage(format!("{}: {error}", name())))?
        .ok_or_else(|| {
            let name = name();
            Failure::Usage(format!(
                "{name}: the value is over the limit of {limit} bytes"
            ))
        })
}

/// All the input, or `None` if it is over the limit.
fn read_most(source: impl Read, limit: u64) -> io::Result<Option<Bytes>> {
    let mut value = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut value)?;
    Ok((value.len() as u64 <= limit).then(|| value.into()))
}
