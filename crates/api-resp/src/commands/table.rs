//! The commands: their names, arities and flags, as `COMMAND` tells them.

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    Auth,
    Client,
    Command,
    DbSize,
    Del,
    Echo,
    Exists,
    FlushAll,
    FlushDb,
    Get,
    GetRange,
    Hello,
    Info,
    MGet,
    Object,
    PSetEx,
    Ping,
    Pttl,
    Quit,
    Refused,
    Reset,
    Select,
    Set,
    SetEx,
    StrLen,
    Ttl,
    Type,
}

/// A command.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// The number of its arguments, the name included; negative where that is the least.
    pub(crate) arity: i32,
    pub(crate) id: Id,
    pub(crate) flags: &'static [&'static str],
    /// The first and the last of the arguments that are keys, and the step between keys.
    pub(crate) keys: [i32; 3],
    pub(crate) group: &'static str,
    pub(crate) since: &'static str,
    pub(crate) summary: &'static str,
}

impl Spec {
    pub(crate) fn is(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// Whether it takes so many arguments, the name included.
    #[inline]
    pub(crate) fn takes(&self, args: usize) -> bool {
        match usize::try_from(self.arity) {
            Ok(exactly) => args == exactly,
            Err(_) => args >= self.arity.unsigned_abs() as usize,
        }
    }
}

/// The longest name of a command.
const LONGEST: usize = 16;

/// The command of that name, which has no case.
#[inline]
pub(crate) fn find(name: &[u8]) -> Option<&'static Spec> {
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let found = COMMANDS.binary_search_by(|spec| spec.name.as_bytes().cmp(lower));
    COMMANDS.get(found.ok()?)
}

/// All of them, by name.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec {
        name: "auth",
        arity: -2,
        id: Id::Auth,
        flags: &[
            "noscript",
            "loading",
            "stale",
            "fast",
            "no_auth",
            "allow_busy",
        ],
        keys: [0, 0, 0],
        group: "connection",
        since: "1.0.0",
        summary: "Authenticates the connection.",
    },
    Spec {
        name: "client",
        arity: -2,
        id: Id::Client,
        flags: &[],
        keys: [0, 0, 0],
        group: "connection",
        since: "2.4.0",
        summary: "What this connection is.",
    },
    Spec {
        name: "command",
        arity: -1,
        id: Id::Command,
        flags: &["loading", "stale"],
        keys: [0, 0, 0],
        group: "server",
        since: "2.8.13",
        summary: "What this server knows.",
    },
    Spec {
        name: "dbsize",
        arity: 1,
        id: Id::DbSize,
        flags: &["readonly", "fast"],
        keys: [0, 0, 0],
        group: "server",
        since: "1.0.0",
        summary: "Returns the number of keys in the memory of this node.",
    },
    Spec {
        name: "del",
        arity: -2,
        id: Id::Del,
        flags: &["write"],
        keys: [1, -1, 1],
        group: "generic",
        since: "1.0.0",
        summary: "Removes keys from the caches of all nodes.",
    },
    Spec {
        name: "echo",
        arity: 2,
        id: Id::Echo,
        flags: &["loading", "stale", "fast"],
        keys: [0, 0, 0],
        group: "connection",
        since: "1.0.0",
        summary: "Returns the given string.",
    },
    Spec {
        name: "exists",
        arity: -2,
        id: Id::Exists,
        flags: &["readonly", "fast"],
        keys: [1, -1, 1],
        group: "generic",
        since: "1.0.0",
        summary: "Determines whether keys exist, at the origin if need be.",
    },
    Spec {
        name: "expire",
        arity: -3,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "generic",
        since: "1.0.0",
        summary: "Is refused.",
    },
    Spec {
        name: "expireat",
        arity: -3,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "generic",
        since: "1.2.0",
        summary: "Is refused.",
    },
    Spec {
        name: "flushall",
        arity: -1,
        id: Id::FlushAll,
        flags: &["write"],
        keys: [0, 0, 0],
        group: "server",
        since: "1.0.0",
        summary: "Removes all keys of all groups from the caches of all nodes.",
    },
    Spec {
        name: "flushdb",
        arity: -1,
        id: Id::FlushDb,
        flags: &["write"],
        keys: [0, 0, 0],
        group: "server",
        since: "1.0.0",
        summary: "Removes all keys of the group of bare keys from the caches of all nodes.",
    },
    Spec {
        name: "get",
        arity: 2,
        id: Id::Get,
        flags: &["readonly", "fast"],
        keys: [1, 1, 1],
        group: "string",
        since: "1.0.0",
        summary: "Returns the value of a key, from the origin if need be.",
    },
    Spec {
        name: "getdel",
        arity: 2,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "string",
        since: "6.2.0",
        summary: "Is refused.",
    },
    Spec {
        name: "getex",
        arity: -2,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "string",
        since: "6.2.0",
        summary: "Is refused.",
    },
    Spec {
        name: "getrange",
        arity: 4,
        id: Id::GetRange,
        flags: &["readonly"],
        keys: [1, 1, 1],
        group: "string",
        since: "2.4.0",
        summary: "Returns a part of the value of a key.",
    },
    Spec {
        name: "getset",
        arity: 3,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "string",
        since: "1.0.0",
        summary: "Is refused.",
    },
    Spec {
        name: "hello",
        arity: -1,
        id: Id::Hello,
        flags: &[
            "noscript",
            "loading",
            "stale",
            "fast",
            "no_auth",
            "allow_busy",
        ],
        keys: [0, 0, 0],
        group: "connection",
        since: "6.0.0",
        summary: "Chooses the protocol's version.",
    },
    Spec {
        name: "info",
        arity: -1,
        id: Id::Info,
        flags: &["loading", "stale"],
        keys: [0, 0, 0],
        group: "server",
        since: "1.0.0",
        summary: "Returns what this node has done.",
    },
    Spec {
        name: "mget",
        arity: -2,
        id: Id::MGet,
        flags: &["readonly", "fast"],
        keys: [1, -1, 1],
        group: "string",
        since: "1.0.0",
        summary: "Returns the values of keys, with one request to each of their owners.",
    },
    Spec {
        name: "object",
        arity: -2,
        id: Id::Object,
        flags: &["readonly"],
        keys: [0, 0, 0],
        group: "generic",
        since: "2.2.3",
        summary: "What is known of a value.",
    },
    Spec {
        name: "persist",
        arity: 2,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "generic",
        since: "2.2.0",
        summary: "Is refused.",
    },
    Spec {
        name: "pexpire",
        arity: -3,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "generic",
        since: "2.6.0",
        summary: "Is refused.",
    },
    Spec {
        name: "pexpireat",
        arity: -3,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "generic",
        since: "2.6.0",
        summary: "Is refused.",
    },
    Spec {
        name: "ping",
        arity: -1,
        id: Id::Ping,
        flags: &["fast"],
        keys: [0, 0, 0],
        group: "connection",
        since: "1.0.0",
        summary: "Answers PONG.",
    },
    Spec {
        name: "psetex",
        arity: 4,
        id: Id::PSetEx,
        flags: &["write"],
        keys: [1, 1, 1],
        group: "string",
        since: "2.6.0",
        summary: "Puts a value for so many milliseconds.",
    },
    Spec {
        name: "pttl",
        arity: 2,
        id: Id::Pttl,
        flags: &["readonly", "fast"],
        keys: [1, 1, 1],
        group: "generic",
        since: "2.6.0",
        summary: "Returns for how many milliseconds a value may be served.",
    },
    Spec {
        name: "quit",
        arity: -1,
        id: Id::Quit,
        flags: &[
            "noscript",
            "loading",
            "stale",
            "fast",
            "no_auth",
            "allow_busy",
        ],
        keys: [0, 0, 0],
        group: "connection",
        since: "1.0.0",
        summary: "Closes the connection.",
    },
    Spec {
        name: "reset",
        arity: 1,
        id: Id::Reset,
        flags: &[
            "noscript",
            "loading",
            "stale",
            "fast",
            "no_auth",
            "allow_busy",
        ],
        keys: [0, 0, 0],
        group: "connection",
        since: "6.2.0",
        summary: "Makes the connection as it was at first.",
    },
    Spec {
        name: "select",
        arity: 2,
        id: Id::Select,
        flags: &["loading", "stale", "fast"],
        keys: [0, 0, 0],
        group: "connection",
        since: "1.0.0",
        summary: "Takes 0, which is the only database.",
    },
    Spec {
        name: "set",
        arity: -3,
        id: Id::Set,
        flags: &["write"],
        keys: [1, 1, 1],
        group: "string",
        since: "1.0.0",
        summary: "Puts a value, for all nodes.",
    },
    Spec {
        name: "setex",
        arity: 4,
        id: Id::SetEx,
        flags: &["write"],
        keys: [1, 1, 1],
        group: "string",
        since: "2.0.0",
        summary: "Puts a value for so many seconds.",
    },
    Spec {
        name: "setnx",
        arity: 3,
        id: Id::Refused,
        flags: &["write", "fast"],
        keys: [1, 1, 1],
        group: "string",
        since: "1.0.0",
        summary: "Is refused.",
    },
    Spec {
        name: "strlen",
        arity: 2,
        id: Id::StrLen,
        flags: &["readonly", "fast"],
        keys: [1, 1, 1],
        group: "string",
        since: "2.2.0",
        summary: "Returns the length of a value.",
    },
    Spec {
        name: "substr",
        arity: 4,
        id: Id::GetRange,
        flags: &["readonly"],
        keys: [1, 1, 1],
        group: "string",
        since: "1.0.0",
        summary: "Returns a part of the value of a key.",
    },
    Spec {
        name: "ttl",
        arity: 2,
        id: Id::Ttl,
        flags: &["readonly", "fast"],
        keys: [1, 1, 1],
        group: "generic",
        since: "1.0.0",
        summary: "Returns for how many seconds a value may be served.",
    },
    Spec {
        name: "type",
        arity: 2,
        id: Id::Type,
        flags: &["readonly", "fast"],
        keys: [1, 1, 1],
        group: "generic",
        since: "1.0.0",
        summary: "Returns string, or none where there is no such key.",
    },
    Spec {
        name: "unlink",
        arity: -2,
        id: Id::Del,
        flags: &["write", "fast"],
        keys: [1, -1, 1],
        group: "generic",
        since: "4.0.0",
        summary: "Removes keys from the caches of all nodes.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_name() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        for spec in COMMANDS {
            for name in [spec.name.to_owned(), spec.name.to_uppercase()] {
                assert_eq!(find(name.as_bytes()).map(|s| s.name), Some(spec.name));
            }
        }
        for name in ["", "ge", "gett", "a-name-that-is-longer-than-any"] {
            assert!(find(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn arities() {
        let takes = |name: &str, args| find(name.as_bytes()).unwrap().takes(args);
        assert!(takes("get", 2) && !takes("get", 1) && !takes("get", 3));
        assert!(takes("mget", 2) && takes("mget", 9) && !takes("mget", 1));
    }
}
