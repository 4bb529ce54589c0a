use std::task::Wake;

use tokio::time::advance;

use super::*;

const HEAD: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(75);
const STALL: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

fn opened() -> Arc<Activity> {
    Arc::new(Activity::new(&Options {
        header_read_timeout: HEAD,
        keep_alive_idle: IDLE,
        stall_timeout: STALL,
        ..Options::default()
    }))
}

fn due(activity: &Activity) -> Option<Due> {
    activity.due(Waker::noop())
}

/// Time passes, and then the connection's task runs.
async fn pass(activity: &Activity, time: Duration) {
    advance(time).await;
    activity.polled(Instant::now());
}

fn cut(after: Duration, why: Why) -> Option<Due> {
    Some(Due::cut(Instant::now(), after, why))
}

#[tokio::test(start_paused = true)]
async fn dripping_headers_do_not_move_the_first_deadline() {
    let activity = opened();
    let deadline = cut(HEAD, Why::Head);
    pass(&activity, HEAD / 2).await;
    activity.has_read(0).unwrap();
    assert_eq!(due(&activity), deadline);
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_all_the_time_it_wants() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let activity = opened();
        let _open = activity.begin(version);
        pass(&activity, IDLE * 100).await;
        assert_eq!(due(&activity), None, "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_alive_connection_is_idle_until_the_next_head_begins() {
    let activity = opened();
    drop(activity.begin(Version::HTTP_11));
    let idle = Due {
        at: Instant::now() + IDLE,
        verdict: Verdict::Retire,
    };
    assert_eq!(due(&activity), Some(idle));
    pass(&activity, HEAD * 2).await;
    assert_eq!(due(&activity), Some(idle));

    activity.has_read(0).unwrap();
    assert_eq!(due(&activity), cut(HEAD, Why::Head));
    let deadline = due(&activity);
    pass(&activity, HEAD / 2).await;
    activity.has_read(0).unwrap();
    assert_eq!(due(&activity), deadline);
    let _open = activity.begin(Version::HTTP_11);
    assert_eq!(due(&activity), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_being_written_is_not_idle() {
    let activity = opened();
    drop(activity.begin(Version::HTTP_11));
    for _ in 0..10 {
        pass(&activity, IDLE - HEAD).await;
        activity.has_written(1 << 20);
    }
    let at = Instant::now() + IDLE;
    assert_eq!(
        due(&activity),
        Some(Due {
            at,
            verdict: Verdict::Retire
        })
    );
    activity.retire();
    pass(&activity, STALL / 2).await;
    activity.has_written(1 << 20);
    assert_eq!(due(&activity), cut(STALL, Why::Closing));
}

#[tokio::test(start_paused = true)]
async fn a_full_socket_has_a_deadline_until_it_takes_bytes() {
    let activity = opened();
    let _open = activity.begin(Version::HTTP_11);
    activity.is_blocked();
    let deadline = cut(STALL, Why::Response);
    pass(&activity, STALL / 2).await;
    activity.is_blocked();
    assert_eq!(due(&activity), deadline);
    activity.has_written(1 << 20);
    assert_eq!(due(&activity), None);
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_keep_an_http2_connection() {
    let activity = opened();
    drop(activity.begin(Version::HTTP_2));
    let idle = Due {
        at: Instant::now() + IDLE,
        verdict: Verdict::Retire,
    };
    pass(&activity, STALL).await;
    activity.has_read(0).unwrap();
    activity.has_written(1 << 20);
    assert_eq!(due(&activity), Some(idle));
}

#[tokio::test(start_paused = true)]
async fn an_http2_response_waits_for_its_client_only_while_no_handler_works() {
    let activity = opened();
    let mut stalled = activity.begin(Version::HTTP_2);
    let busy = activity.begin(Version::HTTP_2);
    let unwritten = stalled.clients_turn(1 << 20).unwrap();
    assert_eq!(due(&activity), None);
    drop(busy);
    assert_eq!(due(&activity), cut(STALL, Why::Response));
    pass(&activity, STALL / 2).await;
    stalled.our_turn();
    assert_eq!(due(&activity), None);
    // The client has not taken the part that was passed on.
    let _more = stalled.clients_turn(1 << 20);
    assert_eq!(due(&activity), cut(STALL / 2, Why::Response));
    unwritten.written(1 << 20);
    assert_eq!(due(&activity), cut(STALL, Why::Response));
}

#[tokio::test(start_paused = true)]
async fn an_http2_response_is_open_until_the_last_of_it_is_written() {
    let (report, mut reports) = mpsc::unbounded_channel();
    let id = tokio::spawn(std::future::ready(())).id();
    let activity = opened();
    let mut open = activity.begin(Version::HTTP_2);
    let unwritten = open.clients_turn(64 << 10).unwrap();
    drop(open);
    assert_eq!(activity.standing(id, &report), Standing::Busy);
    activity.stop(Instant::now());
    activity.retire();
    assert_eq!(due(&activity), cut(STALL, Why::Response));
    pass(&activity, STALL / 2).await;
    unwritten.written(1);
    assert_eq!(due(&activity), cut(STALL / 2, Why::Response));
    assert!(reports.try_recv().is_err());
    drop(unwritten);
    assert_eq!(reports.try_recv(), Ok(id));
    assert_eq!(due(&activity), cut(LEAVE, Why::Closing));
}

#[tokio::test(start_paused = true)]
async fn an_http1_response_is_not_counted_twice() {
    let activity = opened();
    let mut open = activity.begin(Version::HTTP_11);
    assert!(open.clients_turn(64 << 10).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_http2_request_wakes_the_connection() {
    struct Woken(Mutex<bool>);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = true;
        }
    }
    let woken = Arc::new(Woken(Mutex::new(false)));
    let activity = opened();
    let open = activity.begin(Version::HTTP_2);
    assert_eq!(activity.due(&Arc::clone(&woken).into()), None);
    drop(open);
    assert!(*woken.0.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_longest_duration_means_never() {
    let activity = Arc::new(Activity::new(&Options {
        header_read_timeout: Duration::MAX,
        ..Options::default()
    }));
    assert!(due(&activity).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_response_in_drops_is_cut() {
    let activity = opened();
    let _open = activity.begin(Version::HTTP_11);
    let mut drops = 0;
    loop {
        activity.is_blocked();
        pass(&activity, STALL / 10).await;
        if due(&activity).is_some_and(|due| due.at <= Instant::now()) {
            break;
        }
        activity.has_written(1_024);
        drops += 1;
    }
    assert_eq!(drops, 9);
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_takes_all_of_a_response() {
    let activity = opened();
    let _open = activity.begin(Version::HTTP_11);
    // 64 KiB a second, which the socket reports once a third of its buffer is free.
    for _ in 0..100 {
        activity.is_blocked();
        pass(&activity, 20 * SECOND).await;
        assert!(due(&activity).is_some_and(|due| due.at > Instant::now()));
        activity.has_written(20 * 64 * 1_024);
        assert_eq!(due(&activity), None);
    }
}

#[tokio::test(start_paused = true)]
async fn each_response_has_a_clock_of_its_own() {
    let activity = opened();
    for _ in 0..10 {
        let _open = activity.begin(Version::HTTP_11);
        activity.is_blocked();
        pass(&activity, STALL / 2).await;
        activity.has_written(1);
        assert_eq!(due(&activity), None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_to_leave_goes_at_once_unless_a_request_has_come() {
    let (report, mut reports) = mpsc::unbounded_channel();
    let id = tokio::spawn(std::future::ready(())).id();
    let is_due = |activity: &Activity| {
        let due = due(activity);
        due.filter(|due| due.at <= Instant::now())
            .map(|due| due.verdict)
    };
    let silent = opened();
    pass(&silent, FAIR_CHANCE).await;
    silent.ask_to_leave(id, report.clone());
    assert_eq!(is_due(&silent), Some(Verdict::Cut(Why::Room)));

    let kept = opened();
    drop(kept.begin(Version::HTTP_11));
    pass(&kept, SECOND).await;
    kept.ask_to_leave(id, report.clone());
    assert_eq!(is_due(&kept), Some(Verdict::Retire));
    let open = kept.begin(Version::HTTP_11);
    assert_eq!(is_due(&kept), None);
    assert_eq!(kept.standing(id, &report), Standing::Busy);
    assert!(reports.try_recv().is_err());
    drop(open);
    assert_eq!(reports.try_recv(), Ok(id));
    assert!(matches!(kept.standing(id, &report), Standing::Spare(_)));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_begins_before_its_connection_is_asked_to_leave_has_a_second() {
    let (report, _reports) = mpsc::unbounded_channel();
    let id = tokio::spawn(std::future::ready(())).id();
    let kept = opened();
    drop(kept.begin(Version::HTTP_11));
    pass(&kept, SECOND).await;
    assert!(matches!(kept.standing(id, &report), Standing::Spare(_)));
    kept.has_read(0).unwrap();
    kept.ask_to_leave(id, report.clone());
    assert_eq!(due(&kept), cut(FAIR_CHANCE, Why::Room));
    // At a shutdown the wait is shorter.
    kept.stop(Instant::now());
    assert_eq!(due(&kept), cut(GRACE, Why::Shutdown));
    let _open = kept.begin(Version::HTTP_11);
    assert_eq!(due(&kept), None);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_a_grace_for_half_a_request() {
    let activity = opened();
    activity.stop(Instant::now());
    assert!(!activity.may_retire());
    assert_eq!(due(&activity), cut(GRACE, Why::Shutdown));
    let open = activity.begin(Version::HTTP_11);
    assert!(open.is_last() && activity.may_retire());
    assert_eq!(due(&activity), None);
}
