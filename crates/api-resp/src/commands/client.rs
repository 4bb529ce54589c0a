//! `CLIENT`: what this connection is.

use super::{SYNTAX, arity, hello, is, unknown_sub};
use crate::output::{Output, Proto, Quiet};
use crate::parse::Args;
use crate::server::Shared;
use crate::session::Session;

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "NO-EVICT (ON|OFF)",
    "    Is taken, and changes nothing: connections are not evicted.",
    "NO-TOUCH (ON|OFF)",
    "    Is taken, and changes nothing.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set the name or the version of the client library.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "HELP",
    "    Print this help.",
];

/// What Redis has and this server does not.
const REFUSED: &[&str] = &[
    "caching",
    "getredir",
    "kill",
    "list",
    "pause",
    "tracking",
    "trackinginfo",
    "unblock",
    "unpause",
];

pub(super) fn client(shared: &Shared, session: &mut Session, args: Args<'_>, out: &mut Output) {
    let sub = args.get(1);
    let bare = args.len() == 2;
    let needs = |name: &str, good: bool, out: &mut Output| {
        if !good {
            arity(&format!("client|{name}"), out);
        }
        good
    };
    if is(sub, "id") {
        if needs("id", bare, out) {
            out.int(i64::try_from(session.id).unwrap_or(i64::MAX));
        }
    } else if is(sub, "getname") {
        if needs("getname", bare, out) {
            match session.name() {
                [] => out.null(session.proto),
                name => out.bulk(name),
            }
        }
    } else if is(sub, "info") {
        if needs("info", bare, out) {
            let text = info(shared, session);
            out.verbatim(session.proto, &text);
        }
    } else if is(sub, "setname") {
        if needs("setname", args.len() == 3, out) {
            hello::set_name(session, args.get(2), out);
        }
    } else if is(sub, "setinfo") {
        hello::set_info(session, args, out);
    } else if is(sub, "no-evict") || is(sub, "no-touch") {
        let name = if is(sub, "no-evict") {
            "no-evict"
        } else {
            "no-touch"
        };
        if needs(name, args.len() == 3, out) {
            match is(args.get(2), "on") || is(args.get(2), "off") {
                true => out.ok(),
                false => out.error(SYNTAX),
            }
        }
    } else if is(sub, "reply") {
        if needs("reply", args.len() == 3, out) {
            reply(args.get(2), out);
        }
    } else if is(sub, "help") {
        if needs("help", bare, out) {
            help(HELP, out);
        }
    } else if let Some(name) = REFUSED.iter().find(|name| is(sub, name)) {
        out.error(format_args!(
            "ERR CLIENT {} is not supported",
            name.to_uppercase()
        ));
    } else {
        unknown_sub("CLIENT", args, out);
    }
}

fn reply(mode: &[u8], out: &mut Output) {
    if is(mode, "on") {
        out.unmute();
        out.ok();
    } else if is(mode, "off") {
        out.mute(Quiet::All);
    } else if !is(mode, "skip") {
        out.error(SYNTAX);
    } else if out.quiet() != Some(Quiet::All) {
        // This request and the next one.
        out.mute(Quiet::Next(2));
    }
}

pub(super) fn help(lines: &[&str], out: &mut Output) {
    out.array(lines.len());
    for line in lines {
        out.simple(line);
    }
}

/// One line, with the fields of Redis that there are here.
fn info(shared: &Shared, session: &Session) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (name, lib, version) = match &session.said {
        Some(said) => (
            text(&said.name),
            text(&said.lib_name),
            text(&said.lib_version),
        ),
        None => Default::default(),
    };
    let age = shared.clock.now().saturating_sub(session.since) / 1000;
    let proto = if session.proto == Proto::Three { 3 } else { 2 };
    format!(
        "id={} addr={} laddr={} name={name} age={age} idle=0 flags=N db=0 sub=0 psub=0 multi=-1 \
         cmd=client|info user=default resp={proto} lib-name={lib} lib-ver={version}\n",
        session.id, session.client, shared.local_addr,
    )
}
