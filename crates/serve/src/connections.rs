use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use hyper::{Request, Response};
use tokio::{
    net::TcpStream,
    sync::watch,
    task::{Id, JoinError, JoinSet, yield_now},
    time::{Instant, timeout},
};
use tower::Service;
use tracing::{debug, error};

use crate::{
    activity::Activity,
    connection::{self, Shared},
    roster::{Room, Roster},
    server::Drained,
};

/// How long a connection that is cut may take to end; only a handler that blocks its thread needs
/// longer.
const LET_GO: Duration = Duration::from_secs(1);
/// A connection that is asked to close has this long before the next one is asked as well.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The connections of a server: a bounded number of them.
pub(crate) struct Connections<S> {
    shared: Arc<Shared<S>>,
    tasks: JoinSet<()>,
    roster: Roster,
    stopping: watch::Receiver<bool>,
    most: usize,
    /// No other connection is asked to close before this.
    ask_at: Instant,
}

impl<S> Connections<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    pub(crate) fn new(shared: Arc<Shared<S>>, stopping: watch::Receiver<bool>) -> Self {
        Self {
            most: shared.options.max_connections.max(1),
            shared,
            tasks: JoinSet::new(),
            roster: Roster::new(),
            stopping,
            ask_at: Instant::now(),
        }
    }

    /// How many more there is room for.
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.tasks.len())
    }

    /// Serves a connection, whether there is room or not.
    pub(crate) fn serve(&mut self, socket: TcpStream, client: SocketAddr) {
        self.shared.counts.opened();
        let activity = Arc::new(Activity::new(&self.shared.options));
        let task = self.tasks.spawn(connection::serve(
            Arc::clone(&self.shared),
            Arc::clone(&activity),
            socket,
            client,
            self.stopping.clone(),
        ));
        self.roster.joined(task.id(), activity, Instant::now());
    }

    /// Makes an idle connection close, if there is one, unless one was asked to a moment ago.
    /// Returns whether there may be one among those not checked yet, so that another call helps.
    #[must_use]
    pub(crate) fn make_room(&mut self) -> bool {
        let now = Instant::now();
        if now < self.ask_at {
            return false;
        }
        let room = self.roster.make_room(now);
        if room == Room::Asked {
            self.ask_at = now + ASK_EVERY;
            self.shared.counts.made_room();
        }
        room == Room::Unknown
    }

    /// Waits until a connection has ended, or there may be one to close; if `unfinished`, only
    /// until other tasks have run. Returns whether one has ended. It is cancel-safe.
    pub(crate) async fn changed(&mut self, unfinished: bool) -> bool {
        if self.tasks.is_empty() {
            return std::future::pending().await;
        }
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => {
                self.ended(ended);
                self.ask_at = Instant::now();
                true
            }
            () = self.roster.idle() => false,
            () = yield_now(), if unfinished => false,
        }
    }

    /// Waits until all connections have ended, at most for `drain`, and cuts those that are left.
    pub(crate) async fn drain(mut self, drain: Duration) -> Drained {
        self.reap();
        let open = self.tasks.len();
        let _ = timeout(drain, self.all()).await;
        self.reap();
        let cut = self.tasks.len();
        self.tasks.abort_all();
        let _ = timeout(LET_GO, self.all()).await;
        Drained { open, cut }
    }

    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended);
        }
    }

    async fn all(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.roster.left(id);
        self.shared.counts.ended();
        match ended {
            Err(error) if error.is_panic() => {
                // The payload may hold what a client sent; the panic hook has shown where it
                // happened.
                error!("a handler panicked; its connection is closed");
            }
            Err(error) => debug!(%error, "a connection was cut"),
            Ok(_) => {}
        }
    }
}
