//! How many gets a second, beside `redis-server`, by `redis-benchmark`: `just bench-resp`. Needs
//! both, and `taskset`. The rounds alternate, so that what else the machine does meets both sides.
//!
//! `beside_redis serve THREADS` is the side that is measured; `beside_redis idle` measures the
//! memory of idle connections instead.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::panic
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use gaggle_api_resp::{Options, RespServer};
use gaggle_group::{Group, Groups};

const KEYS: usize = 100_000;
const VALUE: [u8; 100] = [b'x'; 100];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", threads] => serve(threads.parse().unwrap()),
        ["idle"] => idle(10_000),
        [] => compare(15),
        [rounds] => compare(rounds.parse().expect("a number of rounds")),
        _ => panic!("unknown arguments"),
    }
}

/// A group on an origin that has every key, with the runtime of a node.
fn serve(threads: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let group = Group::builder("scores")
            .capacity(256 << 20)
            .origin_fn(|_: Bytes| async {
                Ok::<_, std::io::Error>(Some(Bytes::from_static(&VALUE)))
            })
            .build()
            .unwrap();
        let options = Options {
            max_connections: 20_000,
            backlog: 4_096,
            ..Options::default()
        };
        let server = RespServer::bind("127.0.0.1:0", options).await.unwrap();
        println!("{}", server.local_addr().port());
        let serving = server.groups(&Groups::new([group]).unwrap()).unwrap();
        // On a worker, as a node does.
        let serving = tokio::spawn(serving.serve(std::future::pending()));
        let _ = serving.await;
    });
}

struct Side {
    name: &'static str,
    port: u16,
    process: Child,
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn gaggle(cores: &str, threads: usize) -> Side {
    let me = std::env::current_exe().unwrap();
    let mut process = Command::new("taskset")
        .args(["-c", cores])
        .arg(me)
        .args(["serve", &threads.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("taskset");
    let mut port = String::new();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    out.read_line(&mut port).unwrap();
    Side {
        name: "gaggle",
        port: port.trim().parse().unwrap(),
        process,
    }
}

fn redis(cores: &str) -> Side {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = port.local_addr().unwrap().port();
    let process = Command::new("taskset")
        .args(["-c", cores, "redis-server", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--maxclients", "20000"])
        .args(["--tcp-backlog", "4096"])
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server");
    for _ in 0..500 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Side {
        name: "redis",
        port,
        process,
    }
}

/// Has each key in memory: put into Redis, and read through Gaggle.
fn fill(side: &Side) {
    let mut socket = TcpStream::connect(("127.0.0.1", side.port)).unwrap();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    for first in (0..KEYS).step_by(1000) {
        let mut requests = Vec::new();
        let mut answers = 0;
        for n in first..first + 1000 {
            let key = format!("key:{n:012}");
            if side.name == "redis" {
                write!(requests, "*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n$100\r\n").unwrap();
                requests.extend_from_slice(&VALUE);
                requests.extend_from_slice(b"\r\n");
                answers += b"+OK\r\n".len();
            } else {
                write!(requests, "*2\r\n$3\r\nGET\r\n$16\r\n{key}\r\n").unwrap();
                answers += b"$100\r\n\r\n".len() + VALUE.len();
            }
        }
        socket.write_all(&requests).unwrap();
        reader.read_exact(&mut vec![0; answers]).unwrap();
    }
}

/// The processor time that a process has used, in ticks of a hundredth of a second.
fn ticks(side: &Side) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", side.process.id())).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().unwrap())
        .sum()
}

/// Gets a second, and gets in a second of the server's processor time: the first says more on a
/// machine that does nothing besides, the second on any other.
fn measure(side: &Side, cores: &str, pipeline: usize, threads: usize) -> [f64; 2] {
    let requests: u32 = if pipeline > 1 { 1_000_000 } else { 60_000 };
    let mut command = Command::new("taskset");
    command
        .args(["-c", cores, "redis-benchmark", "--csv", "-t", "get"])
        .args(["-p", &side.port.to_string()])
        .args(["-n", &requests.to_string(), "-r", &KEYS.to_string()])
        .args(["-P", &pipeline.to_string(), "-c", "50", "-d", "100"])
        .stderr(Stdio::null());
    if threads > 1 {
        command.args(["--threads", &threads.to_string()]);
    }
    let before = ticks(side);
    let out = command.output().expect("redis-benchmark");
    let used = (ticks(side) - before).max(1);
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    let row = out.lines().find(|line| line.starts_with("\"GET\""));
    let rate = row.and_then(|row| row.split(',').nth(1));
    let rate = rate.and_then(|rate| rate.trim_matches('"').parse().ok());
    let rate = rate.unwrap_or_else(|| panic!("{out}"));
    [rate, f64::from(requests) * 100.0 / used as f64]
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn compare(rounds: usize) {
    for (title, cores, threads, client, client_threads) in [
        ("server on one core, clients on another", "0", 1, "1", 1),
        ("server and clients on two cores", "0,1", 2, "0,1", 1),
    ] {
        let sides = [gaggle(cores, threads), redis(cores)];
        sides.iter().for_each(fill);
        for pipeline in [32, 1] {
            let mut measured = [Vec::new(), Vec::new()];
            for round in 0..rounds {
                // Each goes first as often as the other.
                for n in [round % 2, 1 - round % 2] {
                    measured[n].push(measure(&sides[n], client, pipeline, client_threads));
                }
            }
            println!("{title}, -P {pipeline}, {rounds} rounds:");
            for (n, what) in ["gets a second", "gets in a second of the server's time"]
                .into_iter()
                .enumerate()
            {
                let of = |side: usize| measured[side].iter().map(|m| m[n]).collect::<Vec<_>>();
                let (ours, theirs) = (of(0), of(1));
                let ratios = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
                println!(
                    "    {what}: gaggle {:.0}, redis {:.0}, median of the ratios {:.3}",
                    median(ours),
                    median(theirs),
                    median(ratios)
                );
            }
        }
    }
}

/// Resident memory, in KiB.
fn resident(side: &Side) -> u64 {
    // `taskset` becomes what it starts.
    let status = std::fs::read_to_string(format!("/proc/{}/status", side.process.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What idle connections cost that have each been used once.
fn idle(connections: usize) {
    for side in [gaggle("0,1", 2), redis("0,1")] {
        let before = resident(&side);
        let mut open = Vec::new();
        for _ in 0..connections {
            let mut socket = TcpStream::connect(("127.0.0.1", side.port)).expect("descriptors");
            socket.write_all(b"PING\r\n").unwrap();
            socket.read_exact(&mut [0; 7]).unwrap();
            open.push(socket);
        }
        let at_once = resident(&side);
        // Redis takes buffers back after a few seconds.
        std::thread::sleep(std::time::Duration::from_secs(12));
        let after = resident(&side);
        println!(
            "{}: {connections} connections take {} KiB ({} KiB after 12 s), {} bytes each",
            side.name,
            at_once - before,
            after - before,
            (after - before) * 1024 / connections as u64
        );
    }
}
