//! What each command does, as far as it can be done at once.

use std::time::Duration;

use gaggle_group::{ByteBudget, Group, Key};

use crate::connection::SOFT;
use crate::counts::Untold;
use crate::keys::NoGroup;
use crate::options::Rights;
use crate::output::{Output, Proto};
use crate::parse::{Args, integer};
use crate::reads::One;
use crate::server::Shared;
use crate::session::Session;

mod client;
mod describe;
mod hello;
mod info;
pub(crate) mod set;
pub(crate) mod table;

use table::{Id, Spec};

/// How a command goes on.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is answered.
    Done,
    /// It is answered, and the connection ends.
    Quit,
    /// The connection ends without an answer.
    Drop,
    /// It has to wait. In a box, as few do.
    Later(Box<Later>),
}

/// What is left to do of a command.
#[derive(Debug)]
pub(crate) enum Later {
    /// Values of keys, each an answer or an element of one.
    Values(Vec<Named>),
    /// A value from memory for which there is no room in flight, and the part that is asked for.
    Held(usize, bytes::Bytes, bytes::Bytes),
    /// How many of the keys exist, beside those that were counted.
    Exist(Vec<Named>, i64),
    /// What is asked of one key.
    One(One, usize, Key),
    Put(usize, Key, bytes::Bytes, Option<Duration>),
    Remove(Vec<(usize, Key)>),
    /// A value that has no time to live left: the key is removed.
    PutNothing(usize, Key),
    Flush(Vec<usize>),
}

/// A key of a group, or why it is of none.
pub(crate) type Named = Result<(usize, Key), Vec<u8>>;

pub(crate) fn named(found: Result<(usize, &[u8]), NoGroup<'_>>) -> Named {
    match found {
        Ok((group, key)) => Ok((group, Key::copy_from_slice(key))),
        Err(none) => Err(none.text()),
    }
}

/// Whether it is a `GET` of one key.
#[inline]
pub(crate) fn is_get(args: &Args<'_>) -> bool {
    args.len() == 2 && matches!(args.get(0), [b'g' | b'G', b'e' | b'E', b't' | b'T'])
}

/// `GET`, by far the most frequent one.
#[inline]
pub(crate) fn get(shared: &Shared, proto: Proto, key: &[u8], out: &mut Output) -> Step {
    let (at, key) = match shared.keys.find(key) {
        Ok(found) => found,
        Err(none) => {
            out.error_bytes(&none.text());
            return Step::Done;
        }
    };
    let Some(group) = shared.keys.group(at) else {
        return Step::Drop;
    };
    let Some(answer) = group.cached(key) else {
        return later(Later::Values(vec![Ok((at, Key::copy_from_slice(key)))]));
    };
    match answer.value {
        None => out.null(proto),
        Some(value) if value.len() < ByteBudget::SMALL => out.bulk(&value),
        Some(value) => match group.in_flight().try_hold(&value) {
            Some(hold) => out.value(value, hold),
            None => return later(Later::Held(at, value.clone(), value)),
        },
    }
    Step::Done
}

pub(crate) fn later(what: Later) -> Step {
    Step::Later(Box::new(what))
}

/// Does a command, or says what is left to do.
pub(crate) fn run(
    shared: &Shared,
    session: &mut Session,
    args: Args<'_>,
    out: &mut Output,
    untold: &mut Untold,
) -> Step {
    let Some(spec) = table::find(args.get(0)) else {
        untold.others += 1;
        // What a browser sends that was made to ask here. Redis closes, too.
        if is(args.get(0), "post") || is(args.get(0), "host:") {
            return Step::Drop;
        }
        unknown(args, out);
        return Step::Done;
    };
    let writes = spec.is("write");
    match (writes, spec.is("readonly")) {
        (true, _) => untold.writes += 1,
        (_, true) => untold.reads += 1,
        _ => untold.others += 1,
    }
    if !spec.takes(args.len()) {
        arity(spec.name, out);
        return Step::Done;
    }
    match session.rights {
        None if !spec.is("no_auth") => {
            out.error("NOAUTH Authentication required.");
            return Step::Done;
        }
        Some(rights) if writes && rights < Rights::Write => {
            out.error(format_args!(
                "NOPERM this user has no permissions to run the '{}' command",
                spec.name
            ));
            return Step::Done;
        }
        _ => {}
    }
    known(shared, session, spec, args, out)
}

fn known(
    shared: &Shared,
    session: &mut Session,
    spec: &'static Spec,
    args: Args<'_>,
    out: &mut Output,
) -> Step {
    let proto = session.proto;
    match spec.id {
        Id::Get => return get(shared, proto, args.get(1), out),
        Id::MGet => return mget(shared, proto, args, out),
        Id::Exists => return exists(shared, args, out),
        Id::StrLen => return one(shared, proto, One::StrLen, args.get(1), out),
        Id::Ttl => return one(shared, proto, One::Ttl, args.get(1), out),
        Id::Pttl => return one(shared, proto, One::Pttl, args.get(1), out),
        Id::Type => return one(shared, proto, One::Type, args.get(1), out),
        Id::GetRange => {
            let range = (integer(args.get(2)), integer(args.get(3)));
            let (Some(from), Some(to)) = range else {
                out.error(NO_INTEGER);
                return Step::Done;
            };
            return one(shared, proto, One::Range(from, to), args.get(1), out);
        }
        Id::Object => return describe::object(shared, proto, args, out),
        Id::Set => return set::set(shared, args, out),
        Id::SetEx => return set::set_for(shared, args, 1000, out),
        Id::PSetEx => return set::set_for(shared, args, 1, out),
        Id::Del => return set::del(shared, args, out),
        Id::FlushDb | Id::FlushAll => return set::flush(shared, spec, args, out),
        Id::Refused => set::refused(spec, out),
        Id::Ping => ping(shared, args, out),
        Id::Echo => echo(shared, args.get(1), out),
        Id::Select => select(args, out),
        Id::Quit => {
            out.ok();
            return Step::Quit;
        }
        Id::Reset => {
            out.unmute();
            session.reset(&shared.options.access, shared.clock.now());
            out.simple("RESET");
        }
        Id::Auth => hello::auth(shared, session, args, out),
        Id::Hello => hello::hello(shared, session, args, out),
        Id::Client => client::client(shared, session, args, out),
        Id::Command => describe::command(proto, args, out),
        Id::Info => info::info(shared, session, args, out),
        Id::DbSize => out.int(info::entries(shared)),
    }
    Step::Done
}

pub(crate) const NO_INTEGER: &str = "ERR value is not an integer or out of range";
pub(crate) const SYNTAX: &str = "ERR syntax error";

/// Whether an argument is that word, whatever its case.
pub(crate) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

pub(crate) fn arity(name: &str, out: &mut Output) {
    out.error(format_args!(
        "ERR wrong number of arguments for '{name}' command"
    ));
}

/// A command that there is not, in Redis' words.
fn unknown(args: Args<'_>, out: &mut Output) {
    const MOST: usize = 128;
    fn cut(arg: &[u8], len: usize) -> &[u8] {
        // Redis prints them as C strings.
        let end = arg.iter().position(|b| *b == 0).unwrap_or(arg.len());
        arg.get(..end.min(len)).unwrap_or_default()
    }
    let mut told = Vec::new();
    for arg in args.from(1) {
        if told.len() >= MOST {
            break;
        }
        let arg = cut(arg, MOST - told.len());
        told.push(b'\'');
        told.extend_from_slice(arg);
        told.extend_from_slice(b"' ");
    }
    let name = cut(args.get(0), MOST);
    let text = [
        b"ERR unknown command '",
        name,
        b"', with args beginning with: ",
        &told,
    ];
    out.error_bytes(&text.concat());
}

/// A subcommand that there is not, in Redis' words.
pub(crate) fn unknown_sub(container: &str, args: Args<'_>, out: &mut Output) {
    let sub = args.get(1);
    let sub = sub.get(..sub.len().min(128)).unwrap_or_default();
    let text = [
        b"ERR unknown subcommand '",
        sub,
        b"'. Try ",
        container.as_bytes(),
        b" HELP.",
    ];
    out.error_bytes(&text.concat());
}

fn ping(shared: &Shared, args: Args<'_>, out: &mut Output) {
    match args.len() {
        1 => out.simple("PONG"),
        2 => echo(shared, args.get(1), out),
        _ => arity("ping", out),
    }
}

fn select(args: Args<'_>, out: &mut Output) {
    match integer(args.get(1)).map(i32::try_from) {
        Some(Ok(0)) => out.ok(),
        Some(Ok(_)) => out.error("ERR DB index is out of range"),
        Some(Err(_)) => {
            out.error("ERR value is out of range, value must between -2147483648 and 2147483647");
        }
        None => out.error(NO_INTEGER),
    }
}

/// The values in memory at once, until one is not.
fn mget(shared: &Shared, proto: Proto, args: Args<'_>, out: &mut Output) -> Step {
    out.array(args.len() - 1);
    for (n, key) in args.from(1).enumerate() {
        if has_room(shared, out)
            && let Step::Done = get(shared, proto, key, out)
        {
            continue;
        }
        let rest = args.from(n + 1);
        let rest = rest.map(|key| named(shared.keys.find(key))).collect();
        return later(Later::Values(rest));
    }
    Step::Done
}

/// Whether so much waits that it has to be sent first, as no more of it may be kept.
#[inline]
fn has_room(shared: &Shared, out: &mut Output) -> bool {
    let (waiting, most) = (out.waiting(), shared.options.max_output);
    waiting < SOFT.min(most) || (waiting < most && out.reserve(&shared.in_flight, most))
}

/// Gives back what the client sent.
fn echo(shared: &Shared, text: &[u8], out: &mut Output) {
    if text.len() >= SOFT && !out.reserve(&shared.in_flight, out.waiting() + text.len()) {
        let limit = shared.in_flight.limit();
        out.error(format_args!(
            "TRYAGAIN there is no room for the answer: {limit} bytes may be in flight"
        ));
        return;
    }
    out.bulk(text);
}

fn exists(shared: &Shared, args: Args<'_>, out: &mut Output) -> Step {
    let mut there = 0;
    for (n, key) in args.from(1).enumerate() {
        let found = shared.keys.find(key).ok();
        let found = found.and_then(|(at, key)| shared.keys.group(at)?.cached(key));
        let Some(answer) = found else {
            let rest = args.from(n + 1);
            let rest = rest.map(|key| named(shared.keys.find(key))).collect();
            return later(Later::Exist(rest, there));
        };
        there += i64::from(answer.value.is_some());
    }
    out.int(there);
    Step::Done
}

/// What is asked of one key.
pub(crate) fn one(shared: &Shared, proto: Proto, what: One, key: &[u8], out: &mut Output) -> Step {
    let (at, key) = match shared.keys.find(key) {
        Ok(found) => found,
        Err(none) => {
            out.error_bytes(&none.text());
            return Step::Done;
        }
    };
    let Some(group) = shared.keys.group(at) else {
        return Step::Drop;
    };
    let Some(answer) = group.cached(key) else {
        return later(Later::One(what, at, Key::copy_from_slice(key)));
    };
    match what.write(group, &answer, proto, out) {
        None => Step::Done,
        Some((value, part)) => later(Later::Held(at, value, part)),
    }
}

/// The key, if the group can have it.
pub(crate) fn check(group: &Group, key: &[u8]) -> Result<(), gaggle_group::Error> {
    let limit = group.limits().max_key;
    if key.len() <= limit {
        return Ok(());
    }
    Err(gaggle_group::Error::KeyTooLong {
        group: group.name().clone(),
        len: key.len(),
        limit,
    })
}
