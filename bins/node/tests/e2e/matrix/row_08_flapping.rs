//! A node flaps at 1 Hz.

use std::time::Duration;

use tokio::time::sleep;

use super::{in_turn, keys};
use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Load, Origin, Setup, busy, calm, promised, row};

const KEYS: usize = 300;
const FLAPS: u32 = 8;
const VICTIM: usize = 2;

#[tokio::test]
async fn a_node_flaps() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let origin = Origin::of_everything().await;
    let cluster = Cluster::start(3, &Setup::of(&origin).group("hot-copies = \"off\"")).await;
    let client = Client::new();
    let mut theirs = 0;
    for key in keys(KEYS) {
        for node in &cluster.nodes {
            assert_eq!(client.key(node, &key).await.body, value_of(&key));
        }
        theirs += u32::from(cluster.owner(&client, &key).await == VICTIM);
    }
    let loads = || origin.asked().values().sum::<u32>();
    let before = loads();
    let load = Load {
        rate: 200.0,
        lasts: Duration::from_secs(u64::from(FLAPS)),
    };
    let next = in_turn(&cluster.nodes[..VICTIM], KEYS);
    let loading = load.run(&client, next, |key, body| body == value_of(key));
    let flapping = async {
        let mut peak = 0;
        for _ in 0..FLAPS {
            let at = loads();
            for signal in ["STOP", "CONT"] {
                cluster.nodes[VICTIM].process.signal(signal);
                sleep(Duration::from_millis(500)).await;
            }
            peak = peak.max(loads() - at);
        }
        peak
    };
    let (seen, peak) = tokio::join!(loading, flapping);
    let (gets, errors) = (seen.samples.len(), seen.samples.len() - seen.right());
    let missed = f64::from(loads() - before) / gets as f64;
    let share = f64::from(theirs) / KEYS as f64;
    row(
        8,
        "the hit ratio drops by at most the node's share; no storm at the origin",
        format!(
            "{errors} errors of {gets}; hit ratio down by {:.1} % with a share of {:.1} %; {peak} loads in the worst second",
            missed * 100.0,
            share * 100.0
        ),
    );
    assert_eq!(errors, 0, "{seen}");
    promised(missed <= share, format!("{missed} missed"))?;
    // Each of its keys once in a second.
    promised(peak <= theirs, format!("{peak} loads"))
}
