//! Messages to systemd, or to a service manager with its protocol: that the node is ready, that it
//! reloads its configuration, that it stops, and that it is alive.
//!
//! The protocol is that of sd_notify(3): a datagram of `NAME=value` lines to the socket that the
//! environment names. If it names none, nothing is sent. The protocol is small enough to need no
//! library, and the usual libraries do not reach sockets in the abstract namespace, which
//! containers often get.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// How long a message may wait for room in the manager's socket.
const PATIENCE: Duration = Duration::from_millis(250);

/// Longer status lines are cut.
const MAX_STATUS: usize = 256;

/// The service manager that has started this process, if it expects messages. A cheap-clone
/// handle.
///
/// A message that cannot be sent is logged, and is not a failure of the node. Sending takes a
/// quarter of a second at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Systemd {
    manager: Option<Arc<Manager>>,
}

#[derive(Debug)]
struct Manager {
    socket: SocketAddr,
    /// The longest interval at which it expects a sign of life.
    watchdog: Option<Duration>,
}

impl Systemd {
    /// Reads the environment of this process.
    pub(crate) fn from_env() -> Self {
        Self::from_vars(|name| std::env::var_os(name), process::id())
    }

    fn from_vars(var: impl Fn(&str) -> Option<OsString>, own_pid: u32) -> Self {
        let Some(socket) = var("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
            return Self::default();
        };
        let socket = match address(&socket) {
            Ok(socket) => socket,
            Err(error) => {
                warn!(?socket, %error, "the service manager cannot be told anything: NOTIFY_SOCKET");
                return Self::default();
            }
        };
        let number = |name| var(name)?.to_str()?.parse::<u64>().ok();
        // Without it, the watchdog is for any process with the variable.
        let is_ours = var("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID").is_some_and(|pid| pid == u64::from(own_pid));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        Self {
            manager: Some(Arc::new(Manager {
                socket,
                watchdog: watchdog.map(Duration::from_micros),
            })),
        }
    }

    /// Starting, or reloading, has ended: the node serves, with this text as its status.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(|message| {
            message.push_str("READY=1\n");
            push_status(message, status);
        });
    }

    /// The configuration is being read again. [`ready`](Self::ready) must follow, whatever the
    /// result.
    pub(crate) fn reloading(&self) {
        self.tell(|message| {
            // Distinguishes this reload's end from that of an earlier one.
            let now = clock_gettime(ClockId::Monotonic);
            let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec / 1_000);
            message.push_str(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
            push_status(message, "reloading the configuration");
        });
    }

    /// The node stops in an orderly way.
    pub(crate) fn stopping(&self) {
        self.tell(|message| {
            message.push_str("STOPPING=1\n");
            push_status(message, "stopping");
        });
    }

    /// Another text for the status, on one line.
    pub(crate) fn status(&self, status: &str) {
        self.tell(|message| push_status(message, status));
    }

    /// Sends signs of life twice as often as the manager requires, from now on and without end.
    /// Run it on the executor that does the work: if that is stuck, the manager gets no more
    /// messages, and starts the node again. If no manager requires it, it ends at once.
    pub(crate) async fn keep_alive(self) {
        let Some(every) = self.watchdog() else {
            return;
        };
        let mut ticks = interval((every / 2).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell(|message| message.push_str("WATCHDOG=1\n"));
        }
    }

    fn watchdog(&self) -> Option<Duration> {
        self.manager.as_ref()?.watchdog
    }

    fn tell(&self, write: impl FnOnce(&mut String)) {
        let Some(manager) = &self.manager else {
            return;
        };
        let mut message = String::new();
        write(&mut message);
        if let Err(error) = manager.send(message.as_bytes()) {
            let what = message.lines().next().unwrap_or_default();
            warn!(what, %error, "the service manager could not be told");
        }
    }
}

impl Manager {
    /// Over a new socket each time: the manager's may have changed since.
    fn send(&self, message: &[u8]) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        // A datagram is sent whole or not at all.
        socket.send_to_addr(message, &self.socket).map(drop)
    }
}

/// A path, or a name in the abstract namespace after an `@`.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(socket),
        [b'@', name @ ..] => abstract_address(name),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "expected a path or @ and a name",
        )),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt as _;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// One line, whatever the text.
fn push_status(message: &mut String, status: &str) {
    message.push_str("STATUS=");
    let words = status.chars().take(MAX_STATUS);
    message.extend(words.map(|c| if c.is_control() { ' ' } else { c }));
    message.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager's end, at a path in a directory of its own.
    struct Listener {
        _dir: tempfile::TempDir,
        socket: UnixDatagram,
        path: OsString,
    }

    impl Listener {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            Self {
                _dir: dir,
                socket: patient(socket),
                path: path.into(),
            }
        }

        fn systemd(&self, vars: &[(&str, &str)]) -> Systemd {
            with(&self.path, vars)
        }
    }

    fn with(socket: &OsStr, vars: &[(&str, &str)]) -> Systemd {
        let var = |name: &str| match name {
            "NOTIFY_SOCKET" => Some(socket.to_owned()),
            name => {
                let found = vars.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).into())
            }
        };
        Systemd::from_vars(var, 4711)
    }

    /// A test that is to fail does not hang.
    fn patient(socket: UnixDatagram) -> UnixDatagram {
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        socket
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn each_message_is_one_datagram() {
        let listener = Listener::new();
        let systemd = listener.systemd(&[]);
        systemd.ready("3 members");
        assert_eq!(heard(&listener.socket), "READY=1\nSTATUS=3 members\n");
        systemd.status("2 members");
        assert_eq!(heard(&listener.socket), "STATUS=2 members\n");
        systemd.stopping();
        assert_eq!(heard(&listener.socket), "STOPPING=1\nSTATUS=stopping\n");
    }

    #[test]
    fn a_reload_tells_the_time_of_the_managers_clock() {
        let listener = Listener::new();
        let systemd = listener.systemd(&[]);
        let mut times = Vec::new();
        for _ in 0..2 {
            systemd.reloading();
            let message = heard(&listener.socket);
            let mut lines = message.lines();
            assert_eq!(lines.next(), Some("RELOADING=1"));
            let time = lines.next().unwrap().strip_prefix("MONOTONIC_USEC=");
            times.push(time.unwrap().parse::<i128>().unwrap());
        }
        let now = clock_gettime(ClockId::Monotonic).tv_sec;
        assert!(times[0] <= times[1]);
        assert!(times[1] / 1_000_000 <= now.into());
        assert!(times[0] / 1_000_000 >= i128::from(now) - 3_600);
    }

    #[test]
    fn a_status_is_one_line_and_not_too_long() {
        let listener = Listener::new();
        let systemd = listener.systemd(&[]);
        systemd.status("a\nREADY=1\nb");
        assert_eq!(heard(&listener.socket), "STATUS=a READY=1 b\n");
        systemd.status(&"ä".repeat(1_000));
        assert_eq!(heard(&listener.socket).chars().count(), 7 + 256 + 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_socket_may_be_in_the_abstract_namespace() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("gaggle-node-test-{}", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = patient(UnixDatagram::bind_addr(&address).unwrap());
        with(OsStr::new(&format!("@{name}")), &[]).ready("");
        assert_eq!(heard(&socket), "READY=1\nSTATUS=\n");
    }

    #[test]
    fn a_manager_that_has_restarted_is_told_too() {
        let Listener { _dir, socket, path } = Listener::new();
        let systemd = with(&path, &[]);
        systemd.status("one");
        assert_eq!(heard(&socket), "STATUS=one\n");
        std::fs::remove_file(&path).unwrap();
        // No manager is there: that is only logged.
        systemd.status("two");
        let socket = patient(UnixDatagram::bind(&path).unwrap());
        systemd.status("three");
        assert_eq!(heard(&socket), "STATUS=three\n");
    }

    #[test]
    fn without_a_socket_nothing_is_sent() {
        let nobody = Systemd::from_vars(|_| None, 4711);
        assert!(nobody.manager.is_none());
        nobody.ready("unheard");
        for odd in ["", "relative", "vsock:2:1234"] {
            assert!(with(OsStr::new(odd), &[]).manager.is_none(), "{odd}");
        }
    }

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        let listener = Listener::new();
        let second = Some(Duration::from_secs(1));
        for (vars, expected) in [
            (&[][..], None),
            (&[("WATCHDOG_USEC", "1000000")][..], second),
            (
                &[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "4711")][..],
                second,
            ),
            (
                &[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "1")][..],
                None,
            ),
            (
                &[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "odd")][..],
                None,
            ),
            (&[("WATCHDOG_USEC", "0")][..], None),
            (&[("WATCHDOG_USEC", "soon")][..], None),
        ] {
            assert_eq!(listener.systemd(vars).watchdog(), expected, "{vars:?}");
        }
    }

    #[tokio::test]
    async fn a_watchdog_gets_repeated_signs_of_life() {
        let listener = Listener::new();
        let systemd = listener.systemd(&[("WATCHDOG_USEC", "20000")]);
        let telling = tokio::spawn(systemd.keep_alive());
        let hearing = tokio::task::spawn_blocking(move || {
            for _ in 0..3 {
                assert_eq!(heard(&listener.socket), "WATCHDOG=1\n");
            }
        });
        hearing.await.unwrap();
        assert!(!telling.is_finished());
        telling.abort();
        // If no manager requires it, it ends.
        Systemd::default().keep_alive().await;
    }
}
