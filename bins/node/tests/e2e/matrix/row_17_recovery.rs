//! The origin comes back.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::backend::Power;
use crate::support::{Backend, Client, Cluster, Load, Setup, Trouble, busy, calm, promised, row};

const SECOND: Duration = Duration::from_secs(1);
const BEFORE: u32 = 2;
const TROUBLE: u32 = 6;
const BOUND: u32 = 10;

/// Looks for the first second after the trouble from which on goodput is normal for two seconds,
/// at 80 % of the origin's capacity.
async fn recovers(trouble: Trouble, finishes_abandoned: bool) -> Result<(), String> {
    let power = Power {
        slots: 8,
        takes: Duration::from_millis(40),
        finishes_abandoned,
    };
    let backend = Backend::serve(power, |key| Some(key.to_vec())).await;
    let setup = Setup {
        origin: backend.table(),
        ..Setup::default()
    };
    let group = "load-timeout = \"1s\"\nmax-origin-loads = 8";
    let cluster = Cluster::start(1, &setup.group(group)).await;
    let rate = 0.8 * power.capacity();
    let load = Load {
        rate,
        lasts: SECOND * (BEFORE + TROUBLE + BOUND + 2),
    };
    let api = cluster.nodes[0].api;
    let next = move |n| (api, format!("cold-{n}").into_bytes());
    let client = Client::new();
    let loading = load.run(&client, next, |key, body| key == body);
    let curing = async {
        sleep(SECOND * BEFORE).await;
        backend.set(trouble).await;
        sleep(SECOND * TROUBLE).await;
        backend.set(Trouble::None).await;
    };
    let (seen, ()) = tokio::join!(loading, curing);
    let goodput = |second: u32| seen.goodput(SECOND * second..SECOND * (second + 1));
    let cured = BEFORE + TROUBLE;
    let normal = |from: u32| goodput(from) + goodput(from + 1) >= 2.0 * 0.9 * rate;
    let back = (cured..=cured + BOUND).find(|second| normal(*second));
    let by_second: Vec<_> = (0..cured + BOUND + 2)
        .map(|second| goodput(second) as u32)
        .collect();
    row(
        17,
        "normal goodput within 10 s at 80 % load",
        format!(
            "{trouble:?}, work abandoned is finished: {finishes_abandoned}: normal {:?} s after the cure; by second {by_second:?} of {rate:.0}",
            back.map(|second| second - cured)
        ),
    );
    promised(back.is_some(), format!("{trouble:?}: {by_second:?}"))
}

#[tokio::test]
async fn the_origin_was_slow() {
    let _busy = busy().await;
    calm(async || recovers(Trouble::Slow(2 * SECOND), true).await).await;
    calm(async || recovers(Trouble::Slow(2 * SECOND), false).await).await;
}

#[tokio::test]
async fn the_origin_hung() {
    let _busy = busy().await;
    calm(async || recovers(Trouble::Hung, true).await).await;
    calm(async || recovers(Trouble::Hung, false).await).await;
}

#[tokio::test]
async fn the_origin_refused() {
    let _busy = busy().await;
    calm(async || recovers(Trouble::Refusing, false).await).await;
}

#[tokio::test]
async fn the_origin_failed() {
    let _busy = busy().await;
    calm(async || recovers(Trouble::Failing, false).await).await;
}
