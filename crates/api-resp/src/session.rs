//! What a connection has said of itself.

use std::net::SocketAddr;

use tracing::debug;

use crate::options::{Access, Grant, Rights, Withdrawn};
use crate::output::{Proto, Quiet};

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) client: SocketAddr,
    /// When it was accepted, by the server's clock.
    pub(crate) since: u64,
    /// Since when it has had no rights, by the same clock.
    stranger_since: u64,
    pub(crate) proto: Proto,
    /// Which of the requests that are still to come are not answered.
    pub(crate) quiet: Option<Quiet>,
    /// `None` until it is authenticated.
    pub(crate) rights: Option<Rights>,
    /// In a box, as many clients need none of it.
    pub(crate) said: Option<Box<Said>>,
}

#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) name: Vec<u8>,
    pub(crate) lib_name: Vec<u8>,
    pub(crate) lib_version: Vec<u8>,
    /// Whether the password that gave the rights is withdrawn.
    withdrawn: Option<Withdrawn>,
}

impl Session {
    pub(crate) fn new(id: u64, client: SocketAddr, since: u64, access: &Access) -> Self {
        Self {
            id,
            client,
            since,
            stranger_since: since,
            proto: Proto::Two,
            quiet: None,
            rights: access.open,
            said: None,
        }
    }

    /// Whether it may do anything but authenticate.
    #[inline]
    pub(crate) fn is_known(&self) -> bool {
        self.rights.is_some()
    }

    /// Gives it other rights than it had.
    pub(crate) fn grant(&mut self, grant: Grant) {
        self.rights = Some(grant.rights);
        if grant.withdrawn.is_some() || self.said.is_some() {
            self.said().withdrawn = grant.withdrawn;
        }
    }

    /// Ends rights by a password that is withdrawn.
    #[inline]
    pub(crate) fn renew(&mut self, access: &Access, now: u64) {
        let said = self.said.as_ref();
        let withdrawn = said.and_then(|said| said.withdrawn.as_ref());
        if withdrawn.is_some_and(Withdrawn::is_so) {
            debug!(client = %self.client.ip(), "the password of a client of the RESP port was withdrawn");
            self.forget(access, now);
        }
    }

    /// It has the rights that clients have at first.
    fn forget(&mut self, access: &Access, now: u64) {
        // A client that had no rights gets no more time by it.
        if self.is_known() {
            self.stranger_since = now;
        }
        self.rights = access.open;
        if let Some(said) = &mut self.said {
            said.withdrawn = None;
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
        match self.is_known() {
            true => u64::MAX,
            false => self.stranger_since.saturating_add(request),
        }
    }

    /// As it was at first.
    pub(crate) fn reset(&mut self, access: &Access, now: u64) {
        self.forget(access, now);
        self.proto = Proto::Two;
        if let Some(said) = &mut self.said {
            said.name = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_authenticate_begins_when_rights_end() {
        let access = Access::password(|_| Some(Rights::Read));
        let mut session = Session::new(1, ([127, 0, 0, 1], 1).into(), 50, &access);
        assert_eq!(session.latest(10), 60);
        session.reset(&access, 55);
        assert_eq!(session.latest(10), 60, "it had none");
        session.grant(Rights::Read.into());
        assert_eq!(session.latest(10), u64::MAX);
        session.reset(&access, 1000);
        assert_eq!(session.latest(10), 1010);
        session.grant(Grant::new(Rights::Read).until(|| true));
        assert_eq!(session.latest(10), u64::MAX);
        session.renew(&access, 2000);
        assert_eq!(session.latest(10), 2010);
        session.renew(&access, 3000);
        assert_eq!(session.latest(10), 2010, "it had none");
    }
}
