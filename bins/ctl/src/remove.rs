//! `gagglectl remove`: removes keys, or all of a group, on every node.

use hyper::Method;
use serde::Serialize;

use crate::addr::Addr;
use crate::cli::RemoveArgs;
use crate::client::{Ask, Client, MAX_DOCUMENT, first_of};
use crate::key;
use crate::outcome::{Failure, Outcome};
use crate::removal::Removal;
use crate::status;

/// The most keys that a node takes in one list.
const MAX_KEYS: usize = 1000;
/// The most bytes of a list that a node takes.
const MAX_LIST: usize = 2 << 20;

/// Many keys in one request.
#[derive(Serialize)]
struct List {
    keys64: Vec<String>,
}

/// Makes one node remove them everywhere. If that node cannot be reached, the next is asked, from
/// the first key on: removing a key twice does no harm.
pub(crate) async fn run(client: &Client, args: &RemoveArgs) -> Result<Outcome, Failure> {
    let keys = args.keys.iter().map(|key| args.key_encoding.decode(key));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let removal = first_of(&args.admin.addrs, async |addr| {
        let only;
        let group = match &args.group {
            Some(group) => group,
            None => {
                only = status::only_group(client, addr).await?;
                &only
            }
        };
        if args.all {
            remove_all(client, addr, group).await
        } else {
            remove_keys(client, addr, group, &keys).await
        }
    })
    .await?;
    removal.print("removed")
}

async fn remove_all(client: &Client, addr: &Addr, group: &str) -> Result<Removal, Failure> {
    let path = key::group_path(group)?;
    let reply = client
        .ask(Method::DELETE, addr, &path, MAX_DOCUMENT)
        .await?;
    Removal::of(&reply)
}

async fn remove_keys(
    client: &Client,
    addr: &Addr,
    group: &str,
    mut keys: &[Vec<u8>],
) -> Result<Removal, Failure> {
    let mut removal = Removal::default();
    while !keys.is_empty() {
        let (these, rest) = keys.split_at(one_request(keys));
        let request = match these {
            [key] if key::has_path(key) => Ask::new(Method::DELETE, key::path(group, key)?),
            // A list can contain every key.
            these => {
                let target = format!("{}/remove", key::group_path(group)?);
                let keys64 = these.iter().map(|key| key::base64(key)).collect();
                let list = serde_json::to_vec(&List { keys64 }).map_err(|error| {
                    Failure::Failed(format!("the list of keys cannot be written: {error}"))
                })?;
                Ask::new(Method::POST, target).body(list)
            }
        };
        let reply = client.send(request, addr, MAX_DOCUMENT).await?;
        removal = removal.and(Removal::of(&reply)?);
        keys = rest;
    }
    Ok(removal)
}

/// How many keys, from the first on, fit into one request: one at least.
fn one_request(keys: &[Vec<u8>]) -> usize {
    let mut list = r#"{"keys64":[]}"#.len();
    let fits = |key: &&Vec<u8>| {
        // With quotes and a comma.
        list = list.saturating_add(key.len().div_ceil(3) * 4 + 3);
        list <= MAX_LIST
    };
    let fitting = keys.iter().take(MAX_KEYS).take_while(fits).count();
    fitting.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_as_many_keys_as_a_node_takes() {
        for (count, len, expected) in [
            (1, 10, 1),
            (1000, 1024, 1000),
            (1001, 1024, 1000),
            (3, 1 << 20, 1),
            (3, 3 << 20, 1),
            (10, 300 << 10, 5),
        ] {
            let keys = vec![vec![0; len]; count];
            assert_eq!(one_request(&keys), expected, "{count} of {len}");
        }
        let most = vec![vec![0; 300 << 10]; 5];
        let keys64 = most.iter().map(|key| key::base64(key)).collect();
        let list = serde_json::to_vec(&List { keys64 }).unwrap();
        assert!(list.len() <= MAX_LIST);
    }
}
