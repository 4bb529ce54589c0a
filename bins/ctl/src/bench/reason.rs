//! Why requests failed: how often each class of failures occurred.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::recorder::{End, Lost, Stage};
use crate::output::shown;

/// The most classes that are counted. A server whose errors differ each time must not fill the
/// memory.
const MAX_CLASSES: usize = 32;

/// The most characters of a body that determine its class.
const MAX_TEXT: usize = 120;

/// How often each class occurred.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons {
    counts: BTreeMap<Class, u64>,
    /// Failures of further classes.
    others: u64,
}

/// A class of failures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    kind: &'static str,
    status: Option<u16>,
    text: String,
}

/// One class, as the report has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Met {
    pub(super) count: u64,
    /// `status`, `wrong`, `connect`, `timeout`, `broken`, `late`, or `other`.
    pub(super) kind: &'static str,
    pub(super) status: Option<u16>,
    pub(super) reason: String,
}

impl Reasons {
    /// Counts a result that is a failure.
    pub(super) fn count(&mut self, end: &End) {
        if let Some(class) = Class::of(end) {
            self.add(class, 1);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (class, count) in &other.counts {
            self.add(class.clone(), *count);
        }
        self.others += other.others;
    }

    fn add(&mut self, class: Class, count: u64) {
        if let Some(counted) = self.counts.get_mut(&class) {
            *counted += count;
        } else if self.counts.len() < MAX_CLASSES {
            self.counts.insert(class, count);
        } else {
            self.others += count;
        }
    }

    /// The most frequent first.
    pub(super) fn met(&self) -> Vec<Met> {
        let counts = self.counts.iter().map(|(class, count)| Met {
            count: *count,
            kind: class.kind,
            status: class.status,
            reason: class.text.clone(),
        });
        let mut met: Vec<Met> = counts.collect();
        met.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
        if self.others > 0 {
            met.push(Met {
                count: self.others,
                kind: "other",
                status: None,
                reason: "further reasons, which are not counted one by one".to_owned(),
            });
        }
        met
    }
}

impl Class {
    fn of(end: &End) -> Option<Self> {
        let (kind, status, text) = match end {
            End::Ok { .. } => return None,
            End::Status { status, said, .. } => ("status", Some(*status), said.clone()),
            End::Wrong { .. } => ("wrong", None, "a value that is not the key's".to_owned()),
            End::Lost(lost) => {
                let (kind, text) = lost.told();
                (kind, None, text)
            }
        };
        Some(Self { kind, status, text })
    }
}

impl Lost {
    fn told(self) -> (&'static str, String) {
        let (kind, text) = match self {
            // The system's words: connection refused, host unreachable.
            Self::Connect(kind) => return ("connect", kind.to_string()),
            Self::Timeout(Stage::Connecting) => ("timeout", "no connection in time"),
            Self::Timeout(Stage::Asking) => ("timeout", "no answer in time"),
            Self::Timeout(Stage::Reading) => ("timeout", "the body did not end in time"),
            Self::Reset => ("broken", "connection reset"),
            Self::Closed => ("broken", "connection closed before the answer"),
            Self::Short => ("broken", "the body is too short"),
            Self::Garbled => ("broken", "the answer is no HTTP"),
            Self::Late => ("late", "not sent: no caller was free in time"),
        };
        (kind, text.to_owned())
    }
}

/// The first line of a body, without what differs from one request to the next: the key is written
/// as `KEY`, and each number as `N`.
pub(super) fn class_of(body: &[u8], key: &str) -> String {
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = shown(line);
    let line = if key.is_empty() {
        line
    } else {
        line.replace(key, "KEY")
    };
    let mut class = String::new();
    let mut digits = false;
    for c in line.chars().take(MAX_TEXT) {
        if c.is_ascii_digit() {
            if !digits {
                class.push('N');
            }
            digits = true;
        } else {
            digits = false;
            // Writing to a String cannot fail.
            let _ = class.write_char(c);
        }
    }
    class
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_class_is_free_of_keys_and_numbers() {
        for (body, class) in [
            ("key-17 not found", "KEY not found"),
            ("12 loads wait, 250ms", "N loads wait, Nms"),
            ("first\nsecond", "first"),
            ("", ""),
            ("a\u{1b}[2J", "a\\u{Nb}[NJ"),
        ] {
            assert_eq!(class_of(body.as_bytes(), "key-17"), class);
        }
        assert_eq!(class_of(&[b'x'; 4000], "k").len(), MAX_TEXT);
    }

    #[test]
    fn the_most_frequent_reason_comes_first_and_classes_are_bounded() {
        let status = |said: &str| End::Status {
            status: 503,
            bytes: 3,
            said: said.to_owned(),
        };
        let mut reasons = Reasons::default();
        reasons.count(&End::Ok { bytes: 3 });
        reasons.count(&status("busy"));
        reasons.count(&End::Lost(Lost::Connect(ErrorKind::ConnectionRefused)));
        reasons.count(&End::Lost(Lost::Connect(ErrorKind::ConnectionRefused)));
        let met = reasons.met();
        let told = |met: &Met| (met.count, met.kind, met.status, met.reason.clone());
        assert_eq!(
            told(&met[0]),
            (2, "connect", None, "connection refused".to_owned())
        );
        assert_eq!(told(&met[1]), (1, "status", Some(503), "busy".to_owned()));
        assert_eq!(met.len(), 2);

        for n in 0..100 {
            reasons.count(&status(&format!("{n:b}")));
        }
        let mut sum = Reasons::default();
        sum.merge(&reasons);
        sum.merge(&reasons);
        let met = sum.met();
        assert_eq!(met.len(), MAX_CLASSES + 1);
        assert_eq!(met.iter().map(|met| met.count).sum::<u64>(), 2 * 103);
        assert_eq!(met[MAX_CLASSES].kind, "other");
    }
}
