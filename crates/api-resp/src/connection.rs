//! One connection: requests are read, answered in their order, and the answers sent.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use gaggle_group::Key;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::clock::Slot;
use crate::commands::{self, Later, Step};
use crate::output::Room;
use crate::parse::{
    Limits, MAX_LINE, MAX_PLAIN, Parsed, ProtocolError, STRANGER_REQUEST, plain_get,
};
use crate::scratch::{READ, Scratch, UNRESERVED};
use crate::server::Shared;
use crate::session::Session;

mod later;

/// Answers are sent when so much waits, though more requests are there.
pub(crate) const SOFT: usize = 64 << 10;

pub(crate) struct Connection<S> {
    stream: S,
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    session: Session,
}

/// The connection ends: the client is gone, or has been told why.
struct Ended;

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S, shared: Arc<Shared>, slot: Arc<Slot>, session: Session) -> Self {
        Self {
            stream,
            shared,
            slot,
            session,
        }
    }

    pub(crate) async fn serve(mut self) {
        let mut partial = None;
        while let Some(mut scratch) = self.read(partial.take()).await {
            let going = self.process(&mut scratch).await;
            let errors = &mut scratch.output.errors;
            self.shared.counters.add(&mut scratch.untold, errors);
            if going.is_err() {
                return;
            }
            partial = Some(scratch);
        }
    }

    /// Waits for bytes. While there are none, an empty scratch goes back to the pool, so that an
    /// idle connection has no buffers.
    async fn read(&mut self, mut scratch: Option<Box<Scratch>>) -> Option<Box<Scratch>> {
        if let Some(large) = scratch.as_mut().filter(|s| s.partial() >= UNRESERVED / 2)
            && self.session.is_known()
            && self.make_room(large).await.is_err()
        {
            return None;
        }
        let latest = self.latest();
        let (stream, shared, slot) = (&mut self.stream, &self.shared, &self.slot);
        poll_fn(|cx| {
            let mut current = scratch.take().unwrap_or_else(|| shared.pool.take());
            let room = current.input.capacity() - current.input.len();
            if room < READ / 2 {
                current.input.reserve(READ);
            }
            // Dropped without a loss where nothing has come.
            let read = pin!(stream.read_buf(&mut current.input)).poll(cx);
            match read {
                Poll::Ready(Ok(1..)) => {
                    slot.busy_until(latest);
                    return Poll::Ready(Some(current));
                }
                Poll::Ready(_) => {
                    // Its last request, if that is there in part, is nobody's.
                    current.start = current.input.len();
                    shared.pool.put(current);
                    return Poll::Ready(None);
                }
                Poll::Pending => {}
            }
            let now = shared.clock.now();
            if !current.is_empty() {
                if current.since == 0 {
                    current.since = now.max(1);
                }
                let bytes = current.partial() as u64;
                let ends = shared.times.request_ends(current.since, bytes);
                slot.busy_until(ends.min(latest));
                scratch = Some(current);
                return Poll::Pending;
            }
            current.since = 0;
            shared.pool.put(current);
            slot.idle_until(match latest {
                u64::MAX => now.saturating_add(shared.times.idle),
                latest => latest,
            });
            if shared.is_stopping() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// Reserves what the input is about to grow to.
    async fn make_room(&mut self, scratch: &mut Scratch) -> Result<(), Ended> {
        // A client states a length before it sends that much. What is beyond the limit is the
        // overhead of the request's lines.
        let most = self.shared.options.max_request.max(UNRESERVED);
        let needed = scratch.partial().max(scratch.parser.stated()) + READ;
        if scratch.reserved >= needed.min(most) as u64 {
            return Ok(());
        }
        let buffer = needed
            .max(scratch.partial() * 2)
            .min(most + MAX_LINE + READ);
        let wanted = buffer.min(most) as u64;
        self.slot.busy();
        // All of it at once: of two that each have a part, neither could go on.
        scratch.room = None;
        match self.shared.in_flight.reserve(wanted).await {
            Ok(room) => {
                scratch.room = Some(Room::new(room));
                scratch.reserved = wanted;
                let more = buffer.saturating_sub(scratch.input.len());
                scratch.input.reserve(more);
                Ok(())
            }
            Err(over) => {
                let out = &mut scratch.output;
                if over.asked > over.limit {
                    out.error(format_args!(
                        "ERR the request takes {} bytes, and {} may be in flight",
                        over.asked, over.limit
                    ));
                } else {
                    out.error(format_args!(
                        "TRYAGAIN {} bytes are in flight, which is the limit",
                        over.limit
                    ));
                }
                self.flush(scratch).await?;
                Err(Ended)
            }
        }
    }

    /// Answers the requests that are there.
    async fn process(&mut self, s: &mut Scratch) -> Result<(), Ended> {
        self.renew();
        // The output is this connection's only while there is something to do.
        if let Some(quiet) = self.session.quiet.take() {
            s.output.mute(quiet);
        }
        loop {
            let step = match self.plain_get(s) {
                Some(step) => step,
                None => match self.parse(s) {
                    Ok(Parsed::Request) => self.run(s),
                    Ok(Parsed::Nothing) => {
                        next(s);
                        continue;
                    }
                    Ok(Parsed::Incomplete) => {
                        if !self.session.is_known() && s.partial() > STRANGER_REQUEST as usize {
                            let error = ProtocolError::TooLarge(STRANGER_REQUEST);
                            return self.refuse(error, s).await;
                        }
                        break;
                    }
                    Err(error) => return self.refuse(error, s).await,
                },
            };
            match step {
                Step::Done => {}
                Step::Later(mut what) => {
                    if let Later::Values(keys) = &mut *what {
                        self.gather(s, keys);
                    }
                    // What is answered does not wait for what is not.
                    if s.output.has_holds() {
                        self.flush(s).await?;
                    } else if !s.output.is_sent() {
                        self.relieve(s).await?;
                    }
                    self.slot.busy_until(self.latest());
                    Box::pin(self.finish(*what, s)).await?;
                    self.renew();
                }
                Step::Quit => {
                    self.flush(s).await?;
                    return Err(Ended);
                }
                Step::Drop => return Err(Ended),
            }
            s.output.answered();
            if s.output.waiting() >= SOFT {
                self.relieve(s).await?;
                self.renew();
            }
        }
        s.compact();
        self.session.quiet = s.output.unmute();
        self.flush(s).await
    }

    /// Does the request that is next, if that can be seen to be a get without parsing all of it.
    #[inline]
    fn plain_get(&self, s: &mut Scratch) -> Option<Step> {
        let options = &self.shared.options;
        let is_within = options.max_request >= MAX_PLAIN && options.max_arguments >= 2;
        if !is_within || !self.session.is_known() || !s.parser.is_at_start() {
            return None;
        }
        let (key, len) = plain_get(s.input.get(s.start..)?)?;
        let step = commands::get(&self.shared, self.session.proto, key, &mut s.output);
        s.untold.reads += 1;
        s.start += len;
        s.since = 0;
        Some(step)
    }

    /// Does the request that was parsed.
    fn run(&mut self, s: &mut Scratch) -> Step {
        let input = s.input.get(s.start..).unwrap_or_default();
        let args = s.parser.args(input);
        let (session, out) = (&mut self.session, &mut s.output);
        let step = commands::run(&self.shared, session, args, out, &mut s.untold);
        next(s);
        step
    }

    /// Ends rights that were withdrawn. Commands that were read together are answered at one
    /// moment unless one has to wait, so that this is not needed for each of them.
    #[inline]
    fn renew(&mut self) {
        let shared = &self.shared;
        self.session
            .renew(&shared.options.access, shared.clock.now());
    }

    #[inline]
    fn parse(&self, s: &mut Scratch) -> Result<Parsed, ProtocolError> {
        let options = &self.shared.options;
        let limits = Limits {
            arguments: u32::try_from(options.max_arguments).unwrap_or(u32::MAX),
            bytes: u32::try_from(options.max_request).unwrap_or(u32::MAX / 2),
            known: self.session.is_known(),
        };
        let input = s.input.get(s.start..).unwrap_or_default();
        s.parser.parse(input, limits)
    }

    /// Adds the gets that follow a get which has to wait, so that all of them wait together.
    fn gather(&self, s: &mut Scratch, keys: &mut Vec<commands::Named>) {
        let most = self.shared.options.batch_loads;
        if s.output.quiet().is_some() {
            // The next one may be answered.
            return;
        }
        while keys.len() < most && self.parse(s) == Ok(Parsed::Request) {
            let input = s.input.get(s.start..).unwrap_or_default();
            let args = s.parser.args(input);
            if !commands::is_get(&args) {
                break;
            }
            let Ok((group, key)) = self.shared.keys.find(args.get(1)) else {
                break;
            };
            keys.push(Ok((group, Key::copy_from_slice(key))));
            s.untold.reads += 1;
            next(s);
        }
        // What comes next, if it is no get, is parsed once more from its start.
        s.parser.reset();
    }

    /// Sends what the client takes at once, and waits for it only where too much is left.
    async fn relieve(&mut self, s: &mut Scratch) -> Result<(), Ended> {
        let (stream, output) = (&mut self.stream, &mut s.output);
        let sent = poll_fn(|cx| Poll::Ready(output.poll_flush(stream, cx))).await;
        if let Poll::Ready(sent) = sent {
            return Ok(sent?);
        }
        // Many clients read no answer before they have sent the whole of a pipeline.
        let most = self.shared.options.max_output;
        let waiting = s.output.waiting();
        if waiting < most && (waiting < SOFT || s.output.reserve(&self.shared.in_flight, most)) {
            return Ok(());
        }
        self.flush(s).await
    }

    /// Sends all that waits.
    async fn flush(&mut self, s: &mut Scratch) -> Result<(), Ended> {
        if s.output.is_sent() {
            return Ok(());
        }
        let latest = self.latest();
        let (stream, output) = (&mut self.stream, &mut s.output);
        let (slot, shared) = (&self.slot, &self.shared);
        let mut waits = false;
        let flushed = poll_fn(|cx| {
            let flushed = output.poll_flush(stream, cx);
            if flushed.is_pending() && !waits {
                waits = true;
                let bytes = output.waiting() as u64;
                let ends = shared.times.answer_ends(shared.clock.now(), bytes);
                slot.busy_until(ends.min(latest));
            }
            flushed
        });
        flushed.await?;
        if waits {
            self.slot.busy_until(latest);
        }
        Ok(())
    }

    /// Answers bytes that are no request, after which nobody knows where the next one begins.
    async fn refuse(&mut self, error: ProtocolError, s: &mut Scratch) -> Result<(), Ended> {
        s.output.error(format_args!("ERR Protocol error: {error}"));
        self.flush(s).await?;
        Err(Ended)
    }

    /// When the connection ends, whatever it does: it has so long to authenticate.
    #[inline]
    fn latest(&self) -> u64 {
        self.session.latest(self.shared.times.request)
    }
}

/// Goes on to the next request.
#[inline]
fn next(s: &mut Scratch) {
    s.start += s.parser.consumed();
    s.since = 0;
    s.parser.reset();
}
