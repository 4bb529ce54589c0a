use std::time::{Duration, Instant};

use clap::Parser as _;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use serde_json::{Value, json};

use super::super::keys::Input;
use super::super::model::Step;
use super::super::poll::Sample;
use super::*;
use crate::cli::{Cli, Command, TopArgs};

fn args(group: Option<&str>) -> TopArgs {
    let line = ["gagglectl", "top", "--admin-addr", "127.0.0.1:9990"];
    let group = group.map(|group| ["--group", group]);
    match Cli::parse_from(line.into_iter().chain(group.into_iter().flatten())).command {
        Command::Top(args) => args,
        other => panic!("{other:?}"),
    }
}

fn node(at: u64, gets: u64) -> Value {
    let counters = |gets: u64, bytes: u64| {
        json!({"gets": gets, "hits": gets / 2, "client_gets": gets, "client_hits": gets / 2,
            "bytes": bytes, "limit_bytes": 64 << 20, "entries": 10, "loads_in_flight": 3})
    };
    json!({"name": format!("gaggle-{at}"), "address": format!("http://10.0.0.{at}:8001"),
        "self": at == 0, "reached": true, "error": null, "rtt_seconds": 0.0012,
        "status": {"version": "0.1.0", "state": "serving", "generation": 1, "uptime_seconds": 61.5,
            "admin": format!("http://127.0.0.1:{}", 9990 + at),
            "ring": {"hash": "1f", "members": [{"name": "gaggle-0", "up": true}]},
            "groups": {"scores": counters(gets, 16 << 20), "users": counters(0, 0)}}})
}

fn down(at: u64) -> Value {
    json!({"name": format!("gaggle-{at}"), "address": "http://10.0.0.9:8001", "self": false,
        "reached": false, "error": "connection refused", "rtt_seconds": null, "status": null})
}

fn history() -> Value {
    let rising: Vec<Option<f64>> = (0..360)
        .map(|at| (at >= 300).then(|| f64::from(at - 299)))
        .collect();
    let half: Vec<Option<f64>> = rising.iter().map(|n| n.map(|n| n / 2.0)).collect();
    let millis: Vec<Option<f64>> = rising.iter().map(|n| n.map(|n| n / 1e3)).collect();
    let series = json!({"client_gets": rising, "client_hits": half, "peer_gets": half,
        "peer_hits": half, "origin_loads": half, "origin_errors": half, "peer_loads": half,
        "shed": half, "stale": half, "bytes": half, "load_p50": millis, "load_p99": millis});
    json!({"now": 1.0, "interval_seconds": 10, "points": 360, "series": series,
        "groups": {"scores": series, "users": series}})
}

fn sample(at: Instant, nodes: &[Value], hot: Option<&str>) -> Sample {
    let cluster = json!({"node": "gaggle-0", "nodes": nodes});
    let keys = json!({"group": hot, "sampled": 100, "keys": [
        {"key": "Tom\u{1b}[2J", "key64": "VG9t", "gets_per_second": 1234.0, "share": 0.25,
            "owner": "http://10.0.0.1:8001", "owner_name": "gaggle-1", "self": false},
        {"key": null, "key64": "/w==", "gets_per_second": 2.0, "share": 0.01,
            "owner": "http://10.0.0.1:8001", "owner_name": "gaggle-1", "self": false}]});
    Sample {
        at,
        entry: Some("127.0.0.1:9990".parse().unwrap()),
        cluster: Ok(serde_json::from_value(cluster).unwrap()),
        plotted: Some("127.0.0.1:9990".parse().unwrap()),
        history: Ok(serde_json::from_value(history()).unwrap()),
        hot: hot.map(|group| (group.to_owned(), Ok(serde_json::from_value(keys).unwrap()))),
    }
}

fn model(has_colours: bool) -> Model {
    let mut model = Model::new(&args(None), has_colours);
    let start = Instant::now();
    model.take(sample(start, &[node(0, 100), node(1, 100), down(2)], None));
    let second = start + Duration::from_secs(2);
    model.take(sample(
        second,
        &[node(0, 300), node(1, 100), down(2)],
        Some("scores"),
    ));
    model
}

fn drawn(model: &Model, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let cells: Vec<&str> = buffer.content().iter().map(Cell::symbol).collect();
    cells.chunks(width).map(<[&str]>::concat).collect()
}

/// The first line that has all of it.
fn line_of<'l>(lines: &'l [String], parts: &[&str]) -> &'l str {
    lines
        .iter()
        .find(|line| parts.iter().all(|part| line.contains(part)))
        .unwrap_or_else(|| panic!("no line has {parts:?}:\n{}", lines.join("\n")))
}

#[test]
fn eighty_by_twenty_four_shows_all_that_there_is() {
    let lines = lines(&drawn(&model(true), 80, 24));
    let top = "gagglectl top  127.0.0.1:9990  2 of 3 nodes up  group (all)  last 15 min";
    assert!(lines[0].starts_with(top), "{}", lines[0]);
    line_of(
        &lines,
        &[
            "hits",
            "of clients' gets 50.0%",
            "gets/s",
            "clients 60",
            "peers 30",
        ],
    );
    line_of(
        &lines,
        &[
            "loads/s",
            "origin 30",
            "errors 30",
            "load ms",
            "p50 60",
            "p99 60",
        ],
    );
    // 200 gets in two seconds; half of them are hits. Two groups have three loads each.
    line_of(&lines, &[">gaggle-0", "100", "50.0%", "6", "1.2"]);
    line_of(&lines, &[" gaggle-1", "0", "-"]);
    line_of(&lines, &["gaggle-2", "DOWN"]);
    line_of(&lines, &["scores", "##", "32.0M of 128.0M"]);
    line_of(&lines, &["hottest keys of scores"]);
    line_of(&lines, &["Tom\\u{1b}", "1.23k", "25.0%", "gaggle-1"]);
    line_of(&lines, &["base64 /w==", "1.0%"]);
    assert!(lines[23].starts_with("q quit  p pause  g group"));
    // Both curves of a plot are there: one of braille, one of dots.
    assert!(lines[1..12].concat().contains('•'));
    let braille = |c: char| ('\u{2801}'..='\u{28FF}').contains(&c);
    assert!(lines[2..12].concat().contains(braille));
}

#[test]
fn a_long_name_keeps_its_end() {
    assert_eq!(fitted("127.0.0.1:8001", 14), "127.0.0.1:8001");
    assert_eq!(fitted("127.0.0.1:8001", 6), "…:8001");
    let mut model = model(true);
    let mut far = node(1, 5);
    far["name"] = "node-1.cache.internal:8001".into();
    model.take(sample(Instant::now(), &[node(0, 100), far], None));
    line_of(&lines(&drawn(&model, 80, 24)), &["…", "ternal:8001"]);
}

#[test]
fn without_colours_no_cell_has_one_and_what_is_down_still_stands_out() {
    let has_colour = |buffer: &Buffer| {
        let mut cells = buffer.content().iter();
        cells.any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(has_colour(&drawn(&model(true), 80, 24)));
    let plain = drawn(&model(false), 80, 24);
    assert!(!has_colour(&plain));
    let text = lines(&plain);
    let row = text.iter().position(|line| line.contains("DOWN")).unwrap();
    let cell = &plain[(1, u16::try_from(row).unwrap())];
    assert!(cell.modifier.contains(Modifier::REVERSED));
}

#[test]
fn every_size_is_drawn() {
    let model = model(true);
    for (width, height) in [(1, 1), (20, 5), (59, 24), (60, 16), (81, 25), (300, 100)] {
        let text = lines(&drawn(&model, width, height)).concat();
        let fits = width >= MIN_WIDTH && height >= MIN_HEIGHT;
        assert_eq!(text.contains("q quit"), fits, "{width} by {height}");
    }
    // Before anything is known.
    let nothing = Model::new(&args(Some("scores")), true);
    let text = lines(&drawn(&nothing, 80, 24)).concat();
    assert!(text.contains("no history of this node yet"), "{text}");
}

#[test]
fn keys_choose_what_is_shown_and_what_is_asked() {
    let mut model = model(true);
    assert_eq!(model.wish().group.as_deref(), Some("scores"), "the first");
    assert_eq!(model.wish().node, None);
    assert_eq!(model.press(Input::NextGroup), Step::Ask);
    assert_eq!(model.press(Input::NextGroup), Step::Ask);
    assert_eq!(model.wish().group.as_deref(), Some("users"));
    let text = lines(&drawn(&model, 80, 24));
    assert!(text[0].contains("group users"), "{}", text[0]);
    assert_eq!(model.press(Input::NextGroup), Step::Ask);
    assert_eq!(model.group, None, "behind the last come all");

    // The node that does not answer is passed over.
    assert_eq!(model.press(Input::NextNode), Step::Ask);
    let other = model.wish().node.clone().unwrap();
    assert_eq!(other.to_string(), "127.0.0.1:9991");
    assert_eq!(model.press(Input::NextNode), Step::Ask);
    assert_eq!(model.wish().node, None, "the one that is asked anyway");

    assert_eq!(model.press(Input::LongerSpan), Step::Draw);
    assert_eq!(model.press(Input::LongerSpan), Step::Draw);
    assert!((model.span() - 3600.0).abs() < 1.0);
    assert_eq!(model.press(Input::Quit), Step::Quit);
}

#[test]
fn a_pause_keeps_the_picture_and_a_failure_is_shown_with_it() {
    let mut model = model(true);
    assert_eq!(model.press(Input::Pause), Step::Ask);
    assert!(model.wish().paused);
    let before = model.rates.clone();
    model.take(sample(
        Instant::now() + Duration::from_secs(9),
        &[node(0, 9999)],
        None,
    ));
    assert_eq!(model.rates, before);
    assert!(lines(&drawn(&model, 80, 24))[0].contains("PAUSED"));
    assert_eq!(model.press(Input::Pause), Step::Ask);
    let mut lost = sample(Instant::now() + Duration::from_secs(10), &[], None);
    lost.cluster = Err("127.0.0.1:9990: cannot be reached: connection refused".to_owned());
    model.take(lost);
    let text = lines(&drawn(&model, 80, 24));
    assert!(text[23].starts_with("127.0.0.1:9990: cannot be reached"));
    line_of(&text, &[">gaggle-0", "100"]);
}
