//! `COMMAND`, and `OBJECT`.

use super::client::help;
use super::table::{COMMANDS, Spec, find};
use super::{Step, arity, is, one, unknown_sub};
use crate::output::{Output, Proto};
use crate::parse::Args;
use crate::reads::One;
use crate::server::Shared;

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all commands of this server.",
    "COUNT",
    "    Return the total number of commands of this server.",
    "DOCS [<command-name> ...]",
    "    Return documentation of commands.",
    "INFO [<command-name> ...]",
    "    Return details about commands.",
    "LIST",
    "    Return the names of all commands.",
    "HELP",
    "    Print this help.",
];

/// The most commands that one request may ask about by their names.
const MAX_NAMES: usize = 256;

pub(super) fn command(proto: Proto, args: Args<'_>, out: &mut Output) {
    let sub = args.get(1);
    if args.len() - 1 > MAX_NAMES {
        out.error(format_args!(
            "ERR more than {MAX_NAMES} arguments of 'command'"
        ));
        return;
    }
    if args.len() == 1 || is(sub, "info") {
        if args.len() <= 2 {
            out.array(COMMANDS.len());
            COMMANDS.iter().for_each(|spec| info(spec, proto, out));
            return;
        }
        out.array(args.len() - 2);
        for name in args.from(2) {
            match find(name) {
                Some(spec) => info(spec, proto, out),
                None => out.null(proto),
            }
        }
    } else if is(sub, "count") {
        match args.len() {
            2 => out.int(i64::try_from(COMMANDS.len()).unwrap_or(i64::MAX)),
            _ => arity("command|count", out),
        }
    } else if is(sub, "list") {
        if args.len() > 2 {
            out.error(super::SYNTAX);
            return;
        }
        out.array(COMMANDS.len());
        for spec in COMMANDS {
            out.bulk(spec.name.as_bytes());
        }
    } else if is(sub, "docs") {
        let named: Vec<&Spec> = match args.len() {
            2 => COMMANDS.iter().collect(),
            _ => args.from(2).filter_map(find).collect(),
        };
        out.map(proto, named.len());
        named.into_iter().for_each(|spec| docs(spec, proto, out));
    } else if is(sub, "help") {
        help(HELP, out);
    } else {
        unknown_sub("COMMAND", args, out);
    }
}

/// As of Redis 7: name, arity, flags, keys, categories, tips, key specifications, subcommands.
fn info(spec: &Spec, proto: Proto, out: &mut Output) {
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.int(spec.arity.into());
    out.set(proto, spec.flags.len());
    for flag in spec.flags {
        out.simple(flag);
    }
    for key in spec.keys {
        out.int(key.into());
    }
    let kind = if spec.is("write") {
        "@write"
    } else if spec.is("readonly") {
        "@read"
    } else {
        "@connection"
    };
    out.set(proto, 1);
    out.simple(kind);
    out.array(0);
    out.array(0);
    out.array(0);
}

fn docs(spec: &Spec, proto: Proto, out: &mut Output) {
    out.bulk(spec.name.as_bytes());
    out.map(proto, 3);
    for (field, text) in [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.group),
    ] {
        out.bulk(field.as_bytes());
        out.bulk(text.as_bytes());
    }
}

const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return how Redis would keep the value of <key>.",
    "REFCOUNT <key>",
    "    Return 1 where there is a value.",
    "HELP",
    "    Print this help.",
];

const NO_FREQ: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
    Please note that when switching between policies at runtime LRU and LFU data will take some \
    time to adjust.";
const NO_IDLE: &str = "ERR OBJECT IDLETIME is not supported: the time of the last use is not \
    tracked";

pub(super) fn object(shared: &Shared, proto: Proto, args: Args<'_>, out: &mut Output) -> Step {
    let sub = args.get(1);
    if is(sub, "help") && args.len() == 2 {
        help(OBJECT_HELP, out);
        return Step::Done;
    }
    let known = [
        ("encoding", One::Encoding),
        ("refcount", One::Refcount),
        ("freq", One::Untracked(NO_FREQ)),
        ("idletime", One::Untracked(NO_IDLE)),
    ];
    match known.into_iter().find(|(name, _)| is(sub, name)) {
        Some((_, what)) if args.len() == 3 => one(shared, proto, what, args.get(2), out),
        Some((name, _)) => {
            arity(&format!("object|{name}"), out);
            Step::Done
        }
        None => {
            unknown_sub("OBJECT", args, out);
            Step::Done
        }
    }
}
