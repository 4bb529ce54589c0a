//! Who a client is, and which version of the protocol it speaks.

use std::sync::atomic::Ordering::Relaxed;

use tracing::warn;

use super::{arity, is};
use crate::options::Grant;
use crate::output::{Output, Proto};
use crate::parse::{Args, integer};
use crate::server::Shared;
use crate::session::Session;

const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the \
    default user. Are you sure your configuration is correct?";
const SYNTAX_OF: &str = "ERR Syntax error in HELLO option";
const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

/// The user that there is.
const USER: &[u8] = b"default";

pub(super) fn auth(shared: &Shared, session: &mut Session, args: Args<'_>, out: &mut Output) {
    let (user, password) = match args.len() {
        2 => (None, args.get(1)),
        3 => (Some(args.get(1)), args.get(2)),
        _ => {
            out.error(super::SYNTAX);
            return;
        }
    };
    if user.is_none() && shared.options.access.check.is_none() {
        out.error(NO_PASSWORD);
        return;
    }
    match grant(shared, session, user.unwrap_or(USER), password) {
        Some(grant) => {
            session.grant(grant);
            out.ok();
        }
        None => out.error(WRONG),
    }
}

/// What a user may do, if that is the user's password. Where none is needed, any is right.
fn grant(shared: &Shared, session: &Session, user: &[u8], password: &[u8]) -> Option<Grant> {
    let access = &shared.options.access;
    let grant = match &access.check {
        _ if user != USER => None,
        Some(check) => check(password),
        None => access.open.map(Grant::new),
    };
    if grant.is_none() {
        shared.counters.denied.fetch_add(1, Relaxed);
        warn!(client = %session.client.ip(), "a client of the RESP port gave a wrong password");
    }
    grant
}

pub(super) fn hello(shared: &Shared, session: &mut Session, args: Args<'_>, out: &mut Output) {
    let mut proto = session.proto;
    if args.len() > 1 {
        proto = match integer(args.get(1)) {
            Some(2) => Proto::Two,
            Some(3) => Proto::Three,
            Some(_) => {
                out.error("NOPROTO unsupported protocol version");
                return;
            }
            None => {
                out.error("ERR Protocol version is not an integer or out of range");
                return;
            }
        };
    }
    let (mut given, mut name) = (None, None);
    let mut n = 2;
    while n < args.len() {
        let option = args.get(n);
        let left = args.len() - n - 1;
        if is(option, "auth") && left >= 2 {
            given = Some((args.get(n + 1), args.get(n + 2)));
            n += 3;
        } else if is(option, "setname") && left >= 1 {
            name = Some(args.get(n + 1));
            n += 2;
        } else {
            let text = [
                SYNTAX_OF.as_bytes(),
                b" '",
                option.get(..option.len().min(128)).unwrap_or_default(),
                b"'",
            ];
            out.error_bytes(&text.concat());
            return;
        }
    }
    if name.is_some_and(|name| !is_name(name)) {
        out.error(BAD_NAME);
        return;
    }
    if let Some((user, password)) = given {
        match grant(shared, session, user, password) {
            Some(grant) => session.grant(grant),
            None => {
                out.error(WRONG);
                return;
            }
        }
    }
    if !session.is_known() {
        out.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
        return;
    }
    if let Some(name) = name {
        session.said().name = name.to_vec();
    }
    session.proto = proto;
    out.map(proto, 7);
    for (field, text) in [("server", "gaggle"), ("version", env!("CARGO_PKG_VERSION"))] {
        out.bulk(field.as_bytes());
        out.bulk(text.as_bytes());
    }
    out.bulk(b"proto");
    out.int(if proto == Proto::Three { 3 } else { 2 });
    out.bulk(b"id");
    out.int(i64::try_from(session.id).unwrap_or(i64::MAX));
    // What clients know of Redis: not one of its clusters, and no replica.
    for (field, text) in [("mode", "standalone"), ("role", "master")] {
        out.bulk(field.as_bytes());
        out.bulk(text.as_bytes());
    }
    out.bulk(b"modules");
    out.array(0);
}

/// Whether it is visible ASCII of a length that can be kept for each connection.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.len() <= MAX_NAME && name.iter().all(u8::is_ascii_graphic)
}

/// The longest name that is kept of a connection.
const MAX_NAME: usize = 256;

/// Sets the connection's name.
pub(super) fn set_name(session: &mut Session, name: &[u8], out: &mut Output) {
    if is_name(name) {
        session.said().name = name.to_vec();
        out.ok();
    } else {
        out.error(BAD_NAME);
    }
}

/// The name of a library, or its version.
pub(super) fn set_info(session: &mut Session, args: Args<'_>, out: &mut Output) {
    let (what, value) = (args.get(2), args.get(3));
    let is_version = is(what, "lib-ver");
    if args.len() != 4 {
        arity("client|setinfo", out);
    } else if !is_version && !is(what, "lib-name") {
        let what = what.get(..what.len().min(128)).unwrap_or_default();
        out.error_bytes(&[b"ERR Unrecognized option '", what, b"'"].concat());
    } else if !is_name(value) {
        let what = if is_version { "lib-ver" } else { "lib-name" };
        out.error(format_args!(
            "ERR {what} cannot contain spaces, newlines or special characters."
        ));
    } else {
        let said = session.said();
        let place = if is_version {
            &mut said.lib_version
        } else {
            &mut said.lib_name
        };
        *place = value.to_vec();
        out.ok();
    }
}
