//! A node's feed of the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use gaggle_follow::{Batch, Feed, FeedError, Opened, Position};
use gaggle_group::async_trait;

use super::{Source, State, Trouble};

pub(crate) struct SourceFeed {
    source: Source,
    node: usize,
    connection: Option<u64>,
    cursor: usize,
    /// Whether the next batch is a position alone.
    tells_position: bool,
    /// Set once its node has been killed: nothing that it does has an effect any more.
    pub(crate) dead: Arc<AtomicBool>,
}

impl SourceFeed {
    /// A feed for that node.
    pub(crate) fn new(source: &Source, node: usize) -> Self {
        Self {
            source: source.clone(),
            node,
            connection: None,
            cursor: 0,
            tells_position: false,
            dead: Arc::default(),
        }
    }

    async fn is_alive(&self) {
        if self.dead.load(SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn is_connected(&self, state: &State) -> Result<(), FeedError> {
        let holder = state.holder.map(|(connection, _)| connection);
        if self.connection.is_none() || holder != self.connection {
            return Err(FeedError::new("the connection is lost"));
        }
        Ok(())
    }
}

#[async_trait]
impl Feed for SourceFeed {
    async fn open(&mut self) -> Result<Opened, FeedError> {
        self.is_alive().await;
        assert!(!self.source.has(Trouble::OpenPanics), "open panics");
        if self.source.has(Trouble::OpenHangs) {
            std::future::pending::<()>().await;
        }
        self.source.takes_time().await;
        let mut state = self.source.state();
        if state.trouble.contains(&Trouble::OpenFails) || state.cut.contains(&self.node) {
            return Err(FeedError::new("no route to the source"));
        }
        if self.is_connected(&state).is_ok() {
            // A feed that could not be closed is dropped now.
            state.holder = None;
        }
        if state.holder.is_some() {
            return Err(FeedError::held_elsewhere("the slot is active"));
        }
        state.connections += 1;
        state.opened += 1;
        self.connection = Some(state.connections);
        self.tells_position = false;
        state.holder = Some((state.connections, self.node));
        if let Some(reason) = state.missed.clone() {
            self.cursor = state.log.len();
            self.tells_position = self.cursor as u64 > state.confirmed;
            return Ok(Opened::Missed(reason));
        }
        self.cursor = if state.forgets_unconfirmed {
            state.read
        } else {
            usize::try_from(state.confirmed).unwrap()
        };
        Ok(Opened::Complete)
    }

    async fn next(&mut self) -> Result<Batch, FeedError> {
        let mut changed = self.source.inner.changed.subscribe();
        loop {
            self.is_alive().await;
            assert!(!self.source.has(Trouble::NextPanics), "next panics");
            {
                let mut state = self.source.state();
                self.is_connected(&state)?;
                if state.trouble.contains(&Trouble::NextFails) {
                    return Err(FeedError::new("the log cannot be read"));
                }
                if std::mem::take(&mut self.tells_position) {
                    let position = Some(Position(self.cursor as u64));
                    return Ok(Batch {
                        position,
                        ..Batch::default()
                    });
                }
                let until = state.log.len().min(self.cursor + state.most);
                if self.cursor < until {
                    let part = &state.log[self.cursor..until];
                    let ended = part.iter().rposition(|(_, end)| *end);
                    let position = ended.map(|at| Position((self.cursor + at + 1) as u64));
                    let changes: Vec<_> = part.iter().map(|(change, _)| change.clone()).collect();
                    state.handed_out += changes.len();
                    self.cursor = until;
                    state.read = until;
                    return Ok(Batch {
                        changes,
                        position,
                        age: Some(Duration::ZERO),
                    });
                }
            }
            changed.changed().await.unwrap();
        }
    }

    async fn confirm(&mut self, position: Position) -> Result<(), FeedError> {
        self.is_alive().await;
        if self.source.has(Trouble::ConfirmHangs) {
            std::future::pending::<()>().await;
        }
        let on_confirm = {
            let mut state = self.source.state();
            self.is_connected(&state)?;
            if state.trouble.contains(&Trouble::ConfirmFails) {
                return Err(FeedError::new("the position is not taken"));
            }
            assert!(
                position.0 > state.confirmed,
                "{position:?} after {}",
                state.confirmed
            );
            assert!(
                position.0 <= self.cursor as u64,
                "{position:?} was not read"
            );
            state.confirmed = position.0;
            state.missed = None;
            state.on_confirm.clone()
        };
        if let Some(check) = on_confirm {
            check(position.0);
        }
        Ok(())
    }

    async fn close(&mut self) {
        self.is_alive().await;
        if self.source.has(Trouble::CloseHangs) {
            std::future::pending::<()>().await;
        }
        {
            let mut state = self.source.state();
            if self.is_connected(&state).is_ok() {
                state.holder = None;
            }
        }
        self.connection = None;
        assert!(!self.source.has(Trouble::ClosePanics), "close panics");
    }

    fn behind_bytes(&self) -> Option<u64> {
        let state = self.source.state();
        Some(state.log.len() as u64 - state.confirmed)
    }
}
