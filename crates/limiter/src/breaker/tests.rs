use super::*;

const MS: Duration = Duration::from_millis(1);
const LIMIT: usize = 8;

struct Script {
    breaker: Breaker,
    now: Instant,
}

impl Script {
    fn new() -> Self {
        let now = Instant::now();
        let options = BreakerOptions {
            jitter: 0.0,
            ..BreakerOptions::default()
        };
        Self {
            breaker: Breaker::new(options, fastrand::Rng::with_seed(1), now),
            now,
        }
    }

    fn outcome(&mut self, failed: bool) -> Option<Change> {
        self.breaker
            .record(self.now, self.now, false, failed, LIMIT)
    }

    fn state(&self) -> BreakerState {
        self.breaker.state(self.now)
    }

    /// Fails until it opens; returns the open time, and the number of failures before.
    fn fail(&mut self) -> (Duration, usize) {
        for n in 1..1_000 {
            self.now += 10 * MS;
            if let Some(Change::Opened { length, .. }) = self.outcome(true) {
                return (length, n);
            }
        }
        panic!("it never opens");
    }

    fn probe(&mut self, failed: bool) -> Option<Change> {
        assert_eq!(self.breaker.admit(self.now, true), Admission::Probe);
        self.breaker.record(self.now, self.now, true, failed, LIMIT)
    }
}

#[test]
fn it_opens_after_a_row_of_failures_that_lasts() {
    let mut script = Script::new();
    let (length, failures) = script.fail();
    // Eight are enough in number; the first and the last are 200 ms apart.
    assert_eq!((length, failures), (500 * MS, 21));
    assert_eq!(script.state(), BreakerState::Open);
    assert_eq!(
        script.breaker.admit(script.now + 100 * MS, true),
        Admission::Refused {
            retry_after: 400 * MS
        }
    );
}

#[test]
fn many_failures_at_one_moment_do_not_open_it() {
    let mut script = Script::new();
    for _ in 0..100 {
        assert_eq!(script.outcome(true), None);
    }
    script.now += 10 * MS;
    assert_eq!(script.outcome(false), None);
    assert_eq!(script.state(), BreakerState::Closed);
}

#[test]
fn work_of_which_a_part_fails_does_not_open_it() {
    for share in [0.1, 0.3, 0.6, 0.9] {
        let mut script = Script::new();
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..100_000 {
            script.now += MS;
            assert_eq!(script.outcome(random.f64() < share), None, "{share}");
        }
    }
}

#[test]
fn an_outage_after_good_times_is_noticed_in_a_second() {
    let mut script = Script::new();
    for _ in 0..10_000 {
        script.now += MS;
        script.outcome(false);
    }
    // Far from half of the window.
    assert_eq!(script.fail(), (500 * MS, 101));
}

#[test]
fn a_failed_probe_doubles_the_time_up_to_the_most() {
    let mut script = Script::new();
    let (mut length, _) = script.fail();
    for expected in [1_000, 2_000, 4_000, 4_000] {
        script.now += length - MS;
        assert_eq!(
            script.breaker.admit(script.now, true),
            Admission::Refused { retry_after: MS }
        );
        script.now += MS;
        assert_eq!(script.state(), BreakerState::HalfOpen);
        let Some(Change::Opened { length: next, why }) = script.probe(true) else {
            panic!("it did not open");
        };
        assert_eq!((next, why), (expected * MS, Why::ProbeFailed));
        length = next;
    }
    assert_eq!(script.breaker.opened(), 5);
}

#[test]
fn one_probe_runs_at_a_time_and_a_lost_one_makes_room() {
    let mut script = Script::new();
    let (length, _) = script.fail();
    script.now += length;
    assert!(matches!(
        script.breaker.admit(script.now, false),
        Admission::Refused { .. }
    ));
    assert_eq!(script.breaker.admit(script.now, true), Admission::Probe);
    assert!(matches!(
        script.breaker.admit(script.now, true),
        Admission::Refused { .. }
    ));
    // Work that started before has no effect.
    assert_eq!(script.outcome(false), None);
    assert_eq!(script.state(), BreakerState::HalfOpen);
    script.breaker.probe_lost(script.now);
    assert_eq!(script.probe(false), None);
    assert_eq!(script.state(), BreakerState::Closing);
}

#[test]
fn it_closes_by_slow_start() {
    let mut script = Script::new();
    let (length, _) = script.fail();
    script.now += length;
    script.probe(false);
    for allowed in 1..LIMIT {
        assert_eq!(script.breaker.allowed(), Some(allowed));
        assert_eq!(script.state(), BreakerState::Closing);
        script.now += MS;
        let change = script.outcome(false);
        assert_eq!(change.is_some(), allowed + 1 == LIMIT);
    }
    assert_eq!(script.breaker.allowed(), None);
    // The next time it opens for the first length again.
    assert_eq!(script.fail().0, 500 * MS);
}

#[test]
fn closing_takes_two_seconds_at_most() {
    let mut script = Script::new();
    let (length, _) = script.fail();
    script.now += length;
    script.probe(false);
    script.now += Duration::from_secs(2);
    assert_eq!(script.outcome(false), Some(Change::Closed));
}

#[test]
fn failures_while_it_closes_open_it_again_for_longer() {
    let mut script = Script::new();
    let (length, _) = script.fail();
    let before = script.now;
    script.now += length;
    script.probe(false);
    script.now += MS;
    // Of work that started before the probe succeeded.
    for _ in 0..5 {
        let change = script
            .breaker
            .record(script.now, before, false, true, LIMIT);
        assert_eq!(change, None);
    }
    assert_eq!(script.outcome(true), None);
    assert_eq!(
        script.outcome(true),
        Some(Change::Opened {
            length: 1_000 * MS,
            why: Why::FailedWhileClosing
        })
    );
}

#[test]
fn it_opens_when_all_is_given_up() {
    let mut script = Script::new();
    assert!(matches!(
        script.breaker.all_given_up(script.now),
        Some(Change::Opened {
            why: Why::AllGivenUp,
            ..
        })
    ));
    assert_eq!(script.breaker.all_given_up(script.now), None);
}

#[test]
fn old_outcomes_do_not_count() {
    let mut script = Script::new();
    for _ in 0..10_000 {
        script.now += MS;
        script.outcome(false);
    }
    script.now += Duration::from_secs(11);
    assert_eq!(script.fail().1, 21);
}

#[test]
fn the_open_time_varies_by_a_fifth() {
    let now = Instant::now();
    let lengths: Vec<Duration> = (0..100)
        .map(|seed| {
            let random = fastrand::Rng::with_seed(seed);
            let mut breaker = Breaker::new(BreakerOptions::default(), random, now);
            let Some(Change::Opened { length, .. }) = breaker.all_given_up(now) else {
                panic!("it did not open");
            };
            length
        })
        .collect();
    let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    assert!(*least >= 400 * MS && *least < 430 * MS);
    assert!(*most <= 600 * MS && *most > 570 * MS);
}
