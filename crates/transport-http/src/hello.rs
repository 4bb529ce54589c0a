//! What nodes say of themselves, as messages.

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Hello, Instance, Word};

use crate::headers::millis;
use crate::proto;

/// The longest text, and the longest base URL, in bytes.
const MAX_TEXT: usize = 256;
const MAX_ADDRESS: usize = 512;
/// The most groups that are read.
const MAX_GROUPS: usize = 1_024;

pub(crate) fn put(hello: &Hello) -> proto::Hello {
    proto::Hello {
        instance: Some(put_instance(hello.instance)),
        cluster: hello.cluster.to_string(),
        name: hello.name.to_string(),
        address: hello.address.to_string(),
        member: hello.member,
        ring: hello.ring.to_string(),
        members: hello.members,
        profile: hello.profile.to_string(),
        protocol: hello.protocol,
        groups: hello.groups.iter().map(ToString::to_string).collect(),
    }
}

/// `None` where a text is too long, or a name that will be logged has control characters.
pub(crate) fn read(hello: &proto::Hello) -> Option<Hello> {
    let mut read = Hello::default();
    read.instance = instance(hello.instance);
    read.cluster = text(&hello.cluster)?;
    read.name = text(&hello.name)?;
    read.address = of_length(&hello.address, MAX_ADDRESS)?;
    read.member = hello.member;
    read.ring = text(&hello.ring)?;
    read.members = hello.members;
    read.profile = text(&hello.profile)?;
    read.protocol = hello.protocol;
    let groups = hello.groups.iter().take(MAX_GROUPS);
    read.groups = groups.map(|group| text(group)).collect::<Option<_>>()?;
    Some(read)
}

pub(crate) fn put_word(word: &Word) -> proto::LeavingRequest {
    proto::LeavingRequest {
        node: word.node.to_string(),
        gone_within_ms: word.gone_within.map(millis),
        instance: Some(put_instance(word.instance)),
        number: word.number,
    }
}

/// `None` where the name cannot be one.
pub(crate) fn word(word: &proto::LeavingRequest) -> Option<Word> {
    let node = text(&word.node).filter(|node| !node.is_empty())?;
    let gone_within = word.gone_within_ms.map(Duration::from_millis);
    Some(Word::new(node, gone_within).of(instance(word.instance), word.number))
}

fn put_instance(instance: Instance) -> proto::Instance {
    proto::Instance {
        started_ms: instance.started,
        id: instance.id,
    }
}

fn instance(instance: Option<proto::Instance>) -> Instance {
    instance.map_or_else(Instance::default, |instance| Instance {
        started: instance.started_ms,
        id: instance.id,
    })
}

fn text(text: &str) -> Option<Arc<str>> {
    of_length(text, MAX_TEXT)
}

fn of_length(text: &str, most: usize) -> Option<Arc<str>> {
    let good = text.len() <= most && !text.chars().any(char::is_control);
    good.then(|| text.into())
}
