//! More load than the origin can take.

use std::time::Duration;

use crate::support::backend::Power;
use crate::support::{Backend, Client, Cluster, Load, Outcome, Setup, busy, calm, promised, row};

const SECOND: Duration = Duration::from_secs(1);
const WARM_UP: u32 = 2;
const LASTS: u32 = 7;

/// Two cores are too few for debug builds of the node, the origin and the load at some thousand
/// requests per second.
const TAKES: Duration = Duration::from_millis(if cfg!(debug_assertions) { 80 } else { 20 });

async fn overloaded(times: f64) -> Result<(), String> {
    let power = Power {
        slots: 8,
        takes: TAKES,
        finishes_abandoned: false,
    };
    let backend = Backend::serve(power, |key| Some(key.to_vec())).await;
    let setup = Setup {
        origin: backend.table(),
        ..Setup::default()
    };
    let group = "load-timeout = \"1s\"\nmax-origin-loads = 8";
    let cluster = Cluster::start(1, &setup.group(group)).await;
    let api = cluster.nodes[0].api;
    let client = Client::new();
    // The origin's throughput through this node on this machine: a closed loop with as many
    // callers as the origin has slots.
    let mut best = 0.0_f64;
    for round in 0..3 {
        let began = tokio::time::Instant::now();
        let callers = (0..power.slots).map(async |caller| {
            let mut done = 0;
            while began.elapsed() < SECOND {
                let key = format!("best-{round}-{caller}-{done}").into_bytes();
                assert_eq!(client.key(&cluster.nodes[0], &key).await.status, 200);
                done += 1;
            }
            done
        });
        let done: u32 = futures_util::future::join_all(callers)
            .await
            .into_iter()
            .sum();
        best = best.max(f64::from(done) / began.elapsed().as_secs_f64());
    }
    let load = Load {
        rate: times * power.capacity(),
        lasts: SECOND * LASTS,
    };
    let next = move |n| (api, format!("cold-{n}").into_bytes());
    let seen = load.run(&client, next, |key, body| key == body).await;
    let goodput = seen.goodput(SECOND * WARM_UP..SECOND * LASTS);
    let refused = seen.only(|sample| matches!(sample.outcome, Outcome::Status(503, _)));
    let untold = seen.count(|outcome| outcome == Outcome::Status(503, false));
    let others = seen.count(|outcome| !matches!(outcome, Outcome::Right | Outcome::Status(503, _)));
    row(
        24,
        "shed with 503 and Retry-After within 50 ms; goodput >= 90 % of the peak",
        format!(
            "{times}x: {goodput:.0} of {best:.0}/s ({:.0} % of the peak); refusals p50 {:.1?}, p99 {:.1?}; {seen}",
            goodput / best * 100.0,
            refused.quantile(0.5),
            refused.quantile(0.99)
        ),
    );
    assert!(!refused.samples.is_empty(), "{seen}");
    assert_eq!(untold, 0, "{seen}");
    promised(goodput >= 0.9 * best, format!("{goodput} of {best}"))?;
    promised(others <= seen.samples.len() / 100, &seen)?;
    promised(
        refused.quantile(0.5) <= Duration::from_millis(50) + super::SLACK,
        refused,
    )
}

#[tokio::test]
async fn twice_what_the_origin_can_take() {
    let _busy = busy().await;
    calm(async || overloaded(2.0).await).await;
}

#[tokio::test]
async fn ten_times_what_the_origin_can_take() {
    let _busy = busy().await;
    calm(async || overloaded(10.0).await).await;
}
