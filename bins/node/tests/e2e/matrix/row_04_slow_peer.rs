//! A peer is slow: each answer comes 500 ms later.

use std::time::Duration;

use gaggle_testkit::{Fault, Scope};

use super::{in_turn, keys};
use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Load, Origin, Setup, busy, calm, promised, row};

const KEYS: usize = 200;
const SLOW: usize = 2;

#[tokio::test]
async fn a_peer_is_slow() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let origin = Origin::of_everything().await;
    let setup = Setup::of(&origin).group("hot-copies = \"off\"");
    let (cluster, proxies) = Cluster::behind_proxies(3, &setup).await;
    let client = Client::new();
    let mut theirs = 0;
    for key in keys(KEYS) {
        for node in &cluster.nodes {
            assert_eq!(client.key(node, &key).await.body, value_of(&key));
        }
        theirs += usize::from(cluster.owner(&client, &key).await == SLOW);
    }
    let asked = async || {
        let forwarded = cluster
            .metric(&client, "gaggle_server_requests_total", &[])
            .await;
        let loaded: u32 = origin.asked().values().sum();
        forwarded + u64::from(loaded)
    };
    let load = Load {
        rate: 200.0,
        lasts: Duration::from_secs(3),
    };
    let right = |key: &[u8], body: &[u8]| body == value_of(key);
    let before = asked().await;
    let swift = load
        .run(&client, in_turn(&cluster.nodes[..SLOW], KEYS), right)
        .await;
    let usual = asked().await - before;

    let quarter = Duration::from_millis(250);
    proxies[SLOW]
        .set(Scope::All, Fault::Delay(quarter))
        .await
        .unwrap();
    let before = asked().await;
    let seen = load
        .run(&client, in_turn(&cluster.nodes[..SLOW], KEYS), right)
        .await;
    let extra = (asked().await - before) as f64 / usual as f64 - 1.0;

    let errors = seen.samples.len() - seen.right();
    let late = seen.only(|sample| sample.took >= Duration::from_millis(500));
    let share = late.samples.len() as f64 / seen.samples.len() as f64;
    row(
        4,
        "answered by a hedge or a local load; extra requests <= 20 %",
        format!(
            "{errors} errors; {:.1} % took 500 ms or more, where {:.1} % are of keys of the slow peer; {:.1} % extra requests; \
             p99 {:.1?}, {:.1?} before",
            share * 100.0,
            theirs as f64 / KEYS as f64 * 100.0,
            extra * 100.0,
            seen.quantile(0.99),
            swift.quantile(0.99)
        ),
    );
    assert_eq!(errors, 0, "{seen}");
    promised(share <= 0.1, format!("{share} slow"))?;
    promised(extra <= 0.25, format!("{extra} extra"))
}
