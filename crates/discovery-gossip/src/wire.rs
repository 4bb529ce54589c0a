//! chitchat's messages as bytes, read with bounds that chitchat itself does not have.
//!
//! A datagram may come from anyone. chitchat's own decoder accepts any number of nodes, any length
//! of keys and values, and blocks that grow three thousand times when they are unpacked; and an
//! accepted message can stop it (it asserts that the versions of a delta agree). Each message is
//! therefore parsed here first and encoded again from the parsed form. The format is version 0 of
//! chitchat's, which is stable between its releases.

mod read;
mod write;

use std::net::SocketAddr;

use self::read::Reader;
use self::write::{put_delta, put_digest, put_news, put_text};
use crate::key::Key;

/// The most nodes that are known at the same time, including those that died recently.
pub const MAX_NODES: usize = 1024;

/// What one block may unpack to: its length was a `u16` when it was packed.
const MAX_BLOCK: usize = u16::MAX as usize;

const MAGIC: u16 = 45_139;
const VERSION: u8 = 0;

/// One start of one node. It is chitchat's identity without the name, which is a value like
/// others: so the digest of [`MAX_NODES`] nodes fits in a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) generation: u64,
    pub(crate) address: SocketAddr,
}

/// What a node knows of another: the versions of its heartbeat and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: Id,
    pub(crate) heartbeat: u64,
    pub(crate) version: u64,
}

/// News of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) id: Id,
    /// The version after which the news begins.
    pub(crate) after: u64,
    pub(crate) values: Vec<Value>,
    /// The version that the news leads to, at least that of the last value.
    pub(crate) upto: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) key: Key,
    pub(crate) value: String,
    pub(crate) version: u64,
}

/// A message between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Syn { known: Vec<Known>, cluster: String },
    SynAck { known: Vec<Known>, news: Vec<News> },
    Ack { news: Vec<News> },
}

/// The bytes are not a message that a node of this release would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub(crate) struct Malformed(&'static str);

impl Message {
    /// Reads all of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        if reader.u16()? != MAGIC || reader.u8()? != VERSION {
            return Err(Malformed("not a message of chitchat's version 0"));
        }
        let message = match reader.u8()? {
            0 => Self::Syn {
                known: reader.digest()?,
                cluster: reader.text()?.to_owned(),
            },
            1 => Self::SynAck {
                known: reader.digest()?,
                news: reader.delta()?,
            },
            2 => Self::Ack {
                news: reader.delta()?,
            },
            _ => return Err(Malformed("no such kind of message")),
        };
        if !reader.0.is_empty() {
            return Err(Malformed("bytes after the end"));
        }
        Ok(message)
    }

    /// The same message for chitchat's decoder.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC.to_le_bytes());
        out.push(VERSION);
        match self {
            Self::Syn { known, cluster } => {
                out.push(0);
                put_digest(&mut out, known);
                put_text(&mut out, cluster);
            }
            Self::SynAck { known, news } => {
                out.push(1);
                put_digest(&mut out, known);
                put_delta(&mut out, news);
            }
            Self::Ack { news } => {
                out.push(2);
                put_delta(&mut out, news);
            }
        }
        out
    }

    /// What the sender knows, if the message has it.
    pub(crate) fn known_mut(&mut self) -> Option<&mut Vec<Known>> {
        match self {
            Self::Syn { known, .. } | Self::SynAck { known, .. } => Some(known),
            Self::Ack { .. } => None,
        }
    }

    /// The news in it, if there is any.
    pub(crate) fn news_mut(&mut self) -> Option<&mut Vec<News>> {
        match self {
            Self::SynAck { news, .. } | Self::Ack { news } => Some(news),
            Self::Syn { .. } => None,
        }
    }

    /// The message in at most `limit` bytes: without the last of its news, which follows in the
    /// next message. `None` if it has none that could be left out.
    pub(crate) fn encode_within(&mut self, limit: usize) -> Option<Vec<u8>> {
        loop {
            let bytes = self.encode();
            let Some(excess) = bytes.len().checked_sub(limit).filter(|excess| *excess > 0) else {
                return Some(bytes);
            };
            let news = self.news_mut()?;
            let mut freed = 0;
            while freed < excess {
                freed += news.pop()?.encoded_len();
            }
        }
    }
}

impl News {
    fn encoded_len(&self) -> usize {
        let mut out = Vec::new();
        put_news(&mut out, self);
        out.len()
    }
}

#[cfg(test)]
mod tests;
