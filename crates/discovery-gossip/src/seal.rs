//! The envelope of each message: its cluster, and the proof that a member has just sent it.
//!
//! ```text
//! "GGG1" | kind 1 | cluster 8 | from 8 | to 8 | number 8 | message | tag 32 (signed kinds only)
//! ```
//!
//! * **cluster**: the start of the SHA-256 of the cluster's name. Datagrams of another cluster are
//!   dropped here, and never answered.
//! * **tag**: HMAC-SHA-256 of all before it, by a key that is derived from the token. The first
//!   token signs, and each is accepted, so that a token can be changed node by node.
//! * **from**, **to**: the sessions of the sender and of the receiver. A session is one start of
//!   one node. A receiver accepts only datagrams to its own session, so a datagram that was
//!   recorded before it started, or that was sent to another node, has no effect on it.
//! * **number**: grows with each datagram of a session. A receiver remembers which of each
//!   session's numbers it has seen, and accepts none twice.
//!
//! No clocks are compared. The cost is a round trip: a node that knows only the address of another
//! sends to session 0 first, and gets the right session in a signed, empty *hello*. Most sessions
//! are learnt without it, from the lists that nodes exchange.
//!
//! Nothing is encrypted: anyone who can read the network can read the list of members. Anyone who
//! can suppress datagrams can make a node look dead, as a cut cable would.

use std::collections::HashMap;
use std::net::SocketAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::dropped::Reason;
use crate::options::Keys;
use crate::replay::{Replays, Seen};
use crate::wire::{Id, MAX_NODES};

const MAGIC: [u8; 4] = *b"GGG1";
const HEADER: usize = 4 + 1 + 8 + 8 + 8 + 8;
const TAG: usize = 32;

/// The most bytes in a datagram over IPv4.
pub(crate) const MAX_DATAGRAM: usize = 65_507;
/// The most bytes that a message may have.
pub(crate) const MAX_MESSAGE: usize = MAX_DATAGRAM - HEADER - TAG;

/// How many addresses' sessions are remembered. A forgotten one costs a round trip.
const MAX_ADDRESSES: usize = 2 * MAX_NODES;

/// The purpose of the derived key, since a token is used for other things as well.
const PURPOSE: &[u8] = b"gaggle gossip 1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Plain = 0,
    Signed = 1,
    /// Signed, without a message: it contains the sender's session.
    Hello = 2,
}

/// The result of reading a datagram.
#[derive(Debug)]
pub(crate) enum Opened<'a> {
    /// A message of the session.
    Message { session: u64, bytes: &'a [u8] },
    /// No message, but this has to be sent back.
    Answer(Vec<u8>),
    /// It contained a session, or was this node's own.
    Nothing,
    /// It is dropped.
    Dropped(Reason),
}

pub(crate) struct Seal {
    keys: Option<Keys>,
    cluster: [u8; 8],
    session: u64,
    sent: u64,
    replays: Replays,
    sessions: HashMap<SocketAddr, u64>,
}

struct Header {
    from: u64,
    to: u64,
    number: u64,
}

impl Seal {
    /// `generation` is this node's, and its first session: nodes learn it with the list.
    pub(crate) fn new(keys: Option<Keys>, cluster: &str, generation: u64) -> Self {
        let mut start = [0; 8];
        start.copy_from_slice(&Sha256::digest(cluster)[..8]);
        Self {
            keys,
            cluster: start,
            session: generation,
            sent: 0,
            replays: Replays::default(),
            sessions: HashMap::new(),
        }
    }

    /// The datagram with `message` for `to`. `None` if there is no token to sign it with.
    pub(crate) fn seal(&mut self, to: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
        let session = self.sessions.get(&to).copied().unwrap_or(0);
        let kind = match self.keys {
            Some(_) => Kind::Signed,
            None => Kind::Plain,
        };
        self.write(kind, session, message)
    }

    fn write(&mut self, kind: Kind, to: u64, message: &[u8]) -> Option<Vec<u8>> {
        self.sent += 1;
        let mut out = Vec::with_capacity(HEADER + message.len() + TAG);
        out.extend(MAGIC);
        out.push(kind as u8);
        out.extend(self.cluster);
        for field in [self.session, to, self.sent] {
            out.extend(field.to_le_bytes());
        }
        out.extend_from_slice(message);
        if let Some(keys) = &self.keys {
            let signed = keys()
                .into_iter()
                .find_map(|token| Some(mac(&token, &out)?.finalize().into_bytes()))?;
            out.extend_from_slice(&signed);
        }
        Some(out)
    }

    /// Reads a datagram that came from `from`.
    pub(crate) fn open<'a>(&mut self, from: SocketAddr, datagram: &'a [u8]) -> Opened<'a> {
        let Some((kind, cluster, header, rest)) = read(datagram) else {
            return Opened::Dropped(Reason::Malformed);
        };
        if cluster != self.cluster {
            return Opened::Dropped(Reason::OtherCluster);
        }
        let Some(keys) = &self.keys else {
            return match kind {
                _ if header.from == self.session => Opened::Nothing,
                Kind::Plain => Opened::Message {
                    session: header.from,
                    bytes: rest,
                },
                Kind::Signed | Kind::Hello => Opened::Dropped(Reason::Signature),
            };
        };
        if kind == Kind::Plain {
            return Opened::Dropped(Reason::Signature);
        }
        let Some((message, tag)) = rest.split_last_chunk::<TAG>() else {
            return Opened::Dropped(Reason::Malformed);
        };
        let covered = &datagram[..HEADER + message.len()];
        let genuine = keys().iter().any(|token| {
            // In constant time, each of them.
            mac(token, covered).is_some_and(|mac| mac.verify_slice(tag).is_ok())
        });
        if !genuine {
            return Opened::Dropped(Reason::Signature);
        }
        self.admit(from, kind, &header, message)
    }

    /// Checks that a datagram signed by a member is new, and meant for this session.
    fn admit<'a>(
        &mut self,
        from: SocketAddr,
        kind: Kind,
        header: &Header,
        message: &'a [u8],
    ) -> Opened<'a> {
        if header.from == self.session {
            return Opened::Nothing;
        }
        if header.to != self.session {
            // A hello is not answered: two nodes would otherwise answer each other without end.
            return match kind {
                Kind::Hello => Opened::Dropped(Reason::Replayed),
                _ => self.hello(header.from),
            };
        }
        match self.replays.enter(header.from, header.number) {
            Seen::New => {}
            Seen::Before => return Opened::Dropped(Reason::Replayed),
            Seen::Full => {
                // Datagrams to this session could be replayed unnoticed, so it ends.
                self.session = fastrand::u64(1..);
                self.sent = 0;
                return self.hello(header.from);
            }
        }
        self.set_session(from, header.from);
        if kind == Kind::Hello {
            return Opened::Nothing;
        }
        Opened::Message {
            session: header.from,
            bytes: message,
        }
    }

    fn hello(&mut self, to: u64) -> Opened<'static> {
        self.write(Kind::Hello, to, &[])
            .map_or(Opened::Dropped(Reason::NoToken), Opened::Answer)
    }

    fn set_session(&mut self, address: SocketAddr, session: u64) {
        if self.sessions.len() >= MAX_ADDRESSES && !self.sessions.contains_key(&address) {
            self.sessions.clear();
        }
        self.sessions.insert(address, session);
    }

    /// Learns the session of a node that a member has listed, unless it is known already.
    pub(crate) fn learn(&mut self, id: &Id) {
        if self.keys.is_some() && !self.sessions.contains_key(&id.address) {
            self.set_session(id.address, id.generation);
        }
    }
}

/// `None` for an empty token, with which anyone could sign.
fn mac(token: &[u8], covered: &[u8]) -> Option<Hmac<Sha256>> {
    if token.is_empty() {
        return None;
    }
    let mut derive = Hmac::<Sha256>::new_from_slice(token).ok()?;
    derive.update(PURPOSE);
    let key = derive.finalize().into_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(covered);
    Some(mac)
}

fn read(datagram: &[u8]) -> Option<(Kind, [u8; 8], Header, &[u8])> {
    let (magic, rest) = datagram.split_first_chunk::<4>()?;
    if *magic != MAGIC {
        return None;
    }
    let ([kind], rest) = rest.split_first_chunk::<1>()?;
    let kind = match kind {
        0 => Kind::Plain,
        1 => Kind::Signed,
        2 => Kind::Hello,
        _ => return None,
    };
    let (cluster, rest) = rest.split_first_chunk::<8>()?;
    let (from, rest) = rest.split_first_chunk::<8>()?;
    let (to, rest) = rest.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let header = Header {
        from: u64::from_le_bytes(*from),
        to: u64::from_le_bytes(*to),
        number: u64::from_le_bytes(*number),
    };
    Some((kind, *cluster, header, rest))
}

#[cfg(test)]
mod tests;
