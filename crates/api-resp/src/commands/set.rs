//! Commands that put and remove values, up to the point where the other nodes are told.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gaggle_group::Key;

use super::table::{Id, Spec};
use super::{Later, NO_INTEGER, SYNTAX, Step, check, is, later};
use crate::error::Text;
use crate::output::Output;
use crate::parse::{Args, integer};
use crate::server::Shared;

/// The longest time to live: what RFC 9111 (section 1.2.2) has larger numbers taken for, as with
/// values that are put over HTTP.
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// An option of `SET` that says when the value ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// In so many units of so many milliseconds.
    In(i64),
    /// At so many of them after 1970.
    At(i64),
}

pub(super) fn set(shared: &Shared, args: Args<'_>, out: &mut Output) -> Step {
    let mut refused = None;
    let mut end = None;
    // Of NX and XX, and of KEEPTTL and the times, there can be one.
    let (mut condition, mut keeps) = (None, false);
    let mut n = 3;
    while n < args.len() {
        let option = args.get(n);
        let has_next = n + 1 < args.len();
        let timed = [
            ("ex", End::In(1000)),
            ("px", End::In(1)),
            ("exat", End::At(1000)),
            ("pxat", End::At(1)),
        ];
        let timed = timed.into_iter().find(|(word, _)| is(option, word));
        let conditions = ["nx", "xx"].into_iter().find(|word| is(option, word));
        if let Some(word) = conditions
            && condition.is_none_or(|old| old == word)
        {
            condition = Some(word);
            refused = refused.or(Some(word.to_uppercase()));
        } else if is(option, "get") {
            refused = refused.or(Some("GET".to_owned()));
        } else if is(option, "keepttl") && end.is_none() {
            keeps = true;
            refused = refused.or(Some("KEEPTTL".to_owned()));
        } else if let Some((_, unit)) = timed
            && has_next
            && end.is_none()
            && !keeps
        {
            end = Some((unit, args.get(n + 1)));
            n += 1;
        } else {
            out.error(SYNTAX);
            return Step::Done;
        }
        n += 1;
    }
    let ttl = match end {
        None => None,
        Some((unit, number)) => match time(number, unit, "set") {
            Ok(ttl) => Some(ttl),
            Err(error) => {
                out.error(error);
                return Step::Done;
            }
        },
    };
    if let Some(option) = refused {
        out.error(format_args!(
            "ERR SET with {option} is not supported: a cache does not know whether a key is there"
        ));
        return Step::Done;
    }
    put(shared, args.get(1), args.get(2), ttl, out)
}

/// `SETEX` and `PSETEX`, whose unit is so many milliseconds.
pub(super) fn set_for(shared: &Shared, args: Args<'_>, unit: i64, out: &mut Output) -> Step {
    let name = if unit == 1 { "psetex" } else { "setex" };
    match time(args.get(2), End::In(unit), name) {
        Ok(ttl) => put(shared, args.get(1), args.get(3), Some(ttl), out),
        Err(error) => {
            out.error(error);
            Step::Done
        }
    }
}

fn time(number: &[u8], end: End, command: &str) -> Result<Duration, String> {
    let number = integer(number).ok_or_else(|| NO_INTEGER.to_owned())?;
    let invalid = || format!("ERR invalid expire time in '{command}' command");
    let (End::In(unit) | End::At(unit)) = end;
    let millis = number.checked_mul(unit).filter(|_| number > 0);
    let millis = millis.and_then(|millis| u64::try_from(millis).ok());
    let time = Duration::from_millis(millis.ok_or_else(invalid)?);
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let left = match end {
        End::In(_) => time,
        End::At(_) => time.saturating_sub(now().unwrap_or_default()),
    };
    Ok(left.min(LONGEST))
}

fn put(shared: &Shared, key: &[u8], value: &[u8], ttl: Option<Duration>, out: &mut Output) -> Step {
    let (at, key) = match shared.keys.find(key) {
        Ok(found) => found,
        Err(none) => {
            out.error_bytes(&none.text());
            return Step::Done;
        }
    };
    let key = Key::copy_from_slice(key);
    if ttl.is_some_and(|ttl| ttl.is_zero()) {
        return later(Later::PutNothing(at, key));
    }
    later(Later::Put(at, key, Bytes::copy_from_slice(value), ttl))
}

pub(super) fn del(shared: &Shared, args: Args<'_>, out: &mut Output) -> Step {
    let mut keys = Vec::with_capacity(args.len() - 1);
    for key in args.from(1) {
        let (at, key) = match shared.keys.find(key) {
            Ok(found) => found,
            Err(none) => {
                out.error_bytes(&none.text());
                return Step::Done;
            }
        };
        if let Some(group) = shared.keys.group(at)
            && let Err(error) = check(group, key)
        {
            out.error(Text(&error));
            return Step::Done;
        }
        keys.push((at, Key::copy_from_slice(key)));
    }
    later(Later::Remove(keys))
}

pub(super) fn flush(shared: &Shared, spec: &Spec, args: Args<'_>, out: &mut Output) -> Step {
    let good = match args.len() {
        1 => true,
        2 => is(args.get(1), "async") || is(args.get(1), "sync"),
        _ => false,
    };
    if !good {
        out.error(SYNTAX);
        return Step::Done;
    }
    let groups = match (spec.id, shared.keys.bare()) {
        (Id::FlushAll, _) => (0..shared.keys.all().len()).collect(),
        (_, Some(bare)) => vec![bare],
        (_, None) => {
            out.error(
                "ERR FLUSHDB removes the group of bare keys, and there is none here: \
                 FLUSHALL removes all groups",
            );
            return Step::Done;
        }
    };
    later(Later::Flush(groups))
}

pub(super) fn refused(spec: &Spec, out: &mut Output) {
    let name = spec.name.to_uppercase();
    let why = match spec.name {
        "setnx" | "getset" | "getdel" => "a cache does not know whether a key is there",
        _ => "a value's time to live is set when it is put (SET with EX or PX), or by its group",
    };
    out.error(format_args!("ERR {name} is not supported: {why}"));
}
