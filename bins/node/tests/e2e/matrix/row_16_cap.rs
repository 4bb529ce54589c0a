//! The origin hangs: what it may still be working on stays within the cap.

use std::time::Duration;

use crate::support::backend::Power;
use crate::support::{Backend, Client, Cluster, Load, Setup, Trouble, busy, row};

const CAP: usize = 8;

#[tokio::test]
async fn loads_in_flight_stay_within_the_cap() {
    let _busy = busy().await;
    for finishes_abandoned in [false, true] {
        let power = Power {
            slots: 64,
            takes: Duration::ZERO,
            finishes_abandoned,
        };
        let backend = Backend::serve(power, |key| Some(key.to_vec())).await;
        let setup = Setup {
            origin: backend.table(),
            ..Setup::default()
        };
        let group = format!("load-timeout = \"500ms\"\nmax-origin-loads = {CAP}");
        let cluster = Cluster::start(1, &setup.group(&group)).await;
        backend.set(Trouble::Hung).await;
        let load = Load {
            rate: 100.0,
            lasts: Duration::from_secs(4),
        };
        let api = cluster.nodes[0].api;
        let next = move |n| (api, format!("cold-{n}").into_bytes());
        let seen = load.run(&Client::new(), next, |_, _| true).await;
        let most = backend.most_open();
        row(
            16,
            "loads in flight <= the cap",
            format!(
                "{most} at the most with a cap of {CAP}, {} in total; work abandoned is finished: {finishes_abandoned}; {seen}",
                backend.asked().len()
            ),
        );
        // The origin may notice that a request was cut only after the next one has arrived. If it
        // never ends what it has begun, the node assumes after a grace that it has, and probes.
        assert!(most <= 2 * CAP, "{most}");
    }
}
