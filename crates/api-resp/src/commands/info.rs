//! `INFO`: what this node has done, in the words of Redis where it has some.

use std::fmt::Write as _;

use super::is;
use crate::output::Output;
use crate::parse::Args;
use crate::server::Shared;
use crate::session::Session;

/// What of Redis' commands and answers this is like: clients ask for it.
const LIKE_REDIS: &str = "7.0.15";

const SECTIONS: [&str; 6] = [
    "server",
    "clients",
    "memory",
    "stats",
    "replication",
    "keyspace",
];

pub(super) fn info(shared: &Shared, session: &Session, args: Args<'_>, out: &mut Output) {
    let all = args.len() == 1
        || args.from(1).any(|section| {
            ["all", "default", "everything"]
                .iter()
                .any(|word| is(section, word))
        });
    let mut text = String::new();
    for section in SECTIONS {
        if all || args.from(1).any(|asked| is(asked, section)) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            // Writing to a string does not fail.
            let _ = write(shared, section, &mut text);
        }
    }
    out.verbatim(session.proto, &text);
}

fn write(shared: &Shared, section: &str, text: &mut String) -> std::fmt::Result {
    let counts = shared.counters.snapshot();
    let groups = shared.keys.all();
    match section {
        "server" => {
            let version = env!("CARGO_PKG_VERSION");
            let seconds = shared.clock.now() / 1000;
            let days = seconds / 86_400;
            let port = shared.local_addr.port();
            write!(
                text,
                "# Server\r\ngaggle_version:{version}\r\nredis_version:{LIKE_REDIS}\r\n\
                 redis_mode:standalone\r\nprocess_id:{}\r\ntcp_port:{port}\r\n\
                 uptime_in_seconds:{seconds}\r\nuptime_in_days:{days}\r\n",
                std::process::id()
            )
        }
        "clients" => write!(
            text,
            "# Clients\r\nconnected_clients:{}\r\nmaxclients:{}\r\n",
            counts.open, shared.options.max_connections
        ),
        "memory" => {
            let stats = groups.iter().map(gaggle_group::Group::stats);
            let (used, most) = stats.fold((0_u64, 0_u64), |(used, most), stats| {
                let bytes = stats.main.bytes + stats.hot.bytes + stats.absent.bytes;
                (used + bytes, most + stats.limit_bytes)
            });
            write!(
                text,
                "# Memory\r\nused_memory_dataset:{used}\r\nmaxmemory:{most}\r\n"
            )
        }
        "stats" => {
            let stats = groups.iter().map(gaggle_group::Group::stats);
            let (gets, misses) = stats.fold((0, 0), |(gets, misses), stats| {
                (gets + stats.gets, misses + stats.misses)
            });
            let hits = u64::saturating_sub(gets, misses);
            let requests = counts.reads + counts.writes + counts.others;
            write!(
                text,
                "# Stats\r\ntotal_connections_received:{}\r\ntotal_commands_processed:{requests}\r\n\
                 rejected_connections:{}\r\ntotal_error_replies:{}\r\nkeyspace_hits:{hits}\r\n\
                 keyspace_misses:{misses}\r\n",
                counts.accepted, counts.refused, counts.errors
            )
        }
        "replication" => write!(
            text,
            "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
        ),
        _ => write!(
            text,
            "# Keyspace\r\ndb0:keys={},expires=0,avg_ttl=0\r\n",
            entries(shared)
        ),
    }
}

/// The values in the memory of this node.
pub(super) fn entries(shared: &Shared) -> i64 {
    let stats = shared.keys.all().iter().map(gaggle_group::Group::stats);
    let entries = stats.map(|stats| stats.main.entries + stats.hot.entries);
    i64::try_from(entries.sum::<usize>()).unwrap_or(i64::MAX)
}
