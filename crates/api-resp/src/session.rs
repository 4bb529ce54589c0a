//! What a connection has said of itself.

use std::net::SocketAddr;

use crate::options::{Access, Rights};
use crate::output::Proto;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) client: SocketAddr,
    /// When it was accepted, by the server's clock.
    pub(crate) since: u64,
    /// Since when it has had no rights, by the same clock.
    stranger_since: u64,
    pub(crate) proto: Proto,
    /// `None` until it is authenticated.
    pub(crate) rights: Option<Rights>,
    /// Few clients set any of these.
    pub(crate) said: Option<Box<Said>>,
}

#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) name: Vec<u8>,
    pub(crate) lib_name: Vec<u8>,
    pub(crate) lib_version: Vec<u8>,
}

impl Session {
    pub(crate) fn new(id: u64, client: SocketAddr, since: u64, access: &Access) -> Self {
        Self {
            id,
            client,
            since,
            stranger_since: since,
            proto: Proto::Two,
            rights: access.open,
            said: None,
        }
    }

    pub(crate) fn said(&mut self) -> &mut Said {
        self.said.get_or_insert_default()
    }

    pub(crate) fn name(&self) -> &[u8] {
        self.said.as_ref().map_or(&[], |said| &said.name)
    }

    /// When it is over unless the client authenticates, which may take so long.
    #[inline]
    pub(crate) fn latest(&self, request: u64) -> u64 {
        match self.rights {
            Some(_) => u64::MAX,
            None => self.stranger_since.saturating_add(request),
        }
    }

    /// As it was at first.
    pub(crate) fn reset(&mut self, access: &Access, now: u64) {
        // A client that had no rights gets no more time by it.
        if self.rights.is_some() {
            self.stranger_since = now;
        }
        self.proto = Proto::Two;
        self.rights = access.open;
        if let Some(said) = &mut self.said {
            said.name = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Rights;

    #[test]
    fn the_time_to_authenticate_begins_when_rights_end() {
        let access = Access::password(|_| Some(Rights::Read));
        let mut session = Session::new(1, ([127, 0, 0, 1], 1).into(), 50, &access);
        assert_eq!(session.latest(10), 60);
        session.reset(&access, 55);
        assert_eq!(session.latest(10), 60, "it had none");
        session.rights = Some(Rights::Read);
        assert_eq!(session.latest(10), u64::MAX);
        session.reset(&access, 1000);
        assert_eq!(session.latest(10), 1010);
    }
}
