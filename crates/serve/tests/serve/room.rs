use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use gaggle_serve::{Options, Server};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::support::*;

fn at_most(max_connections: usize) -> Options {
    Options {
        max_connections,
        ..patient()
    }
}

/// A connection that is idle after a request.
async fn idle(running: &Running) -> TcpStream {
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
    client
}

fn is_silent(client: &TcpStream) -> bool {
    let read = client.try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test(start_paused = true)]
async fn at_the_cap_the_least_recently_used_connection_makes_room() {
    let running = Running::start(at_most(3), hello()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(idle(&running).await);
        sleep(SECOND).await;
    }
    // The first is used again: the second has been idle for longest now.
    send(&mut clients[0], GET).await;
    read_hello(&mut clients[0]).await;

    let began = Instant::now();
    let mut newcomer = idle(&running).await;
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(read_to_close(&mut clients[1]).await, "");
    for client in [0, 2] {
        send(&mut clients[client], GET).await;
        read_hello(&mut clients[client]).await;
    }
    send(&mut newcomer, GET).await;
    read_hello(&mut newcomer).await;
}

#[tokio::test(start_paused = true)]
async fn many_newcomers_are_served_one_after_another() {
    let running = Running::start(at_most(10), hello()).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(idle(&running).await);
    }
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_makes_room_by_goaway() {
    let running = Running::start(at_most(1), hello()).await;
    let (mut sender, connection) = running.connect_http2().await;
    soon(sender.send_request(http2_get(&running)))
        .await
        .unwrap();
    idle(&running).await;
    soon(connection)
        .await
        .unwrap()
        .expect("it ends with GOAWAY, not with an error");
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_is_not_closed_and_the_next_one_waits() {
    let (router, gate, mut told) = gated();
    let running = Running::start(at_most(1), router).await;
    let mut busy = running.connect().await;
    send(&mut busy, GET).await;
    assert_eq!(soon(told.recv()).await, Some("entered"));
    let mut second = running.connect().await; // by the kernel
    send(&mut second, GET).await;
    sleep(LONG).await;
    assert!(is_silent(&second) && is_silent(&busy));

    // It makes room as soon as it is idle.
    gate.notify_one();
    read_hello(&mut busy).await;
    let idle = Instant::now();
    assert_eq!(read_to_close(&mut busy).await, "");
    gate.notify_one();
    read_hello(&mut second).await;
    assert!(idle.elapsed() < SECOND, "{:?}", idle.elapsed());
}

/// More connections are busy than are checked in one pass, so the server schedules another check.
/// One of them ends before that. Which of the two events the server sees first is random in each
/// round.
#[tokio::test(start_paused = true)]
async fn a_server_that_has_found_room_rests() {
    const BUSY: usize = 300;
    const ROUNDS: usize = 8;
    const SPINNING: usize = 100_000;
    for round in 0..ROUNDS {
        let (router, _gate, mut told) = gated();
        let server = Server::bind("127.0.0.1:0", at_most(BUSY)).await.unwrap();
        let addr = server.local_addr();
        let passes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&passes);
        // Polled in each pass of the server's loop. Time would not advance beside a loop that
        // spins.
        let shutdown = poll_fn(move |_| {
            if counted.fetch_add(1, Ordering::Relaxed) < SPINNING {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        let serving = tokio::spawn(server.serve(router, shutdown));
        let mut busy = Vec::new();
        for _ in 0..BUSY {
            let mut client = TcpStream::connect(addr).await.unwrap();
            send(&mut client, GET).await;
            assert_eq!(soon(told.recv()).await, Some("entered"));
            busy.push(client);
        }
        // Both in one turn.
        let newcomer = std::net::TcpStream::connect(addr).unwrap();
        busy.pop();
        assert_eq!(soon(told.recv()).await, Some("dropped"));
        let before = passes.load(Ordering::Relaxed);
        sleep(SECOND).await;
        let more = passes.load(Ordering::Relaxed) - before;
        assert!(more <= 100, "round {round}: {more} polls in a second");
        drop(newcomer);
        serving.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn half_open_connections_do_not_shut_out_others() {
    let running = Running::start(at_most(20), hello()).await;
    let mut half_open = Vec::new();
    for _ in 0..20 {
        for sent in ["", "GET / HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut client = running.connect().await;
            send(&mut client, sent).await;
            half_open.push(client);
        }
    }
    // 60 are in front of it, and each has its second; at a time, 20.
    let began = Instant::now();
    idle(&running).await;
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_need_nobody_is_closed() {
    let running = Running::start(at_most(2), hello()).await;
    let mut client = idle(&running).await;
    let mut silent = running.connect().await;
    sleep(LONG).await;
    for client in [&mut client, &mut silent] {
        send(client, GET).await;
        read_hello(client).await;
    }
}
