use super::*;

const MS: Duration = Duration::from_millis(1);

/// Rounds of as many pieces as the limit allows, or as there are, each as slow as `latency`
/// returns for the number that run.
fn rounds(auto: &mut Auto, now: &mut Instant, rounds: usize, latency: impl Fn(usize) -> Duration) {
    for _ in 0..rounds {
        let (started, running) = (*now, auto.limit());
        *now += latency(running);
        for _ in 0..running {
            auto.succeeded(*now, started, running);
        }
    }
}

/// Up to `knee` at a time the work is no slower; above that it is slower in proportion.
fn knee(knee: usize) -> impl Fn(usize) -> Duration {
    move |running| (20 * MS).mul_f64((running as f64 / knee as f64).max(1.0))
}

#[test]
fn it_begins_with_a_measurement() {
    let mut now = Instant::now();
    let mut auto = Auto::new(256, now);
    assert_eq!((auto.limit(), auto.found()), (4, 20));
    rounds(&mut auto, &mut now, 4, knee(16));
    assert_eq!(auto.limit(), 20);
}

#[test]
fn it_finds_the_knee_wherever_it_is() {
    for at in [8, 16, 64, 128] {
        let mut now = Instant::now();
        let mut auto = Auto::new(1_000, now);
        rounds(&mut auto, &mut now, 300, knee(at));
        let found = auto.found();
        assert!((at..=at * 5 / 2).contains(&found), "{found} for {at}");
    }
}

#[test]
fn it_does_not_creep_upwards() {
    let mut now = Instant::now();
    let mut auto = Auto::new(1_000, now);
    rounds(&mut auto, &mut now, 300, knee(16));
    let early = auto.found();
    rounds(&mut auto, &mut now, 30_000, knee(16));
    assert!(auto.found() <= early + 2, "{early}, then {}", auto.found());
}

#[test]
fn it_stays_between_the_least_and_the_most() {
    let mut now = Instant::now();
    let mut auto = Auto::new(32, now);
    rounds(&mut auto, &mut now, 300, |_| 5 * MS);
    assert_eq!(auto.limit(), 32);
    for _ in 0..100 {
        now += 200 * MS;
        auto.late(now);
    }
    assert_eq!(auto.limit(), 4);
    assert_eq!(Auto::new(0, now).limit(), 1);
    assert_eq!(Auto::new(2, now).limit(), 2);
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    let mut now = Instant::now();
    let mut auto = Auto::new(256, now);
    rounds(&mut auto, &mut now, 4, knee(16));
    for _ in 0..1_000 {
        let started = now;
        now += 20 * MS;
        auto.succeeded(now, started, 2);
    }
    assert_eq!(auto.found(), 20);
}

#[test]
fn work_that_became_slower_permanently_is_learnt() {
    let mut now = Instant::now();
    let mut auto = Auto::new(256, now);
    rounds(&mut auto, &mut now, 300, knee(64));
    let before = auto.found();
    let slower = |running: usize| 10 * knee(64)(running);
    rounds(&mut auto, &mut now, 20, slower);
    assert!(auto.found() < before / 2);
    rounds(&mut auto, &mut now, 600, slower);
    assert!(auto.found() >= 64, "{before}, then {}", auto.found());
}

#[test]
fn late_work_lowers_it_once_in_a_while() {
    let mut now = Instant::now();
    let mut auto = Auto::new(256, now);
    rounds(&mut auto, &mut now, 4, knee(16));
    for _ in 0..100 {
        auto.late(now);
    }
    assert_eq!(auto.found(), 18);
}
