//! A peer hangs: the process is stopped, and the kernel still accepts connections.

use std::time::Duration;

use tokio::time::sleep;

use super::{SLACK, in_turn};
use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Load, Origin, Setup, busy, calm, promised, row};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_peer_hangs() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let origin = Origin::of_everything().await;
    let cluster = Cluster::start(3, &Setup::of(&origin).group("hot-copies = \"off\"")).await;
    let client = Client::new();
    let load = Load {
        rate: 250.0,
        lasts: 6 * SECOND,
    };
    let loading = load.run(&client, in_turn(&cluster.nodes[..2], 200), |key, body| {
        body == value_of(key)
    });
    let stopping = async {
        sleep(2 * SECOND).await;
        cluster.nodes[2].process.signal("STOP");
        sleep(3 * SECOND).await;
        cluster.nodes[2].process.signal("CONT");
    };
    let (seen, ()) = tokio::join!(loading, stopping);
    let errors = seen.samples.len() - seen.right();
    let during = seen.between(2 * SECOND..5 * SECOND);
    let late = during.only(|sample| sample.took > Duration::from_millis(200));
    let slowest = seen.quantile(1.0);
    row(
        2,
        "0 errors; slowest get <= 500 ms; only the first few wait",
        format!(
            "{errors} errors of {}; slowest {slowest:.1?}; {} of {} took over 200 ms",
            seen.samples.len(),
            late.samples.len(),
            during.samples.len()
        ),
    );
    assert_eq!(errors, 0, "{seen}");
    let slow = slowest > Duration::from_millis(500) + SLACK;
    promised(!slow, format!("slowest {slowest:?}"))?;
    // A third of the load, for half a second, and once more the same for a probe.
    promised(late.samples.len() <= 250 / 3, during)
}
