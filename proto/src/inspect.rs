//! What nodes ask each other on behalf of an operator, as messages. Lengths are in bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    About, Groups, Held, HeldIn, Inspect, Inspected, Report, ReportedGroup, ReportedMember,
};
use prost::Message as _;

use crate::hello::{MAX_ADDRESS, MAX_TEXT};
use crate::peer::inspect_request::What;
use crate::peer::inspect_response::Found;
use crate::{count, millis, peer};

/// The longest answer.
pub const MAX_ANSWER: usize = 256 << 10;

/// The most members, and the most groups, that are read.
pub const MAX_LISTED: usize = 1_024;

/// The paths of the fields `members` and `groups` in an answer.
const LISTS: [&[u32]; 2] = [&[1, 7], &[1, 8]];

/// The bytes that a report's fields take, members and groups aside.
const HEAD: usize = 4 << 10;

/// An answer that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnswer {
    /// The message cannot be decoded.
    #[error("a report that cannot be read: {0}")]
    Message(#[from] prost::DecodeError),
    /// It lists more than is read.
    #[error("a report of {0} members or groups")]
    TooMany(usize),
    /// It has a text that is too long or would break a log, or a field that this release does not
    /// know.
    #[error("a report that is not understood here")]
    Unknown,
}

/// A question.
pub fn put(question: Inspect<'_>) -> peer::InspectRequest {
    let what = match question {
        Inspect::Report => Some(What::Report(peer::ReportRequest {})),
        Inspect::Held { group, key } => Some(What::Held(peer::HeldRequest {
            group: group.to_owned(),
            key: key.clone(),
        })),
        _ => None,
    };
    peer::InspectRequest { what }
}

/// Why a question is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// This release does not know the question.
    Unknown,
    /// There is no group of that name.
    NoGroup(String),
}

/// The answer of these groups to a question.
///
/// # Errors
///
/// If there is no answer.
pub fn answer(
    groups: &Groups,
    question: &peer::InspectRequest,
) -> Result<peer::InspectResponse, Unanswered> {
    let inspected = match &question.what {
        None => return Err(Unanswered::Unknown),
        Some(What::Report(_)) => groups.inspect(Inspect::Report),
        Some(What::Held(held)) => {
            let group = &*held.group;
            let asked = Inspect::Held {
                group,
                key: &held.key,
            };
            let inspected = groups.inspect(asked);
            Some(inspected.ok_or_else(|| Unanswered::NoGroup(group.to_owned()))?)
        }
    };
    let found = match inspected {
        Some(Inspected::Report(report)) => Some(Found::Report(put_report(&report))),
        Some(Inspected::Held(held)) => Some(Found::Held(peer::HeldResponse {
            held: held.map(put_held),
        })),
        _ => return Err(Unanswered::Unknown),
    };
    Ok(peer::InspectResponse { found })
}

/// The answer in a body, whose length the caller has bounded.
///
/// # Errors
///
/// If the body is no answer that can be read.
pub fn read(body: Bytes) -> Result<Inspected, BadAnswer> {
    for list in LISTS {
        let listed = count(&body, list)?;
        if listed > MAX_LISTED {
            return Err(BadAnswer::TooMany(listed));
        }
    }
    understood(peer::InspectResponse::decode(body)?)
}

/// Converts a decoded answer.
///
/// # Errors
///
/// If it has nothing that this release knows.
pub fn understood(answer: peer::InspectResponse) -> Result<Inspected, BadAnswer> {
    let read = match answer.found {
        Some(Found::Report(report)) => report_of(&report).map(Inspected::Report),
        Some(Found::Held(peer::HeldResponse { held: None })) => Some(Inspected::Held(None)),
        Some(Found::Held(peer::HeldResponse { held: Some(held) })) => {
            held_of(&held).map(|held| Inspected::Held(Some(held)))
        }
        None => None,
    };
    read.ok_or(BadAnswer::Unknown)
}

fn put_report(report: &Report) -> peer::Report {
    let about = &report.about;
    let mut message = peer::Report {
        version: bounded(&about.version, MAX_TEXT),
        state: bounded(&about.state, MAX_TEXT),
        generation: about.generation,
        uptime_ms: millis(about.uptime),
        admin: bounded(about.admin.as_deref().unwrap_or_default(), MAX_ADDRESS),
        ring: bounded(&report.ring, MAX_TEXT),
        cut: report.is_cut,
        ..peer::Report::default()
    };
    let mut room = MAX_ANSWER - HEAD;
    // A tag, and a length of at most two bytes.
    let mut fits = |len: usize, listed: usize| {
        let left = room.checked_sub(len + 3);
        room = left.unwrap_or(0);
        left.is_some() && listed < MAX_LISTED
    };
    for member in &report.members {
        let member = peer::ReportedMember {
            name: member.name.to_string(),
            up: member.up,
        };
        let is_short = member.name.len() <= MAX_TEXT;
        if is_short && fits(member.encoded_len(), message.members.len()) {
            message.members.push(member);
        } else {
            message.cut = true;
        }
    }
    for group in &report.groups {
        let group = put_group(group);
        let is_short = group.name.len() <= MAX_TEXT;
        if is_short && fits(group.encoded_len(), message.groups.len()) {
            message.groups.push(group);
        } else {
            message.cut = true;
        }
    }
    message
}

fn put_group(group: &ReportedGroup) -> peer::ReportedGroup {
    peer::ReportedGroup {
        name: group.name.to_string(),
        gets: group.gets,
        hits: group.hits,
        client_gets: group.client_gets,
        client_hits: group.client_hits,
        bytes: group.bytes,
        limit_bytes: group.limit_bytes,
        entries: group.entries,
        loads_in_flight: group.loads_in_flight,
    }
}

fn report_of(message: &peer::Report) -> Option<Report> {
    let mut about = About::default();
    about.version = text(&message.version)?;
    about.state = text(&message.state)?;
    about.generation = message.generation;
    about.uptime = Duration::from_millis(message.uptime_ms);
    // It is shown as a link.
    let admin = of_length(&message.admin, MAX_ADDRESS)?;
    let is_url = admin.starts_with("http://") || admin.starts_with("https://");
    about.admin = is_url.then_some(admin);
    let mut report = Report::default();
    report.about = about;
    report.ring = text(&message.ring)?;
    let members = message.members.iter().take(MAX_LISTED);
    report.members = members
        .map(|member| Some(ReportedMember::new(text(&member.name)?, member.up)))
        .collect::<Option<_>>()?;
    let groups = message.groups.iter().take(MAX_LISTED);
    report.groups = groups.map(group_of).collect::<Option<_>>()?;
    report.is_cut = message.cut;
    Some(report)
}

fn group_of(message: &peer::ReportedGroup) -> Option<ReportedGroup> {
    let mut group = ReportedGroup::default();
    group.name = text(&message.name)?;
    group.gets = message.gets;
    group.hits = message.hits;
    group.client_gets = message.client_gets;
    group.client_hits = message.client_hits;
    group.bytes = message.bytes;
    group.limit_bytes = message.limit_bytes;
    group.entries = message.entries;
    group.loads_in_flight = message.loads_in_flight;
    Some(group)
}

fn put_held(held: Held) -> peer::Held {
    let tier = match held.tier {
        HeldIn::Main => peer::held::Tier::Main,
        HeldIn::Hot => peer::held::Tier::Hot,
        HeldIn::Absent => peer::held::Tier::Absent,
        _ => peer::held::Tier::Unknown,
    };
    peer::Held {
        tier: tier.into(),
        bytes: held.bytes,
        age_ms: held.age.map(millis),
        fresh_ms: held.fresh.map(millis),
        stale: held.stale,
    }
}

fn held_of(message: &peer::Held) -> Option<Held> {
    let tier = match message.tier() {
        peer::held::Tier::Main => HeldIn::Main,
        peer::held::Tier::Hot => HeldIn::Hot,
        peer::held::Tier::Absent => HeldIn::Absent,
        peer::held::Tier::Unknown => return None,
    };
    let mut held = Held::new(tier, message.bytes);
    held.age = message.age_ms.map(Duration::from_millis);
    held.fresh = message.fresh_ms.map(Duration::from_millis);
    held.stale = message.stale;
    Some(held)
}

/// The text, or nothing if it is too long to be read.
fn bounded(text: &str, most: usize) -> String {
    if text.len() <= most {
        text.to_owned()
    } else {
        String::new()
    }
}

fn text(text: &str) -> Option<Arc<str>> {
    of_length(text, MAX_TEXT)
}

fn of_length(text: &str, most: usize) -> Option<Arc<str>> {
    let good = text.len() <= most && !text.chars().any(char::is_control);
    good.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(members: usize) -> Report {
        let mut about = About::default();
        about.version = "1.2.3".into();
        about.state = "ready".into();
        about.generation = 3;
        about.uptime = Duration::from_millis(1_500);
        about.admin = Some("http://10.0.0.1:9990".into());
        let mut group = ReportedGroup::default();
        group.name = "scores".into();
        group.gets = 9;
        group.client_hits = 2;
        let mut report = Report::default();
        report.about = about;
        report.ring = "a1b2".into();
        let name = |n| format!("node-{n}-{}", "x".repeat(240));
        report.members = (0..members)
            .map(|n| ReportedMember::new(name(n), n > 0))
            .collect();
        report.groups = vec![group];
        report
    }

    fn sent(report: &Report) -> Bytes {
        let found = Some(Found::Report(put_report(report)));
        peer::InspectResponse { found }.encode_to_vec().into()
    }

    #[test]
    fn answers_read_back_as_they_were_written() {
        assert_eq!(read(sent(&report(3))), Ok(Inspected::Report(report(3))));
        let empty = Report::default();
        assert_eq!(read(sent(&empty)), Ok(Inspected::Report(empty)));
        let mut held = Held::new(HeldIn::Hot, 630);
        held.age = Some(Duration::from_millis(5));
        held.fresh = Some(Duration::ZERO);
        held.stale = true;
        for held in [None, Some(held), Some(Held::new(HeldIn::Absent, 0))] {
            let found = Some(Found::Held(peer::HeldResponse {
                held: held.map(put_held),
            }));
            let body = peer::InspectResponse { found }.encode_to_vec();
            assert_eq!(read(body.into()), Ok(Inspected::Held(held)));
        }
    }

    #[test]
    fn a_report_that_would_be_too_long_is_cut_and_says_so() {
        let whole = report(2_000);
        let body = sent(&whole);
        assert!(body.len() <= MAX_ANSWER, "{}", body.len());
        let Ok(Inspected::Report(cut)) = read(body) else {
            panic!("no report")
        };
        assert!(cut.is_cut && cut.members.len() > 900);
        assert_eq!(cut.members[..], whole.members[..cut.members.len()]);
    }

    #[test]
    fn what_a_stranger_may_send_is_refused_or_left_out() {
        let with = |change: fn(&mut peer::Report)| {
            let mut message = put_report(&report(1));
            change(&mut message);
            let found = Some(Found::Report(message));
            read(peer::InspectResponse { found }.encode_to_vec().into())
        };
        let unknown = Err(BadAnswer::Unknown);
        assert_eq!(with(|report| report.version = "x".repeat(257)), unknown);
        assert_eq!(with(|report| report.state = "a\nb".to_owned()), unknown);
        assert_eq!(
            with(|report| report.members[0].name = "\0".to_owned()),
            unknown
        );
        let many = with(|report| report.groups = vec![peer::ReportedGroup::default(); 1_025]);
        assert_eq!(many, Err(BadAnswer::TooMany(1_025)));
        let script = with(|report| report.admin = "javascript:alert(1)".to_owned());
        let Ok(Inspected::Report(script)) = script else {
            panic!("no report")
        };
        assert_eq!(script.about.admin, None);
        assert_eq!(read(Bytes::new()), unknown);
        assert!(matches!(
            read(Bytes::from_static(b"\xff")),
            Err(BadAnswer::Message(_))
        ));
        let held = |tier| {
            let held = Some(peer::Held {
                tier,
                ..peer::Held::default()
            });
            let found = Some(Found::Held(peer::HeldResponse { held }));
            read(peer::InspectResponse { found }.encode_to_vec().into())
        };
        assert_eq!((held(0), held(99)), (unknown.clone(), unknown));
    }
}
