//! Panics in the program's own log. One test: the hook belongs to the process.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::thread;

use gaggle_telemetry::{LogOptions, logging};

#[test]
fn a_panic_goes_through_the_log_and_the_next_one_too() {
    let options = LogOptions {
        level: "debug".into(),
        ..LogOptions::default()
    };
    let log = logging::init(&options).unwrap();
    // Standard error belongs to the test's runner: what is seen here is that both go into the
    // log, as one kind each.
    for _ in 0..3 {
        let panicked = thread::spawn(|| panic!("a reason that stands in the code")).join();
        assert!(panicked.is_err());
    }
    assert_eq!(log.lines_left_out(), 2);
    assert!(log.flush(std::time::Duration::from_secs(60)));
    assert_eq!(log.lines_lost(), 0);
}
