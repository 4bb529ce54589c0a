use super::*;

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Duration = flow::INTERVAL;

fn rules() -> Rules {
    Rules {
        max_wait: 1_000 * MS,
        most: 100,
        short: 4,
        target: 20 * MS,
        rate: Some(100.0),
    }
}

struct Script {
    queue: Queue<u32>,
    now: Instant,
    refused: Vec<u32>,
}

impl Script {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            queue: Queue::new(now),
            now,
            refused: Vec::new(),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.queue.is_due(self.now) {
            let refused = self.queue.tick(self.now, &rules());
            self.refused.extend(refused);
        }
    }

    /// Whether there was room.
    fn comes(&mut self, item: u32) -> bool {
        self.queue.count_came();
        match self.queue.push(self.now, item, &rules()) {
            Pushed::Queued { refused, .. } => {
                self.refused.extend(refused);
                true
            }
            Pushed::Full { oldest, .. } => {
                self.queue.put_back(oldest);
                self.queue.count_refused();
                false
            }
        }
    }

    fn starts(&mut self) -> Option<u32> {
        let item = self.queue.pop()?;
        self.queue.count_started(1);
        Some(item)
    }
}

/// Fills the queue until it refuses, and continues to the next interval.
fn under_pressure() -> Script {
    let mut script = Script::new();
    for item in 0..100 {
        assert!(script.comes(item));
    }
    assert!(!script.comes(100));
    script.pass(INTERVAL);
    assert!(script.queue.under_pressure());
    script
}

/// Under pressure, and the waiters from before it have been started.
fn newest_first() -> Script {
    let mut script = under_pressure();
    for item in 0..100 {
        assert_eq!(script.starts(), Some(item));
    }
    script
}

#[test]
fn without_pressure_the_oldest_is_next_and_the_newcomer_is_refused() {
    let mut script = Script::new();
    for item in 0..100 {
        assert!(script.comes(item));
    }
    assert!(!script.comes(100));
    assert_eq!(script.starts(), Some(0));
    assert!(script.comes(101));
    assert_eq!(script.starts(), Some(1));
    assert!(script.refused.is_empty());
}

#[test]
fn a_burst_with_nothing_after_it_is_no_pressure() {
    let mut script = Script::new();
    for item in 0..90 {
        assert!(script.comes(item));
    }
    for expected in 0..90 {
        script.pass(10 * MS);
        assert_eq!(script.starts(), Some(expected));
        assert!(!script.queue.under_pressure());
    }
    assert!(script.refused.is_empty());
}

#[test]
fn a_long_wait_while_more_come_than_are_started_is_pressure() {
    let mut script = Script::new();
    let mut item = 0;
    while !script.queue.under_pressure() {
        item += 1;
        assert!(script.comes(item) && item < 100);
        if item % 2 == 0 {
            script.starts();
        }
        script.pass(20 * MS);
    }
    // The head of the queue arrived at half of the time.
    assert!(item > 50, "after {item}");
}

#[test]
fn who_came_before_the_pressure_keeps_their_place() {
    let mut script = under_pressure();
    // The rest of the time is theirs: new callers are refused immediately.
    assert!(!script.comes(200));
    for item in 0..97 {
        assert_eq!(script.starts(), Some(item));
    }
    assert!(script.comes(201));
    assert_eq!(script.starts(), Some(97));
    assert!(script.refused.is_empty());
}

#[test]
fn under_pressure_the_newest_is_next_and_who_waited_longer_than_the_target_is_refused() {
    let mut script = newest_first();
    for item in 200..203 {
        assert!(script.comes(item));
        script.pass(8 * MS);
    }
    assert_eq!(script.starts(), Some(202));
    assert!(script.refused.is_empty());
    // 200 arrived 24 ms ago.
    assert!(script.comes(203));
    assert_eq!(script.refused, [200]);
    assert_eq!(script.starts(), Some(203));
    assert_eq!(script.starts(), Some(201));
}

#[test]
fn a_slot_never_finds_the_queue_empty_because_of_a_refusal() {
    let mut script = newest_first();
    assert!(script.comes(200));
    // Long over the target, but no caller arrived since.
    script.pass(90 * MS);
    assert_eq!(script.starts(), Some(200));
}

#[test]
fn under_pressure_the_queue_is_short() {
    let mut script = newest_first();
    for item in 200..300 {
        assert!(script.comes(item));
    }
    assert_eq!(script.queue.len(), 8);
    assert_eq!(script.refused, (200..292).collect::<Vec<_>>());
}

#[test]
fn pressure_ends_with_an_interval_in_which_nobody_waited() {
    let mut script = newest_first();
    script.pass(INTERVAL);
    assert!(script.queue.under_pressure());
    script.pass(INTERVAL);
    assert!(!script.queue.under_pressure());
}

#[test]
fn pressure_ends_when_clearly_fewer_arrive_than_are_started() {
    let mut script = under_pressure();
    for _ in 0..10 {
        script.starts();
    }
    for item in 0..8 {
        script.comes(item);
    }
    script.pass(INTERVAL);
    assert!(!script.queue.under_pressure());
    assert_eq!(script.queue.len(), 90);
}

#[test]
fn pressure_ends_after_a_second_in_which_fewer_came_than_can_be_started() {
    let mut script = newest_first();
    // One caller always waits; 80 of 100 a second arrive.
    assert!(script.comes(0));
    let mut ended = None;
    for n in 1..200 {
        script.comes(n);
        script.starts();
        script.pass(12 * MS + 500 * Duration::from_micros(1));
        if !script.queue.under_pressure() {
            ended = Some(n);
            break;
        }
    }
    let ended = ended.unwrap();
    assert!((80..=110).contains(&ended), "after {ended}");
}

#[test]
fn pressure_stays_while_more_come_than_can_be_started() {
    let mut script = newest_first();
    for n in 0..400 {
        script.comes(n);
        if n % 6 != 0 {
            script.starts();
        }
        script.pass(8 * MS);
        assert!(script.queue.under_pressure());
    }
    // One in six, except the last few.
    assert!(
        script.refused.len() >= 60,
        "{} refused",
        script.refused.len()
    );
}

#[test]
fn a_long_silence_is_forgotten() {
    let mut script = newest_first();
    script.pass(3_600_000 * MS);
    assert!(!script.queue.under_pressure());
    assert!(script.comes(1));
    script.pass(INTERVAL);
    assert!(!script.queue.under_pressure());
    assert_eq!(script.starts(), Some(1));
}
