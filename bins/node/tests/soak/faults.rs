//! The faults of the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use gaggle_testkit::{Fault, Scope};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::scene::{NODES, Scene};
use crate::support::Trouble;
use crate::traffic::Burst;

/// A fault and its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Befalls {
    Node(usize, Blow),
    Way(usize, Scope, Fault),
    Origin(Trouble),
    Overload,
    SlowClients,
}

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// SIGSTOP, and SIGCONT in the end.
    Stop,
    /// SIGKILL, and a start in the end.
    Kill,
    /// SIGTERM, and a start in the end.
    Term,
}

/// Connections that never complete a request.
const SLOW_CLIENTS: usize = 200;

/// A node that was told to end has this long: its drain timeout of 10 s, and a second.
const ENDS_WITHIN: Duration = Duration::from_secs(12);

impl Befalls {
    pub(crate) fn draw(random: &mut fastrand::Rng) -> Self {
        let node = random.usize(..NODES);
        let way = |random: &mut fastrand::Rng, fault| {
            let scopes = [Scope::All, Scope::Established, Scope::New];
            Self::Way(node, scopes[random.usize(..3)], fault)
        };
        match random.u8(..13) {
            0 => Self::Node(node, Blow::Stop),
            1 => Self::Node(node, Blow::Kill),
            2 => Self::Node(node, Blow::Term),
            3 => {
                let delay = Duration::from_millis(random.u64(50..500));
                Self::Way(node, Scope::All, Fault::Delay(delay))
            }
            4 => {
                let after = random.u64(0..2_000);
                way(random, Fault::ResetAfter(after))
            }
            5 => {
                let after = random.u64(0..2_000);
                way(random, Fault::TruncateAfter(after))
            }
            6 => way(random, Fault::Blackhole),
            7 => Self::Origin(Trouble::Slow(Duration::from_millis(random.u64(200..3_000)))),
            8 => Self::Origin(Trouble::Hung),
            9 => Self::Origin(Trouble::Failing),
            10 => Self::Origin(Trouble::Refusing),
            11 => Self::Overload,
            _ => Self::SlowClients,
        }
    }

    /// The row of the summary.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Node(_, Blow::Stop) => "node stopped",
            Self::Node(_, Blow::Kill) => "node killed",
            Self::Node(_, Blow::Term) => "node restarted",
            Self::Way(_, _, Fault::Delay(_)) => "peer delayed",
            Self::Way(_, _, Fault::ResetAfter(_)) => "peer reset",
            Self::Way(_, _, Fault::TruncateAfter(_)) => "peer truncated",
            Self::Way(..) => "peer blackholed",
            Self::Origin(Trouble::Slow(_)) => "origin slow",
            Self::Origin(Trouble::Hung) => "origin hung",
            Self::Origin(Trouble::Failing) => "origin failing",
            Self::Origin(_) => "origin refusing",
            Self::Overload => "overload",
            Self::SlowClients => "slow clients",
        }
    }

    /// Whether both can happen at one time: not two for one node, and not two for the origin.
    pub(crate) fn goes_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Node(..) | Self::Way(..), Self::Node(..) | Self::Way(..)) => false,
            (Self::Origin(_), Self::Origin(_)) => false,
            _ => self.kind() != other.kind(),
        }
    }
}

/// A fault that has begun, until it is lifted.
pub(crate) struct Begun {
    what: Befalls,
    _clients: Vec<TcpStream>,
}

/// Starts a fault.
pub(crate) async fn begin(what: Befalls, scene: &Scene, burst: &Burst) -> Begun {
    let mut clients = Vec::new();
    match what {
        Befalls::Node(at, blow) => {
            scene.close(at);
            scene.nodes[at].process.signal(match blow {
                Blow::Stop => "STOP",
                Blow::Kill => "KILL",
                Blow::Term => "TERM",
            });
        }
        Befalls::Way(at, scope, fault) => scene.proxies[at].set(scope, fault).await.unwrap(),
        Befalls::Origin(trouble) => scene.origin.set(trouble).await,
        Befalls::Overload => burst.set(true),
        Befalls::SlowClients => {
            if let Some(front_door) = scene.front_doors.any(0) {
                clients = slow_clients(front_door.api).await;
            }
        }
    }
    Begun {
        what,
        _clients: clients,
    }
}

/// Half of a request each.
async fn slow_clients(api: SocketAddr) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        let opened = timeout(Duration::from_secs(1), TcpStream::connect(api)).await;
        let Ok(Ok(mut client)) = opened else {
            break;
        };
        let half = b"GET /v1/scores/hot-1 HTTP/1.1\r\nHost: soak\r\n";
        if client.write_all(half).await.is_ok() {
            clients.push(client);
        }
    }
    clients
}

/// Ends a fault. An error is a broken promise.
pub(crate) async fn lift(begun: Begun, scene: &mut Scene, burst: &Burst) -> Result<(), String> {
    match begun.what {
        Befalls::Node(at, Blow::Stop) => {
            scene.nodes[at].process.signal("CONT");
            scene.open(at);
        }
        Befalls::Node(at, Blow::Kill) => scene.restart(at).await,
        Befalls::Node(at, Blow::Term) => {
            let ended = timeout(ENDS_WITHIN, scene.nodes[at].process.ended()).await;
            scene.restart(at).await;
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) => return Err(format!("a node that was told to end: {status}")),
                Err(_) => return Err(format!("a node did not end within {ENDS_WITHIN:?}")),
            }
        }
        Befalls::Way(at, ..) => scene.proxies[at].pass().await.unwrap(),
        Befalls::Origin(_) => scene.origin.set(Trouble::None).await,
        Befalls::Overload => burst.set(false),
        Befalls::SlowClients => {}
    }
    Ok(())
}
