//! From an event to a line: of bounded length, and with the number of lines like it that were
//! left out.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tracing::dispatcher::Dispatch;
use tracing::field::Value;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;
use super::bounded::Bounded;
use super::limit::{Limiter, Summary, Verdict};

/// The longest line, in bytes, with its line break.
pub(super) const MAX_LINE: usize = 16 << 10;

/// What may follow the event itself: that it was cut, and how many were left out.
const SUFFIX: usize = 64;

/// Names and messages in a summary, at most.
const SUMMARY_FIELDS: usize = 8;

thread_local! {
    /// The number that a summary tells, while it is on its way through the subscriber to
    /// [`Lines`].
    static SUMMARY: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A format of tracing-subscriber's, for the events that the limiter lets through.
pub(super) struct Lines<F> {
    pub(super) inner: F,
    pub(super) format: LogFormat,
    pub(super) limiter: Option<Arc<Limiter>>,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let verdict = match (SUMMARY.take(), &self.limiter) {
            (Some(left_out), _) => Verdict::Write { left_out },
            (None, Some(limiter)) => limiter.admit(event, Instant::now()),
            (None, None) => Verdict::Write { left_out: 0 },
        };
        let Verdict::Write { left_out } = verdict else {
            return Ok(());
        };
        let mut text = Bounded::new(MAX_LINE - SUFFIX);
        // A value whose `Display` fails or panics ends its line early, and not the work that logs
        // it. (serde_json panics where a `Display` fails.)
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.inner
                .format_event(context, Writer::new(&mut text), event)
        }));
        let whole = matches!(result, Ok(Ok(()))) && text.is_whole();
        writer.write_str(&finish(self.format, text.into_text(), whole, left_out))
    }
}

/// Writes a summary as an event of the place in the code whose events were left out: its level
/// and its target, so that whatever selected those selects the summary.
pub(super) fn summarize(dispatch: &Dispatch, summary: &Summary) {
    let fields = summary.metadata.fields();
    let message = format!("more of the same: {}", summary.message);
    let texts = summary
        .about
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let texts = [("message", message.as_str())].into_iter().chain(texts);
    let found: Vec<_> = texts
        .filter_map(|(name, value)| Some((fields.field(name)?, value)))
        .take(SUMMARY_FIELDS)
        .collect();
    let Some((any, _)) = found.first() else {
        return;
    };
    // `value_set` is hidden from the documentation and what the macros of `tracing` expand to; it
    // takes arrays only.
    let values: [_; SUMMARY_FIELDS] = std::array::from_fn(|n| match found.get(n) {
        Some((field, value)) => (field, Some(value as &dyn Value)),
        None => (any, None),
    });
    let values = fields.value_set(&values);
    // The filters of the subscriber's layers look at an event here, and not below.
    if !dispatch.enabled(summary.metadata) {
        return;
    }
    SUMMARY.set(Some(summary.left_out));
    dispatch.event(&Event::new(summary.metadata, &values));
    // A subscriber that has no such format has not taken it.
    SUMMARY.set(None);
}

/// The whole line, of at most [`MAX_LINE`] bytes.
fn finish(format: LogFormat, mut text: String, whole: bool, left_out: u64) -> String {
    match format {
        LogFormat::Text => {
            text.truncate(text.trim_end_matches('\n').len());
            if !whole {
                text.push('…');
            }
            if left_out > 0 {
                text.push_str(&format!(" left_out={left_out}"));
            }
            text.push('\n');
        }
        LogFormat::Json => {
            if whole {
                text.truncate(text.strip_suffix("}\n").unwrap_or(&text).len());
            } else {
                cut_json(&mut text);
                text.push_str(",\"cut\":true");
            }
            if left_out > 0 {
                text.push_str(&format!(",\"left_out\":{left_out}"));
            }
            text.push_str("}\n");
        }
    }
    text
}

/// Shortens the beginning of a JSON object to whole fields, or to a part of the last one if that
/// is a string, so that more fields can follow.
fn cut_json(text: &mut String) {
    let (mut depth, mut in_string, mut in_value, mut skip) = (0_u32, false, false, 0);
    // Where it can end, and whether that is within a string.
    let (mut end, mut open) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        if skip > 0 {
            skip -= 1;
        } else if in_string {
            if depth == 1 && in_value && text.is_char_boundary(at) {
                (end, open) = (at, true);
            }
            match byte {
                b'\\' if text.as_bytes().get(at + 1) == Some(&b'u') => skip = 5,
                b'\\' => skip = 1,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                b':' if depth == 1 => in_value = true,
                b',' if depth == 1 => {
                    in_value = false;
                    (end, open) = (at, false);
                }
                _ => {}
            }
        }
    }
    text.truncate(end);
    if end == 0 {
        text.push_str("{\"message\":\"");
    }
    if open || end == 0 {
        text.push_str("…\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_that_was_cut_anywhere_is_still_an_object() {
        let line = r#"{"timestamp":"2026","level":"WARN","message":"a \"b\" \u001b é","n":-1.5,"ok":true,"spans":[{"name":"x,\"}"}],"error":"out\\"}"#;
        let all = line.char_indices().map(|(at, _)| at).chain([line.len()]);
        for at in all {
            let text = line[..at].to_owned();
            let finished = finish(LogFormat::Json, text, false, 7);
            let value: serde_json::Value = serde_json::from_str(&finished)
                .unwrap_or_else(|error| panic!("{error}: {finished}"));
            assert_eq!(
                (&value["cut"], &value["left_out"]),
                (&true.into(), &7.into())
            );
            assert!(finished.ends_with("}\n"));
        }
        let finished = finish(LogFormat::Json, line[..60].to_owned(), false, 0);
        assert_eq!(
            finished,
            "{\"timestamp\":\"2026\",\"level\":\"WARN\",\"message\":\"a \\\"b\\\" …\",\"cut\":true}\n"
        );
    }

    #[test]
    fn numbers_follow_the_fields() {
        let text = finish(LogFormat::Text, "WARN x group=a\n".into(), true, 3);
        assert_eq!(text, "WARN x group=a left_out=3\n");
        let json = finish(LogFormat::Json, "{\"message\":\"x\"}\n".into(), true, 3);
        assert_eq!(json, "{\"message\":\"x\",\"left_out\":3}\n");
    }

    #[test]
    fn a_long_line_keeps_its_bound() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let long = format!("{{\"a\":\"{}", "é".repeat((MAX_LINE - SUFFIX) / 2 - 4));
            let line = finish(format, long, false, u64::MAX);
            assert!(line.len() <= MAX_LINE, "{format}: {}", line.len());
        }
    }
}
