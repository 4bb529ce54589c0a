use std::time::Duration;

use hyper::Version;
use tokio::{task::JoinSet, time::advance};

use super::*;
use crate::{Options, activity::Open};

const SECOND: Duration = Duration::from_secs(1);

/// Connections by number.
struct Crowd {
    roster: Roster,
    ids: Vec<Id>,
    activities: Vec<Arc<Activity>>,
    _tasks: JoinSet<()>,
}

impl Crowd {
    fn of(size: usize) -> Self {
        let mut tasks = JoinSet::new();
        let (mut roster, mut ids, mut activities) = (Roster::new(), Vec::new(), Vec::new());
        for _ in 0..size {
            let id = tasks.spawn(std::future::pending()).id();
            let activity = Arc::new(Activity::new(&Options::default()));
            roster.joined(id, Arc::clone(&activity), Instant::now());
            ids.push(id);
            activities.push(activity);
        }
        Self {
            roster,
            ids,
            activities,
            _tasks: tasks,
        }
    }

    fn begin(&self, number: usize) -> Open {
        self.activities[number].polled(Instant::now());
        self.activities[number].begin(Version::HTTP_11)
    }

    async fn use_for_a_second(&self, number: usize) {
        let open = self.begin(number);
        advance(SECOND).await;
        self.activities[number].polled(Instant::now());
        drop(open);
    }

    fn room(&mut self) -> Room {
        self.roster.make_room(Instant::now())
    }

    /// Those that are asked to leave.
    fn asked(&self) -> Vec<usize> {
        let is_asked = |&number: &usize| {
            let (report, _) = mpsc::unbounded_channel();
            self.activities[number].standing(self.ids[number], &report) == Standing::Leaving
        };
        (0..self.ids.len()).filter(is_asked).collect()
    }

    /// How often room was requested before it was certain that there is none.
    fn calls_until_none(&mut self) -> usize {
        let calls = (0..1_000).take_while(|_| self.room() == Room::Unknown);
        calls.count()
    }
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_goes_first() {
    let mut crowd = Crowd::of(4);
    for number in [2, 0, 3, 1, 2] {
        crowd.use_for_a_second(number).await;
    }
    assert_eq!(crowd.room(), Room::Asked);
    assert_eq!(crowd.asked(), [0]);
    assert_eq!(crowd.room(), Room::Asked);
    assert_eq!(crowd.asked(), [0, 3]);
    crowd.roster.left(crowd.ids[0]);
    crowd.use_for_a_second(1).await;
    assert_eq!(crowd.room(), Room::Asked);
    assert_eq!(crowd.asked(), [0, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_has_a_second() {
    let mut crowd = Crowd::of(2);
    assert_eq!(crowd.room(), Room::None);
    advance(SECOND / 2).await;
    assert_eq!(crowd.room(), Room::None);
    advance(SECOND / 2).await;
    assert_eq!(crowd.room(), Room::Asked);
    assert_eq!(crowd.room(), Room::Asked);
    assert_eq!(crowd.room(), Room::None);
}

#[tokio::test(start_paused = true)]
async fn a_busy_one_is_found_when_it_is_idle() {
    let mut crowd = Crowd::of(2);
    let (first, _second) = (crowd.begin(0), crowd.begin(1));
    assert_eq!(crowd.room(), Room::None);
    drop(first);
    crowd.roster.idle().await;
    assert_eq!(crowd.room(), Room::Asked);
    assert_eq!(crowd.asked(), [0]);
    assert_eq!(crowd.room(), Room::None);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_as_its_connection_is_asked_keeps_it() {
    let mut crowd = Crowd::of(1);
    crowd.use_for_a_second(0).await;
    assert_eq!(crowd.room(), Room::Asked);
    crowd.use_for_a_second(0).await;
    assert_eq!(crowd.asked(), Vec::<usize>::new());
    assert_eq!(crowd.room(), Room::Asked);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_busy_connections_are_looked_at_once() {
    const SIZE: usize = 10_000;
    let mut crowd = Crowd::of(SIZE);
    let mut open: Vec<Open> = (0..SIZE).map(|number| crowd.begin(number)).collect();
    let calls = crowd.calls_until_none();
    assert!(calls <= SIZE / LOOKS + 1, "{calls} calls");
    assert_eq!(crowd.calls_until_none(), 0);
    assert!(crowd.roster.spare.is_empty());
    // Each check of one of them belongs to a request.
    open.pop();
    assert_eq!(crowd.room(), Room::Asked);
    assert_eq!(crowd.asked(), [SIZE - 1]);
    assert_eq!(crowd.room(), Room::None);
}

#[tokio::test(start_paused = true)]
async fn what_has_left_is_forgotten() {
    let mut crowd = Crowd::of(100);
    let busy = crowd.begin(7);
    crowd.room();
    for id in crowd.ids.clone() {
        crowd.roster.left(id);
    }
    drop(busy);
    crowd.roster.idle().await;
    assert!(crowd.roster.spare.is_empty() && crowd.roster.connections.is_empty());
    assert_eq!(crowd.room(), Room::None);
}
