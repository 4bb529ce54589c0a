use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::body::Body;
use hyper::{Request, Response};
use rustls::ServerConnection;
use tokio::{net::TcpStream, sync::watch};
use tower::Service;
use tracing::debug;

use super::{
    Tls,
    greet::{Greeted, greet},
};
use crate::{
    activity::Activity,
    certificate::ClientCertificate,
    connection::{self, End, Shared},
    io::Writes,
};

/// Serves one connection to a port that speaks TLS, to its end.
///
/// Until the handshake is complete the connection counts as one that has sent no request: the
/// timeout for the first head runs, and it may be closed to make room.
pub(crate) async fn serve<S>(
    shared: Arc<Shared<S>>,
    tls: Tls,
    activity: Arc<Activity>,
    socket: Writes<TcpStream>,
    client: SocketAddr,
    stopping: watch::Receiver<bool>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let greeting = greet(&tls, socket, client, &shared.refusals, &shared.counts);
    match connection::drive(greeting, |_| {}, &activity, stopping.clone()).await {
        End::Closed(Greeted::Tls(stream)) => {
            let certificate = certificate(stream.get_ref().1);
            connection::http(shared, activity, *stream, certificate, client, stopping).await;
        }
        End::Closed(Greeted::Plain(socket)) => {
            connection::http(shared, activity, socket, None, client, stopping).await;
        }
        End::Closed(Greeted::Closed) => {}
        End::Cut(why) => {
            shared.counts.cut(why);
            debug!(%client, %why, "the connection was cut before its handshake was complete");
        }
    }
}

/// The certificate that the client has presented, if any. It is verified, as otherwise the
/// handshake would have failed.
fn certificate(connection: &ServerConnection) -> Option<ClientCertificate> {
    let [shown, ..] = connection.peer_certificates()? else {
        return None;
    };
    Some(ClientCertificate::new(shown.as_ref()))
}
