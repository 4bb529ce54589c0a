//! What the tests of the front door share: a group, and a client of its front door.

use bytes::Bytes;
use gaggle_api_http::{FrontOptions, front_door};
use gaggle_group::{Group, Groups, Limits};

use crate::client::Client;

/// A group whose values are its keys, except for some special keys.
pub(crate) fn echo(name: &str) -> Group {
    let mut limits = Limits::default();
    limits.max_key = 64;
    limits.max_value = 100;
    Group::builder(name)
        .limits(limits)
        .origin_fn(|key: Bytes| async move {
            match &key[..] {
                b"Nobody" | b"no\nbody" | b"\xFFno" => Ok(None),
                b"Tom" => Ok(Some(Bytes::from_static(b"630"))),
                b"fails" => Err("the database\nis down"),
                b"panics" => panic!("a bug"),
                b"large" => Ok(Some(Bytes::from(vec![b'x'; 101]))),
                _ => Ok(Some(key)),
            }
        })
        .build()
        .unwrap()
}

pub(crate) fn client_of(groups: impl IntoIterator<Item = Group>, options: FrontOptions) -> Client {
    Client(front_door(Groups::new(groups).unwrap(), options))
}

pub(crate) fn client() -> Client {
    client_of([echo("scores")], FrontOptions::default())
}
