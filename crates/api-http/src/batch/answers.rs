//! The answer, written as it is read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use axum::body::{Bytes, HttpBody};
use axum::http::Method;
use gaggle_group::{
    Answer, ByteBudget, Error, Group, Hold, Key, Metadata, Overload, Reservation, TraceParent,
    Window,
};
use hyper::body::Frame;
use tracing::Instrument as _;

use super::Batch;
use super::row::{Found, Rest, Row};
use crate::FrontOptions;
use crate::held;
use crate::patience::Patience;
use crate::trace;

/// Text that is sent together, in bytes: a write for each row would cost more than the copy.
const CHUNK: usize = 64 << 10;

type Asking<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What became of some keys, in order; `None` while that is not known.
type Outcomes = Vec<(Key, Option<Result<Answer, Error>>)>;

/// The answer to a batch: the body of a response that writes rows as it is polled, and asks for
/// keys a window at a time. The next window is begun when most of what there is has been taken. So
/// a client that reads slowly, or not at all, holds a window, and what its connection buffers.
///
/// A value that is too large to be free counts as in flight from when it is there, or, if there is
/// no room then, from when it is its turn. Hits behind such a value count from their turn, too:
/// they are in the cache, and batches that held them would keep from each other the room that the
/// first row of each waits for. Text counts once it is written, whether or not there is room. What
/// is sent is dropped as it is written to the connection. When all of it is dropped, as the client
/// has gone, nothing is waited for any more.
pub(super) struct Answers {
    group: Group,
    /// What the request belongs to.
    trace: Option<TraceParent>,
    /// How long its client waits.
    patience: Option<Patience>,
    base64: bool,
    /// Those that are not asked for.
    keys: vec::IntoIter<Key>,
    /// The most keys in a window.
    most: usize,
    window: Window,
    /// The window under way.
    asking: Option<Asking<Outcomes>>,
    /// How many rows the last window had.
    came: usize,
    /// Rows that are not written.
    rows: VecDeque<Row>,
    /// The value that is being written.
    value: Option<Rest>,
    /// Waits for bytes for the first row.
    holding: Option<Asking<Result<Hold, Error>>>,
    /// Asks once more for the key of the first row.
    repeating: Option<Asking<Outcomes>>,
    /// The last that waited for bytes got none: others do not wait.
    refused: Option<Error>,
    /// What is left of the most bytes of values. `None` is a full answer, which stays full.
    room: Option<u64>,
    /// A piece that is ready.
    piece: Option<Bytes>,
    begun: bool,
    over: bool,
    /// The keys.
    _reserved: Option<Reservation>,
}

impl Answers {
    pub(super) fn new(
        group: &Group,
        options: &FrontOptions,
        trace: Option<TraceParent>,
        patience: Option<Patience>,
        batch: Batch,
    ) -> Self {
        Self {
            group: group.clone(),
            trace,
            patience,
            base64: batch.base64,
            keys: batch.keys.into_iter(),
            most: options.batch_loads.max(1),
            window: Window::of(group, options.batch_loads),
            asking: None,
            came: 0,
            rows: VecDeque::new(),
            value: None,
            holding: None,
            repeating: None,
            refused: None,
            room: Some(options.max_batch_bytes),
            piece: None,
            begun: false,
            over: false,
            _reserved: batch.room,
        }
    }

    /// The rest of the answer, behind a piece that has been taken out of it.
    pub(super) fn after(self, piece: Bytes) -> Self {
        Self {
            piece: Some(piece),
            ..self
        }
    }

    /// Whether rows that are not written hold bytes in flight.
    pub(super) fn holds_bytes(&self) -> bool {
        self.value.is_some() || self.rows.iter().any(Row::has_hold)
    }

    /// Whether all of it is written.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Writes rows until they take `full` bytes, or there is none at the moment. Must not be
    /// called once all is over.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>, full: usize) -> Poll<Bytes> {
        self.advance(cx);
        let mut out = Vec::with_capacity(self.expected(full));
        while out.len() < full {
            if let Some(value) = self.value.take() {
                self.value = value.write(&mut out);
            } else if let Poll::Ready(row) = self.poll_row(cx) {
                self.write(row, &mut out);
                if self.over {
                    break;
                }
            } else if out.is_empty() {
                return Poll::Pending;
            } else {
                break;
            }
        }
        Poll::Ready(Bytes::from(out))
    }

    /// The length of the text that can be written now, roughly, up to `full`.
    fn expected(&self, full: usize) -> usize {
        let value = self.value.as_ref().map_or(0, Rest::len);
        let rows = self.rows.iter().take(full / 64).map(Row::len);
        rows.fold(value, usize::saturating_add).min(full + CHUNK)
    }

    fn write(&mut self, row: Option<Row>, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(br#"{"results":["#);
        } else if row.is_some() {
            out.push(b',');
        }
        match row {
            Some(row) => self.value = row.write(self.base64, out),
            None => {
                self.over = true;
                out.extend_from_slice(b"]}");
            }
        }
    }

    /// The next row, with its value held; `None` behind the last.
    fn poll_row(&mut self, cx: &mut Context<'_>) -> Poll<Option<Row>> {
        if self.rows.is_empty() {
            self.advance(cx);
        }
        ready!(self.poll_again(cx));
        let Some(row) = self.rows.front_mut() else {
            let waits = self.asking.is_some();
            return if waits {
                Poll::Pending
            } else {
                Poll::Ready(None)
            };
        };
        if row.wants_hold()
            && let Found::Value(value, hold) = &mut row.found
        {
            let holding = self.holding.get_or_insert_with(|| {
                let (group, value, patience) = (self.group.clone(), value.clone(), self.patience);
                Box::pin(async move { held::hold(&group, &value, patience).await })
            });
            let held = match (holding.as_mut().poll(cx), &self.refused) {
                (Poll::Ready(held), _) => held,
                // One wait that brought nothing is enough for a client.
                (Poll::Pending, Some(refused)) => Err(refused.clone()),
                (Poll::Pending, None) => return Poll::Pending,
            };
            self.holding = None;
            self.refused = held.as_ref().err().cloned();
            match held {
                Ok(held) => *hold = Some(held),
                Err(error) => row.found = Found::Failed(error),
            }
        }
        Poll::Ready(self.rows.pop_front())
    }

    /// Asks for more keys, where most of what there is has been taken, and takes what has come.
    fn advance(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(asking) = &mut self.asking {
                let Poll::Ready(outcomes) = asking.as_mut().poll(cx) else {
                    return;
                };
                self.asking = None;
                self.settle(outcomes, cx);
            }
            let taken = self.value.as_ref().is_none_or(Rest::is_near_its_end);
            if self.keys.len() == 0 || !taken || self.rows.len() > self.came / 4 {
                return;
            }
            self.ask(cx);
        }
    }

    /// Begins a window. What is in memory is not waited for: where all is, the window is settled
    /// at once.
    fn ask(&mut self, cx: &mut Context<'_>) {
        let mut outcomes = Outcomes::new();
        if self.room.is_none() {
            outcomes.extend(self.keys.by_ref().take(self.most).map(|key| (key, None)));
            return self.settle(outcomes, cx);
        }
        let (mut missing, mut bytes) = (0, 0);
        while missing < self.window.size() && outcomes.len() < self.most && bytes < Window::TARGET {
            let Some(key) = self.keys.next() else { break };
            let hit = self.group.cached(&key);
            match &hit {
                Some(hit) => bytes += hit.value.as_ref().map_or(0, |value| value.len() as u64),
                None => missing += 1,
            }
            outcomes.push((key, hit.map(Ok)));
        }
        if missing == 0 {
            return self.settle(outcomes, cx);
        }
        let group = self.group.clone();
        let span = trace::get(&group, &Method::POST, trace::OF_GROUP, self.trace);
        let loading = load(group, outcomes, self.patience);
        self.asking = Some(Box::pin(loading.instrument(span)));
    }

    /// Makes outcomes rows, and has their values count where there is room.
    fn settle(&mut self, outcomes: Outcomes, cx: &mut Context<'_>) {
        self.came = outcomes.len();
        let (mut loaded, mut bytes) = (0, 0);
        // Whether a row is there whose value got no room: the hits behind it hold none meanwhile.
        let mut lacks_room = self.rows.iter().any(Row::wants_hold);
        for (key, outcome) in outcomes {
            let (mut is_loaded, mut again) = (false, false);
            let mut metadata = Metadata::default();
            let found = match outcome {
                Some(Ok(answer)) => {
                    is_loaded = !answer.source.is_hit();
                    if is_loaded {
                        let len = answer.value.as_ref().map_or(0, Bytes::len);
                        loaded += 1;
                        bytes += len as u64;
                    }
                    metadata = answer.metadata;
                    self.found(answer.value)
                }
                Some(Err(error)) => {
                    again = may_be_our_own(&error);
                    Found::Failed(error)
                }
                None => Found::Full,
            };
            // A full answer loads nothing more.
            let again = again && self.came > 1 && self.room.is_some();
            let mut row = Row {
                key,
                found,
                again,
                metadata,
            };
            if row.wants_hold()
                && (is_loaded || !lacks_room)
                && let Found::Value(value, hold) = &mut row.found
            {
                *hold = self.hold(value, is_loaded, cx);
            }
            lacks_room |= row.wants_hold();
            self.rows.push_back(row);
        }
        self.window.brought(loaded, bytes);
    }

    /// What a value is in the answer, which may have become too long with it.
    fn found(&mut self, value: Option<Bytes>) -> Found {
        let len = value.as_ref().map_or(0, |value| value.len() as u64);
        self.room = self.room.and_then(|room| room.checked_sub(len));
        match (self.room, value) {
            (None, _) => Found::Full,
            (Some(_), None) => Found::Absent,
            (Some(_), Some(value)) => Found::Value(value, None),
        }
    }

    /// Gives back about as many bytes as a value takes, from the last rows, for the first one. They
    /// wait for room when it is their turn, like any that got none.
    fn make_room(&mut self) {
        let most = self.rows.iter().map(Row::value_len).max().unwrap_or(0);
        let mut given = 0;
        for row in self.rows.iter_mut().skip(1).rev() {
            if given >= most {
                return;
            }
            given += row.give_back();
        }
    }

    /// Asks once more for the key of the first row, by itself: the rows before it are written, and
    /// hold nothing any more.
    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(row) = self.rows.front_mut().filter(|row| row.again) else {
            return Poll::Ready(());
        };
        if self.refused.is_some() || self.room.is_none() {
            // Others have waited for room before it, and got none.
            row.again = false;
            return Poll::Ready(());
        }
        let mut repeating = match self.repeating.take() {
            Some(repeating) => repeating,
            None => {
                let (group, outcomes) = (self.group.clone(), vec![(row.key.clone(), None)]);
                self.make_room();
                let span = trace::get(&group, &Method::POST, trace::OF_GROUP, self.trace);
                Box::pin(load(group, outcomes, self.patience).instrument(span))
            }
        };
        let Poll::Ready(mut outcomes) = repeating.as_mut().poll(cx) else {
            self.repeating = Some(repeating);
            return Poll::Pending;
        };
        let outcome = outcomes.pop();
        let (found, metadata) = match outcome.and_then(|(_, outcome)| outcome) {
            Some(Ok(answer)) => {
                let mut found = self.found(answer.value);
                if !answer.source.is_hit()
                    && let Found::Value(value, hold) = &mut found
                    && value.len() >= ByteBudget::SMALL
                {
                    *hold = held::of_loaded(&self.group, value);
                }
                (found, answer.metadata)
            }
            Some(Err(error)) => {
                self.refused = may_be_our_own(&error).then(|| error.clone());
                (Found::Failed(error), Metadata::default())
            }
            // One outcome for each key.
            None => (Found::Full, Metadata::default()),
        };
        if let Some(row) = self.rows.front_mut() {
            (row.again, row.found, row.metadata) = (false, found, metadata);
        }
        Poll::Ready(())
    }

    /// A hold on a value that has come, if there is room for it at once.
    fn hold(&self, value: &Bytes, is_loaded: bool, cx: &mut Context<'_>) -> Option<Hold> {
        if is_loaded && let Some(hold) = held::of_loaded(&self.group, value) {
            return Some(hold);
        }
        // Whoever has to wait gives its place up again, for its turn may be a long way off.
        let holding = std::pin::pin!(self.group.in_flight().hold(value));
        match holding.poll(cx) {
            Poll::Ready(held) => held.ok(),
            Poll::Pending => None,
        }
    }
}

/// Whether a key failed for lack of room for its bytes: that may be what the other rows of its
/// window hold.
fn may_be_our_own(error: &Error) -> bool {
    let Error::Shed { why, .. } = error else {
        return false;
    };
    matches!(why, Overload::Bytes { .. } | Overload::Owner { .. })
}

/// Loads what is missing, in one call.
async fn load(group: Group, mut outcomes: Outcomes, patience: Option<Patience>) -> Outcomes {
    let missing = outcomes.iter().filter(|(_, outcome)| outcome.is_none());
    let missing: Vec<&Key> = missing.map(|(key, _)| key).collect();
    let call = group.get_many(&missing);
    let loaded = match patience {
        None => call.await,
        Some(patience) => in_time(&group, patience, &missing, call).await,
    };
    let mut loaded = loaded.into_iter();
    for (_, outcome) in &mut outcomes {
        if outcome.is_none() {
            *outcome = loaded.next();
        }
    }
    outcomes
}

/// What a call brings for these keys while the client waits. The loads go on.
async fn in_time(
    group: &Group,
    patience: Patience,
    keys: &[&Key],
    call: impl Future<Output = Vec<Result<Answer, Error>>>,
) -> Vec<Result<Answer, Error>> {
    // Not begun once the time is over: nobody would wait for it.
    if !patience.is_over()
        && let Ok(answers) = patience.bound(group, call).await
    {
        return answers;
    }
    // Some of them may have come. They are counted already.
    let late = |key: &&Key| group.peek(key).ok_or_else(|| patience.late(group));
    keys.iter().map(late).collect()
}

impl HttpBody for Answers {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.over {
            return Poll::Ready(None);
        }
        let piece = ready!(self.poll_piece(cx, CHUNK));
        let piece = held::counted_at_once(&self.group, piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.over && self.piece.is_none()
    }
}
