use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use gaggle_serve::Options;
use tokio::io::AsyncReadExt;

use crate::{support::*, tls::*};

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn listen() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

/// What a client that tries a request gets.
async fn heard(running: &Running, config: rustls::ClientConfig) -> String {
    let tried = async {
        // With TLS 1.3 the client's handshake is over before the server has seen its certificate.
        let mut client = try_connect(running, config).await?;
        send(&mut client, GET).await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await
    };
    soon(tried).await.unwrap_err().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_good_certificate_hears_why_and_so_does_the_log() {
    let (ca, foreign) = (Ca::new("CA"), Ca::new("foreign CA"));
    let (log, _listening) = listen();
    let tls = always(ca.server(Clients::Shown));
    let running = Running::start(with(tls, Options::default()), hello()).await;
    let expired = ca.issue_until(SystemTime::now() - DAY);
    let cases = [
        (
            None,
            "CertificateRequired",
            "the client showed no certificate",
        ),
        (
            Some(expired),
            "CertificateExpired",
            "the client's certificate has expired",
        ),
        (
            Some(foreign.issue()),
            "UnknownCA",
            "the client's certificate is not by a CA that is trusted here",
        ),
    ];
    for (identity, alert, logged) in cases {
        let heard = heard(&running, ca.client(identity)).await;
        assert!(heard.contains(alert), "{heard}");
        let log = log.text();
        let line = log.lines().find(|line| line.contains(logged));
        let line = line.unwrap_or_else(|| panic!("{logged:?} is not in {log}"));
        assert!(
            line.contains("WARN") && line.contains("client=127.0.0.1:"),
            "{line}"
        );
        // The log takes one line a second.
        tokio::time::advance(SECOND).await;
    }
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_trusts_another_ca_says_so() {
    let (ca, foreign) = (Ca::new("CA"), Ca::new("foreign CA"));
    let (log, _listening) = listen();
    let tls = always(foreign.server(Clients::Any));
    let running = Running::start(with(tls, Options::default()), hello()).await;
    for _ in 0..20 {
        let error = try_connect(&running, ca.client(None)).await.unwrap_err();
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    }
    assert_eq!(running.drained().await.cut, 0);
    let log = log.text();
    assert!(log.contains("the client refused: UnknownCA"), "{log}");
    assert_eq!(log.matches("handshake failed").count(), 1, "{log}");
}
