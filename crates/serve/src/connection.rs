use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, Waker, ready},
    time::Duration,
};

use axum::body::Body;
use hyper::{Request, Response};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulConnection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    task::coop::has_budget_remaining,
    time::{Instant, sleep},
};
use tower::Service;
use tracing::debug;

use crate::{
    activity::{Activity, Due, Verdict, Why},
    body,
    certificate::ClientCertificate,
    counts::Counts,
    io::{Reads, Writes},
    options::Options,
    service::Requests,
};

/// The data that all connections of a server share.
pub(crate) struct Shared<S> {
    pub(crate) http: auto::Builder<TokioExecutor>,
    pub(crate) service: S,
    pub(crate) options: Options,
    pub(crate) counts: Counts,
    #[cfg(feature = "tls")]
    pub(crate) refusals: crate::tls::Refusals,
}

/// Serves one connection to its end.
pub(crate) async fn serve<S>(
    shared: Arc<Shared<S>>,
    activity: Arc<Activity>,
    socket: TcpStream,
    client: SocketAddr,
    stopping: watch::Receiver<bool>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    if let Err(error) = socket.set_nodelay(true) {
        // The connection has ended, which reading will show, or answers will only be slower.
        debug!(%client, %error, "cannot set TCP_NODELAY");
    }
    let socket = Writes::new(socket, Arc::clone(&activity));
    #[cfg(feature = "tls")]
    if let Some(tls) = shared.options.tls.clone() {
        // On the heap, so that plain connections do not have its size.
        let serving = crate::tls::serve(shared, tls, activity, socket, client, stopping);
        return Box::pin(serving).await;
    }
    http(shared, activity, socket, None, client, stopping).await;
}

/// Serves HTTP on a stream to its end. Its requests carry `certificate`.
pub(crate) async fn http<S, T>(
    shared: Arc<Shared<S>>,
    activity: Arc<Activity>,
    stream: T,
    certificate: Option<ClientCertificate>,
    client: SocketAddr,
    stopping: watch::Receiver<bool>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Reads::new(stream, Arc::clone(&activity)));
    let requests = Requests {
        service: shared.service.clone(),
        activity: Arc::clone(&activity),
        limits: body::Limits::new(&shared.options),
        count: shared.counts.requests(),
        certificate,
    };
    match drive(
        shared.http.serve_connection(io, requests),
        GracefulConnection::graceful_shutdown,
        &activity,
        stopping,
    )
    .await
    {
        End::Closed(Ok(())) => {}
        End::Closed(Err(error)) => debug!(%client, %error, "the connection failed"),
        End::Cut(why) => {
            shared.counts.cut(why);
            debug!(%client, %why, "the connection was cut");
        }
    }
}

/// How a connection, or a part of it, has ended.
pub(crate) enum End<T> {
    Closed(T),
    Cut(Why),
}

/// Polls `connection` until it ends, or until `activity` decides to cut it. `retire` makes it
/// close gracefully.
pub(crate) async fn drive<C: Future>(
    connection: C,
    retire: impl Fn(Pin<&mut C>),
    activity: &Activity,
    mut stopping: watch::Receiver<bool>,
) -> End<C::Output> {
    let mut connection = pin!(connection);
    let news = stopping.clone();
    // An error means that the server was dropped, which is also a reason to stop.
    let mut stop = pin!(async move { stopping.wait_for(|stop| *stop).await.is_ok() });
    let mut stopped = false;
    let mut timer = pin!(sleep(Duration::MAX));
    // Whether they will wake this task by its present waker. If so, they need not be polled each
    // time to find that nothing has happened.
    let (mut stop_is_set, mut timer_is_set) = (false, false);
    let mut waker: Option<Waker> = None;
    poll_fn(|cx| {
        let known = |waker: &Waker| waker.will_wake(cx.waker());
        if !waker.as_ref().is_some_and(known) {
            waker = Some(cx.waker().clone());
            (stop_is_set, timer_is_set) = (false, false);
        }
        loop {
            let now = Instant::now();
            activity.polled(now);
            // This comes first, before a stop: a request that has arrived by then is answered.
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                return Poll::Ready(End::Closed(end));
            }
            if !stopped && (!stop_is_set || news.has_changed().unwrap_or(true)) {
                // Without budget the poll only makes this task be polled again, and registers no
                // waker. The same holds for the timer.
                stop_is_set = has_budget_remaining();
                if stop.as_mut().poll(cx).is_ready() {
                    stopped = true;
                    activity.stop(now);
                }
            }
            if stopped && activity.may_retire() {
                activity.retire();
                retire(connection.as_mut());
                continue;
            }
            let Some(Due { at, verdict }) = activity.due(cx.waker()) else {
                return Poll::Pending;
            };
            if at > now {
                // Each request moves the deadline, and moving a timer costs more than letting it
                // fire too early.
                if at < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(at);
                    timer_is_set = false;
                }
                if timer_is_set && now < timer.deadline() {
                    return Poll::Pending;
                }
                timer_is_set = has_budget_remaining();
                ready!(timer.as_mut().poll(cx));
                continue;
            }
            match verdict {
                Verdict::Cut(why) => return Poll::Ready(End::Cut(why)),
                Verdict::Retire => {
                    activity.retire();
                    retire(connection.as_mut());
                }
            }
        }
    })
    .await
}
