//! What nodes report about themselves, as messages. Lengths are in bytes.

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Hello, Instance, Word};

use crate::{millis, peer};

/// The longest text.
pub const MAX_TEXT: usize = 256;
/// The longest address, which is a base URL.
pub const MAX_ADDRESS: usize = 512;
/// The most groups that are read.
pub const MAX_GROUPS: usize = 1_024;

/// What a node reports about itself.
pub fn put(hello: &Hello) -> peer::Hello {
    peer::Hello {
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

/// What another node reports about itself. `None` if a text is longer than [`MAX_TEXT`], the
/// address is longer than [`MAX_ADDRESS`], or one of them has control characters: they will be
/// logged.
pub fn read(hello: &peer::Hello) -> Option<Hello> {
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

/// The announcement that a node leaves, or has joined.
pub fn put_word(word: &Word) -> peer::LeavingRequest {
    peer::LeavingRequest {
        node: word.node.to_string(),
        gone_within_ms: word.gone_within.map(millis),
        instance: Some(put_instance(word.instance)),
        number: word.number,
    }
}

/// Which node leaves, or has joined. `None` if the name is empty, longer than [`MAX_TEXT`], or has
/// control characters.
pub fn word(word: &peer::LeavingRequest) -> Option<Word> {
    let node = text(&word.node).filter(|node| !node.is_empty())?;
    let gone_within = word.gone_within_ms.map(Duration::from_millis);
    Some(Word::new(node, gone_within).of(instance(word.instance), word.number))
}

fn put_instance(instance: Instance) -> peer::Instance {
    peer::Instance {
        started_ms: instance.started,
        id: instance.id,
    }
}

fn instance(instance: Option<peer::Instance>) -> Instance {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Hello {
        let mut hello = Hello::default();
        hello.instance = Instance {
            started: 1_700_000_000_000,
            id: u64::MAX,
        };
        hello.cluster = "test".into();
        hello.name = "node-1".into();
        hello.address = format!("http://{}", "a".repeat(MAX_ADDRESS - 7)).into();
        hello.member = true;
        hello.ring = "a1b2".into();
        hello.members = 3;
        hello.profile = "gaggle".into();
        hello.protocol = 2;
        hello.groups = vec!["scores".into(), "army".into()];
        hello
    }

    #[test]
    fn a_node_reads_back_as_it_was_written() {
        assert_eq!(read(&put(&full())), Some(full()));
        assert_eq!(read(&peer::Hello::default()), Some(Hello::default()));
        for gone_within in [None, Some(Duration::from_secs(5))] {
            let from = Word::new("node-1", gone_within).of(full().instance, 7);
            assert_eq!(word(&put_word(&from)), Some(from));
        }
    }

    #[test]
    fn texts_that_are_too_long_or_would_break_a_log_are_refused() {
        for bad in ["a".repeat(MAX_TEXT + 1), "a\nb".to_owned()] {
            let with = |change: fn(&mut peer::Hello, String)| {
                let mut message = put(&full());
                change(&mut message, bad.clone());
                read(&message)
            };
            assert_eq!(with(|hello, bad| hello.cluster = bad), None);
            assert_eq!(with(|hello, bad| hello.name = bad), None);
            assert_eq!(with(|hello, bad| hello.ring = bad), None);
            assert_eq!(with(|hello, bad| hello.profile = bad), None);
            assert_eq!(with(|hello, bad| hello.groups.push(bad)), None);
            let leaving = peer::LeavingRequest {
                node: bad,
                ..peer::LeavingRequest::default()
            };
            assert_eq!(word(&leaving), None);
        }
        let mut message = put(&full());
        message.address.push('a');
        assert_eq!(read(&message), None);
        assert_eq!(word(&peer::LeavingRequest::default()), None);
    }

    #[test]
    fn no_more_groups_are_read_than_may_be() {
        let mut message = put(&full());
        message.groups = vec!["g".to_owned(); MAX_GROUPS + 1];
        assert_eq!(
            read(&message).map(|hello| hello.groups.len()),
            Some(MAX_GROUPS)
        );
    }
}
