//! The trace that a get, a removal or a put belongs to.

use std::sync::{Arc, Mutex};

use gaggle_group::{Entry, Fetch, Groups, Key, Notice, Peer, Propagation, Put, Scope, TraceParent};
use gaggle_transport_grpc::{ClientOptions, GrpcTransport, ServerOptions, router};
use tokio::net::TcpListener;
use tracing::Span;
use tracing::level_filters::LevelFilter;

use crate::node::{LONG, new_id};

/// Records the traces that arrive.
#[derive(Default)]
struct Noted(Mutex<Vec<TraceParent>>);

impl Propagation for Noted {
    fn outgoing(&self, _: &Span) -> Option<TraceParent> {
        None
    }

    fn incoming(&self, _: &Span, parent: &TraceParent) {
        self.0.lock().unwrap().push(*parent);
    }
}

#[tokio::test]
async fn the_trace_of_a_request_arrives() {
    // For this thread, which is also the server's.
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG);
    let subscriber = subscriber.with_writer(std::io::sink).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let noted = Arc::new(Noted::default());
    let group = gaggle_group::Group::builder("g")
        .origin_fn(|key: Key| async move { Ok::<_, std::io::Error>(Some(key)) })
        .propagation(noted.clone())
        .build()
        .unwrap();
    let app = router(Groups::new([group]).unwrap(), ServerOptions::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let peer = GrpcTransport::new(ClientOptions::default());
    let peer = peer.peer(&url).unwrap();
    let trace = TraceParent::new([7; 16], [9; 8], 1);
    for (key, trace) in [("with", trace), ("without", None)] {
        let key = Key::from(key);
        let fetch = Fetch::new("g", &key, 99, LONG).traced(trace);
        let entry = peer.fetch(fetch).await.unwrap().entry;
        assert_eq!(entry.value, Some(key));
    }
    assert_eq!(*noted.0.lock().unwrap(), [trace.unwrap()]);

    let removal_of = |scope| Notice {
        id: new_id(),
        scope,
    };
    let keys = |keys: &[&'static str]| Scope::Keys(keys.iter().copied().map(Key::from).collect());
    let (key, entry) = (Key::from("with"), Entry::value("630"));
    for trace in [trace, None] {
        for scope in [keys(&["with"]), keys(&["with", "without"]), Scope::Group] {
            let notice = removal_of(scope);
            peer.remove_traced("g", &notice, trace).await.unwrap();
        }
        let put = Put::new("g", &key, &entry, new_id()).traced(trace);
        peer.put(put).await.unwrap();
    }
    assert_eq!(*noted.0.lock().unwrap(), [trace.unwrap(); 5]);
}
