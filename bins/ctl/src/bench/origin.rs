//! The origin that a bench serves by itself: every key has a value, and each load is counted.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::time;

use super::value::Value;

/// Nodes keep far fewer; others wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// The wait when no connection can be accepted, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// An origin that is served until the process ends.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) addr: SocketAddr,
    loads: Arc<AtomicU64>,
}

impl Origin {
    /// Serves values of `size` bytes, on a separate thread, so that it does not add to the
    /// callers' latencies.
    pub(super) fn serve(addr: SocketAddr, size: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let loads = Arc::new(AtomicU64::new(0));
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counter = Arc::clone(&loads);
        thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || runtime.block_on(accept(listener, size, counter)))?;
        Ok(Self { addr, loads })
    }

    /// How many values were asked for so far.
    pub(super) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, size: u64, loads: Arc<AtomicU64>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(PAUSE).await;
            continue;
        };
        // Without it an answer may wait for an acknowledgement; it is only slower then.
        let _ = stream.set_nodelay(true);
        let loads = Arc::clone(&loads);
        let service = service_fn(move |request| {
            let answer = answer(&request, size, &loads);
            async move { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move {
            // A node that closes the connection asks again.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, size: u64, loads: &AtomicU64) -> Response<Full<Bytes>> {
    loads.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path();
    let key = percent_decode_str(path.strip_prefix('/').unwrap_or(path)).collect::<Vec<u8>>();
    Response::new(Full::new(Value::of(&key, size).bytes()))
}
