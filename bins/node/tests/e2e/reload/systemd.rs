//! What a service manager is told.

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use super::Scene;
use crate::support::cluster::free_ports;
use crate::support::{Origin, PATIENCE, Setup};

/// A manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    async fn hears(&self) -> String {
        let mut buffer = [0; 4096];
        let len = timeout(PATIENCE, self.0.recv(&mut buffer)).await;
        let len = len.expect("the node tells nothing").unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    /// The next message that is neither a sign of life nor a mere status.
    async fn hears_of_a_change(&self) -> String {
        loop {
            let message = self.hears().await;
            if !message.starts_with("WATCHDOG=1\n") && !message.starts_with("STATUS=") {
                return message;
            }
        }
    }
}

#[tokio::test]
async fn systemd_hears_when_a_node_is_ready_reloads_and_stops() {
    let origin = Origin::of_everything().await;
    let setup = Setup::of(&origin);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    let me = free_ports(1)[0];
    let mut scene = Scene::start_at(me, &[me], &setup, |serve| {
        serve
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "2000000");
    })
    .await;
    let ready = "READY=1\nSTATUS=serving; configuration";
    assert_eq!(manager.hears_of_a_change().await, format!("{ready} 1\n"));
    let readyz = scene.client.get(scene.node.admin, "/readyz").await;
    assert_eq!(readyz.status, 200);

    let reloads = async || {
        let message = manager.hears_of_a_change().await;
        let time = message
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        let time = time.lines().next().unwrap().parse::<u64>().unwrap();
        assert!(time > 0);
        manager.hears_of_a_change().await
    };
    scene.write(&setup.clone().group("ttl = \"1h\""));
    scene.node.process.signal("HUP");
    assert_eq!(reloads().await, format!("{ready} 2\n"));
    // By the signal or by a request.
    assert_eq!(scene.post().await.status, 200);
    assert_eq!(reloads().await, format!("{ready} 3\n"));
    // Whatever the result is.
    std::fs::write(&scene.file, "[node\n").unwrap();
    scene.node.process.signal("HUP");
    let refused = reloads().await;
    let begin = format!("{ready} 3; another was refused: line 1: ");
    assert!(refused.starts_with(&begin), "{refused}");
    assert_eq!(scene.generation().await, 3);

    while manager.hears().await != "WATCHDOG=1\n" {}
    scene.node.process.signal("TERM");
    let stopping = manager.hears_of_a_change().await;
    assert_eq!(stopping, "STOPPING=1\nSTATUS=stopping\n");
    let status = scene.node.process.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
}
