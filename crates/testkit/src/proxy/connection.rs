//! One connection through a proxy.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Admitted, Fault, Rule};

/// The most bytes of one read.
const CHUNK: usize = 16 << 10;

/// Chunks of one direction that a delay holds back. More are not read.
const HELD: usize = 64;

/// The longest wait for the upstream to accept, and for a client to end its side of a connection
/// that was closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a connection ends before both sides have ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// RST to both sides.
    Reset,
    /// FIN to the client.
    Close,
}

/// Forwards in both directions until both have ended or a fault ends it.
pub(super) async fn carry(
    mut client: TcpStream,
    admitted: Admitted,
    mut rules: watch::Receiver<Rule>,
) {
    // A lost setting costs latency only.
    let _ = client.set_nodelay(true);
    if outside_black_hole(&mut rules).await.is_err() {
        return;
    }
    let connecting = timeout(PATIENCE, TcpStream::connect(admitted.shared.upstream));
    let Ok(Ok(mut upstream)) = connecting.await else {
        // What a client sees of an upstream that is down.
        reset(&client);
        return;
    };
    let _ = upstream.set_nodelay(true);

    let counts = &admitted.shared.counts;
    let active = Mutex::new(Instant::now());
    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = upstream.split();
    let request = Direction {
        rules: rules.clone(),
        is_answer: false,
        count: &counts.requested,
        active: &active,
    };
    let answer = Direction {
        rules: rules.clone(),
        is_answer: true,
        count: &counts.answered,
        active: &active,
    };
    let both = async {
        tokio::try_join!(
            request.pump(from_client, to_upstream),
            answer.pump(from_upstream, to_client)
        )
    };
    let ended = tokio::select! {
        ended = both => ended.map(drop),
        cut = idle(rules, &active) => Err(cut),
    };
    match ended {
        Ok(()) => {}
        Err(Cut::Reset) => {
            reset(&client);
            reset(&upstream);
        }
        Err(Cut::Close) => close(client).await,
    }
}

/// Waits while the connection is in a black hole. An error means that the proxy is dropped.
async fn outside_black_hole(
    rules: &mut watch::Receiver<Rule>,
) -> Result<(), watch::error::RecvError> {
    rules
        .wait_for(|rule| rule.fault != Fault::Blackhole)
        .await
        .map(drop)
}

/// The drop that follows sends RST.
fn reset(stream: &TcpStream) {
    // An error means that it is closed already.
    let _ = stream.set_zero_linger();
}

/// Sends FIN. What the client still sends is read, as the kernel would answer it with RST
/// otherwise.
async fn close(mut client: TcpStream) {
    let ending = async {
        if client.shutdown().await.is_ok() {
            let mut rest = vec![0; CHUNK];
            while client.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        }
    };
    // A client that does not end its side is reset.
    let _ = timeout(PATIENCE, ending).await;
}

/// Ends when the connection has been idle for too long.
async fn idle(mut rules: watch::Receiver<Rule>, active: &Mutex<Instant>) -> Cut {
    loop {
        let Fault::CloseIdle(after) = rules.borrow_and_update().fault else {
            if rules.changed().await.is_err() {
                return Cut::Reset;
            }
            continue;
        };
        let due = *active.lock().unwrap_or_else(PoisonError::into_inner) + after;
        if due <= Instant::now() {
            return Cut::Close;
        }
        tokio::select! {
            () = sleep_until(due) => {}
            changed = rules.changed() => {
                if changed.is_err() {
                    return Cut::Reset;
                }
            }
        }
    }
}

/// One of the two directions.
struct Direction<'a> {
    rules: watch::Receiver<Rule>,
    is_answer: bool,
    count: &'a AtomicU64,
    active: &'a Mutex<Instant>,
}

/// What was read, and when it may be written.
type Chunk = (Instant, Bytes);

impl Direction<'_> {
    /// Forwards until the sender ends its side.
    async fn pump(self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), Cut> {
        let (held, chunks) = mpsc::channel(HELD);
        let reading = read(from, held, self.rules.clone());
        tokio::try_join!(reading, self.write(to, chunks)).map(drop)
    }

    async fn write(
        mut self,
        mut to: WriteHalf<'_>,
        mut chunks: mpsc::Receiver<Chunk>,
    ) -> Result<(), Cut> {
        let mut sent = Sent::default();
        loop {
            let rule = *self.rules.borrow_and_update();
            self.room(&mut sent, rule)?;
            tokio::select! {
                biased;
                changed = self.rules.changed() => {
                    changed.map_err(|_| Cut::Reset)?;
                }
                chunk = chunks.recv(), if rule.fault != Fault::Blackhole => {
                    let Some((due, chunk)) = chunk else {
                        return to.shutdown().await.map_err(|_| Cut::Reset);
                    };
                    sleep_until(due).await;
                    self.forward(&mut to, chunk, &mut sent).await?;
                }
            }
        }
    }

    /// Writes a chunk in as many pieces as the fault makes of it.
    async fn forward(
        &mut self,
        to: &mut WriteHalf<'_>,
        mut chunk: Bytes,
        sent: &mut Sent,
    ) -> Result<(), Cut> {
        while !chunk.is_empty() {
            let rule = self
                .rules
                .wait_for(|rule| rule.fault != Fault::Blackhole)
                .await;
            let rule = *rule.map_err(|_| Cut::Reset)?;
            let room = usize::try_from(self.room(sent, rule)?).unwrap_or(usize::MAX);
            let piece = room.min(chunk.len());
            // A client that reads nothing must not keep a new fault from taking effect.
            let written = tokio::select! {
                biased;
                changed = self.rules.changed() => {
                    changed.map_err(|_| Cut::Reset)?;
                    continue;
                }
                written = to.write(&chunk[..piece]) => written.map_err(|_| Cut::Reset)?,
            };
            chunk.advance(written);
            let len = written as u64;
            sent.bytes += len;
            self.count.fetch_add(len, Relaxed);
            *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            if let Fault::Rate(rate) = rule.fault {
                sleep(Duration::from_nanos(
                    len.saturating_mul(1_000_000_000) / rate.max(1),
                ))
                .await;
            }
        }
        Ok(())
    }

    /// How many bytes may be written now, or how the connection ends.
    fn room(&self, sent: &mut Sent, rule: Rule) -> Result<u64, Cut> {
        if sent.under != rule.number {
            *sent = Sent {
                under: rule.number,
                bytes: 0,
            };
        }
        let (after, cut) = match rule.fault {
            Fault::Refuse => return Err(Cut::Reset),
            Fault::ResetAfter(after) if self.is_answer => (after, Cut::Reset),
            Fault::TruncateAfter(after) if self.is_answer => (after, Cut::Close),
            // Twenty pieces in a second.
            Fault::Rate(rate) => return Ok((rate / 20).max(1)),
            _ => return Ok(u64::MAX),
        };
        match after.saturating_sub(sent.bytes) {
            0 => Err(cut),
            room => Ok(room),
        }
    }
}

/// Bytes forwarded under a rule.
#[derive(Default)]
struct Sent {
    under: u64,
    bytes: u64,
}

/// Reads until the sender ends its side. In a black hole nothing is read.
async fn read(
    mut from: ReadHalf<'_>,
    held: mpsc::Sender<Chunk>,
    mut rules: watch::Receiver<Rule>,
) -> Result<(), Cut> {
    let mut buffer = vec![0; CHUNK];
    loop {
        outside_black_hole(&mut rules)
            .await
            .map_err(|_| Cut::Reset)?;
        let read = from.read(&mut buffer).await.map_err(|_| Cut::Reset)?;
        if read == 0 {
            return Ok(());
        }
        let mut due = Instant::now();
        // The rule may be another since the read began.
        if let Fault::Delay(delay) = rules.borrow().fault {
            due += delay;
        }
        let chunk = Bytes::copy_from_slice(&buffer[..read]);
        if held.send((due, chunk)).await.is_err() {
            return Ok(());
        }
    }
}
