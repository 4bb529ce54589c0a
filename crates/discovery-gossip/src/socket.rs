//! chitchat's messages over signed datagrams.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable as _, Serializable as _};

use crate::admission::Admission;
use crate::dropped::{Counters, Reason};
use crate::network::Datagrams;
use crate::seal::{MAX_DATAGRAM, MAX_MESSAGE, Opened, Seal};
use crate::wire::{MAX_NODES, Message};

/// How long to wait after the system has failed to receive, which it may do again at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Which version of this node's values other nodes have, by their session.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<HashMap<u64, u64>>);

impl Heard {
    fn set(&self, session: u64, version: u64) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() >= 2 * MAX_NODES && !heard.contains_key(&session) {
            heard.clear();
        }
        heard.insert(session, version);
    }

    pub(crate) fn version(&self, session: u64) -> u64 {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(&session).copied().unwrap_or(0)
    }
}

/// The one socket of a node, to be passed to chitchat.
pub(crate) struct OpenSocket(pub(crate) Mutex<Option<Box<GossipSocket>>>);

#[async_trait]
impl Transport for OpenSocket {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(socket.context("the socket is in use")?)
    }
}

pub(crate) struct GossipSocket {
    pub(crate) datagrams: Box<dyn Datagrams>,
    pub(crate) seal: Seal,
    pub(crate) admission: Admission,
    pub(crate) cluster: String,
    pub(crate) counters: Arc<Counters>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) buffer: Vec<u8>,
}

impl GossipSocket {
    pub(crate) fn buffer() -> Vec<u8> {
        vec![0; MAX_DATAGRAM]
    }

    /// Errors are not returned: they are temporary, and chitchat would end with one.
    async fn transmit(&self, to: SocketAddr, datagram: &[u8]) {
        if let Err(failure) = self.datagrams.send(to, datagram).await {
            self.counters
                .count(Reason::Network, Some(to), &failure.to_string());
        }
    }

    fn drop_it(&self, reason: Reason, from: SocketAddr, detail: &str) {
        self.counters.count(reason, Some(from), detail);
    }

    /// The part of a message that chitchat gets, if any.
    fn receive(&mut self, from: SocketAddr, session: u64, mut message: Message) -> Option<Message> {
        if let Message::Syn { cluster, .. } = &message
            && *cluster != self.cluster
        {
            self.drop_it(Reason::OtherCluster, from, "");
            return None;
        }
        let (refused, own_version) = self.admission.filter(&mut message);
        if refused > 0 {
            self.drop_it(Reason::TooManyNodes, from, &format!("{refused} too many"));
        }
        if let Some(version) = own_version {
            self.heard.set(session, version);
        }
        if let Some(known) = message.known_mut() {
            known.iter().for_each(|node| self.seal.learn(&node.id));
        }
        Some(message)
    }
}

#[async_trait]
impl Socket for GossipSocket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let mut bytes = message.serialize_to_vec();
        if bytes.len() > MAX_MESSAGE {
            // chitchat fills a datagram completely, which leaves no room for the signature.
            let shorter = Message::decode(&bytes)
                .ok()
                .and_then(|mut message| message.encode_within(MAX_MESSAGE));
            let Some(shorter) = shorter else {
                self.counters.count(Reason::TooLarge, Some(to), "");
                return Ok(());
            };
            bytes = shorter;
        }
        match self.seal.seal(to, &bytes) {
            Some(datagram) => self.transmit(to, &datagram).await,
            None => self.counters.count(Reason::NoToken, Some(to), ""),
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let (length, from) = match self.datagrams.receive(&mut self.buffer).await {
                Ok(received) => received,
                Err(failure) => {
                    self.counters
                        .count(Reason::Network, None, &failure.to_string());
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (session, message) = match self.seal.open(from, &self.buffer[..length]) {
                Opened::Message { session, bytes } => (session, Message::decode(bytes)),
                Opened::Answer(datagram) => {
                    self.transmit(from, &datagram).await;
                    continue;
                }
                Opened::Nothing => continue,
                Opened::Dropped(reason) => {
                    self.drop_it(reason, from, "");
                    continue;
                }
            };
            let message = match message {
                Ok(message) => message,
                Err(malformed) => {
                    self.drop_it(Reason::Malformed, from, &malformed.to_string());
                    continue;
                }
            };
            let Some(message) = self.receive(from, session, message) else {
                continue;
            };
            match ChitchatMessage::deserialize(&mut &message.encode()[..]) {
                Ok(message) => return Ok((from, message)),
                Err(failure) => self.drop_it(Reason::Malformed, from, &format!("{failure:#}")),
            }
        }
    }
}
