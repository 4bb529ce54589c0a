//! A peer is killed.

use std::time::Duration;

use tokio::time::sleep;

use super::{SLACK, in_turn};
use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Load, Origin, Setup, busy, calm, promised, row};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_peer_is_killed() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let origin = Origin::of_everything().await;
    let cluster = Cluster::start(3, &Setup::of(&origin).group("hot-copies = \"off\"")).await;
    let client = Client::new();
    let load = Load {
        rate: 250.0,
        lasts: 8 * SECOND,
    };
    let loading = load.run(&client, in_turn(&cluster.nodes[..2], 200), |key, body| {
        body == value_of(key)
    });
    let killing = async {
        sleep(4 * SECOND).await;
        cluster.nodes[2].process.signal("KILL");
    };
    let (seen, ()) = tokio::join!(loading, killing);
    let before = seen.between(2 * SECOND..4 * SECOND).quantile(0.99);
    let first = seen.between(4 * SECOND..5 * SECOND).quantile(0.99);
    let after = seen.between(5 * SECOND..8 * SECOND).quantile(0.99);
    let errors = seen.samples.len() - seen.right();
    row(
        1,
        "0 errors; p99 <= 3x in the first second, <= 1.5x after",
        format!(
            "{errors} errors of {}; p99 {before:.1?} before, {first:.1?} in the first second, {after:.1?} after",
            seen.samples.len()
        ),
    );
    assert_eq!(errors, 0, "{seen}");
    promised(first <= before * 3 + SLACK, format!("p99 {first:?}"))?;
    promised(after <= before * 3 / 2 + SLACK, format!("p99 {after:?}"))
}
