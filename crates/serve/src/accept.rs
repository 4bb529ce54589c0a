use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};
use tracing::warn;

use crate::rarely::Rarely;

/// How long accepting pauses when the process or the system lacks a resource.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections without end: no error of `accept(2)` is a reason to stop serving.
#[derive(Default)]
pub(crate) struct Acceptor {
    paused: Option<Instant>,
    warnings: Rarely,
}

impl Acceptor {
    /// Calls `accept` until it succeeds. `None` if this side lacks a resource, such as
    /// descriptors: the next call waits a little, unless [`resume`](Self::resume) reports that one
    /// is free. It is cancel-safe, if `accept` is.
    pub(crate) async fn next<T, F>(&mut self, mut accept: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        if let Some(until) = self.paused {
            sleep_until(until).await;
            self.paused = None;
        }
        loop {
            match accept().await {
                Ok(accepted) => return Some(accepted),
                Err(error) => {
                    self.report(&error);
                    if !of_one_connection(&error) {
                        // The connection stays in the backlog and the listener stays readable, so
                        // that without a pause this would spin.
                        self.paused = Some(Instant::now() + PAUSE);
                        return None;
                    }
                }
            }
        }
    }

    /// A resource may be free again.
    pub(crate) fn resume(&mut self) {
        self.paused = None;
    }

    fn report(&mut self, error: &io::Error) {
        if let Some(unreported) = self.warnings.report() {
            warn!(%error, unreported, "cannot accept a connection; going on");
        }
    }
}

/// The connections that the kernel has completed and that are not accepted yet, at most `most`.
/// Closing the listener would reset them.
pub(crate) fn backlog(listener: TcpListener, most: usize) -> Vec<(TcpStream, SocketAddr)> {
    let mut accepted = Vec::new();
    let done = listener.into_std().and_then(|listener| {
        while accepted.len() < most {
            match listener.accept() {
                Ok((socket, client)) => {
                    socket.set_nonblocking(true)?;
                    accepted.push((TcpStream::from_std(socket)?, client));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if of_one_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    if let Err(error) = done {
        warn!(%error, "connections that were not accepted before the shutdown are reset");
    }
    accepted
}

/// Whether the error is about the connection that was to be accepted, and says nothing about the
/// next one.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    const EMFILE: i32 = 24;

    #[tokio::test(start_paused = true)]
    async fn accepting_goes_on_within_a_second_when_descriptors_are_back() {
        let began = Instant::now();
        let back = began + Duration::from_secs(3);
        let mut calls = 0;
        let mut acceptor = Acceptor::default();
        let accepted = loop {
            let accepted = acceptor.next(|| {
                calls += 1;
                let now = Instant::now();
                ready(if now < back {
                    Err(io::Error::from_raw_os_error(EMFILE))
                } else {
                    Ok(now)
                })
            });
            if let Some(accepted) = accepted.await {
                break accepted;
            }
        };
        assert!(accepted - back < Duration::from_secs(1));
        assert!(calls <= 61, "{calls} calls in 3 s: it spins");
    }

    #[tokio::test(start_paused = true)]
    async fn accepting_goes_on_at_once_when_a_descriptor_is_freed() {
        let began = Instant::now();
        let mut acceptor = Acceptor::default();
        let failed = || ready(Err::<(), _>(io::Error::from_raw_os_error(EMFILE)));
        assert_eq!(acceptor.next(failed).await, None);
        acceptor.resume();
        assert_eq!(acceptor.next(|| ready(Ok(()))).await, Some(()));
        assert_eq!(Instant::now(), began);
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_connection_does_not_hold_up_the_next() {
        let began = Instant::now();
        let mut left = 100;
        let accepted = Acceptor::default()
            .next(|| {
                left -= 1;
                ready(if left == 0 {
                    Ok(())
                } else {
                    Err(ErrorKind::ConnectionAborted.into())
                })
            })
            .await;
        assert_eq!(accepted, Some(()));
        assert_eq!(Instant::now(), began);
    }
}
