//! The same bytes, sent to Redis and to a port of ours that has the same data: the same answer, or
//! a difference that is listed here and explained.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use common::{Client, Port, data, request, scores};
use gaggle_api_resp::{Access, Options, Rights};
use tokio::net::TcpStream;

/// Debian's server, on a port of its own.
struct Redis {
    process: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Redis {
    async fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Taken by somebody else in between, it does not start, and the next one is tried.
        for _ in 0..5 {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = free.local_addr().unwrap();
            drop(free);
            let mut process = Command::new("redis-server")
                .args(["--port", &addr.port().to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .args(more)
                .current_dir(dir.path())
                .stdout(Stdio::null())
                .spawn()
                .expect("redis-server: deploy/redis/install");
            for _ in 0..2_000 {
                if let Ok(socket) = TcpStream::connect(addr).await {
                    let mut client = Client(socket);
                    client.send(b"PING\r\n").await;
                    // It may be asked to authenticate.
                    let answer = client.end().await;
                    if answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH") {
                        return Self {
                            process,
                            addr,
                            _dir: dir,
                        };
                    }
                }
                if process.try_wait().unwrap().is_some() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("redis-server does not start");
    }

    async fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = Client(TcpStream::connect(self.addr).await.unwrap());
        client.send(bytes).await;
        client.end().await
    }
}

/// Inputs whose answers are the same.
fn same() -> Vec<Vec<u8>> {
    let text = [
        // Inline, and how it is split.
        "PING\r\n",
        "PING\n",
        "ping\r\n",
        "PiNg\r\n",
        "\r\n",
        "\n",
        "\r\n\r\nPING\r\n",
        "   \r\nPING\r\n",
        "  PING  \r\n",
        "\tPING\r\n",
        "PING hello\r\n",
        "PING \"hello world\"\r\n",
        "PING 'hello world'\r\n",
        "PING \"\\x41\\n\\r\\t\\a\\b\\\\\\\"\"\r\n",
        "PING '\\x41\\''\r\n",
        "PING \"\"\r\n",
        "PING ''\r\n",
        "PING a\"b c\"\r\n",
        "PING \"a\"b\r\n",
        "PING \"abc\r\n",
        "PING 'abc\r\n",
        "PING \"abc\\\r\n",
        "PING a b\r\n",
        "PING a b c\r\n",
        "GET Tom\r\nGET Jack\r\n",
        "GET Tom",
        "GET",
        "GET\r\n",
        "GET a b\r\n",
        "get nobody\r\n",
        "GET \"binary\\r\\n\\x00\\xff\"\r\n",
        "PING\r\nnonsense\r\nPING\r\n",
        "nonsense\r\n",
        "nonsense a b c\r\n",
        "non\\sense 'a b'\r\n",
        "\"\"\r\n",
        "\"\" a\r\n",
        "post / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        "Host: a\r\nPING\r\n",
        // Arrays.
        "*1\r\n$4\r\nPING\r\n",
        "*2\r\n$4\r\nPING\r\n$5\r\nhello\r\n",
        "*2\r\n$4\r\nPING\r\n$0\r\n\r\n",
        "*0\r\n",
        "*-1\r\n",
        "*-5\r\nPING\r\n",
        "*0\r\nPING\r\n",
        "*\r\n",
        "*x\r\n",
        "*1x\r\n",
        "* 1\r\n$4\r\nPING\r\n",
        "*+1\r\n$4\r\nPING\r\n",
        "*01\r\n$4\r\nPING\r\n",
        "*1 \r\n$4\r\nPING\r\n",
        "*2147483648\r\n",
        "*9223372036854775807\r\n",
        "*9223372036854775808\r\n",
        "*99999999999999999999999\r\n",
        "*1\r\n",
        "*1\r\n$\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$-0\r\n",
        "*1\r\n$+4\r\nPING\r\n",
        "*1\r\n$04\r\nPING\r\n",
        "*1\r\n$4x\r\nPING\r\n",
        "*1\r\n$4\r\nPIN",
        "*1\r\n$4\r\nPING",
        "*1\r\n$4\r\nPING\r",
        "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
        "*1\r\n$3\r\nPING\r\n",
        "*1\r\n$5\r\nPING\r\n",
        "*1\r\n$5\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
        "*1\r\nPING\r\n",
        "*1\r\n:4\r\n",
        "*1\r\n+PING\r\n",
        "*1\r\n*1\r\n$4\r\nPING\r\n",
        "*1\r\n\r\n",
        "*2\r\n$4\r\nPING\r\nx\r\n",
        "*1\r\n$9223372036854775807\r\n",
        "*1\r\n$9223372036854775808\r\n",
        "*1\r\n$600000000\r\n",
        "*1\r\n$0\r\n\r\n",
        "*2\r\n$0\r\n\r\n$1\r\na\r\n",
        "*1\n$4\nPING\n",
        "$4\r\nPING\r\n",
        "+PING\r\n",
        ":1\r\n",
        "-ERR\r\n",
        "*3\r\n$4\r\nMGET\r\n$3\r\nTom\r\n$6\r\nnobody\r\n",
        "*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
        // Values.
        "GET Tom\r\n",
        "GET empty\r\n",
        "GET long\r\n",
        "GET large\r\n",
        "GET other:Tom\r\n",
        "MGET\r\n",
        "MGET Tom\r\n",
        "MGET Tom nobody Jack Tom empty\r\n",
        "EXISTS\r\n",
        "EXISTS Tom\r\n",
        "EXISTS nobody\r\n",
        "EXISTS Tom Tom nobody Jack\r\n",
        "STRLEN\r\n",
        "STRLEN Tom\r\n",
        "STRLEN nobody\r\n",
        "STRLEN empty\r\n",
        "STRLEN large\r\n",
        "STRLEN Tom Jack\r\n",
        "GETRANGE Tom 0 -1\r\n",
        "GETRANGE Tom 0 0\r\n",
        "GETRANGE Tom -1 -1\r\n",
        "GETRANGE Tom -2 -3\r\n",
        "GETRANGE Tom 1 100\r\n",
        "GETRANGE Tom 3 4\r\n",
        "GETRANGE Tom 2 1\r\n",
        "GETRANGE Tom -100 -100\r\n",
        "GETRANGE Tom 0 -100\r\n",
        "GETRANGE Tom a 1\r\n",
        "GETRANGE Tom 0 1.5\r\n",
        "GETRANGE Tom 0 9223372036854775807\r\n",
        "GETRANGE Tom 0 9223372036854775808\r\n",
        "GETRANGE Tom 0\r\n",
        "GETRANGE nobody 0 -1\r\n",
        "GETRANGE large 1000 9000\r\n",
        "GETRANGE nobody a b\r\n",
        "SUBSTR Tom 0 1\r\n",
        "SUBSTR Tom\r\n",
        "TTL\r\n",
        "TTL Tom\r\n",
        "TTL nobody\r\n",
        "PTTL Tom\r\n",
        "PTTL nobody\r\n",
        "PTTL a b\r\n",
        "TYPE Tom\r\n",
        "TYPE nobody\r\n",
        "TYPE\r\n",
        "OBJECT\r\n",
        "OBJECT ENCODING Tom\r\n",
        "OBJECT ENCODING Jack\r\n",
        "OBJECT ENCODING long\r\n",
        "OBJECT ENCODING nobody\r\n",
        "OBJECT ENCODING\r\n",
        "OBJECT REFCOUNT Jack\r\n",
        "OBJECT FREQ Tom\r\n",
        "OBJECT FREQ nobody\r\n",
        "OBJECT nonsense\r\n",
        "OBJECT nonsense Tom\r\n",
        // The connection.
        "ECHO\r\n",
        "ECHO a\r\n",
        "ECHO a b\r\n",
        "SELECT\r\n",
        "SELECT 0\r\n",
        "SELECT a\r\n",
        "SELECT 100\r\n",
        "SELECT -1\r\n",
        "SELECT 9999999999\r\n",
        "QUIT\r\n",
        "QUIT\r\nPING\r\n",
        "RESET\r\n",
        "RESET now\r\n",
        "RESET\r\nPING\r\n",
        "CLIENT\r\n",
        "CLIENT nonsense\r\n",
        "CLIENT GETNAME\r\n",
        "CLIENT GETNAME a\r\n",
        "CLIENT SETNAME\r\n",
        "CLIENT SETNAME a\r\nCLIENT GETNAME\r\n",
        "CLIENT SETNAME \"a b\"\r\n",
        "CLIENT SETNAME \"\"\r\nCLIENT GETNAME\r\n",
        "CLIENT SETNAME \"a\\x7f\"\r\n",
        "CLIENT SETNAME a\r\nRESET\r\nCLIENT GETNAME\r\n",
        "CLIENT ID a\r\n",
        "CLIENT REPLY\r\n",
        "CLIENT REPLY ON a\r\n",
        "CLIENT REPLY nonsense\r\nGET Tom\r\n",
        "CLIENT REPLY ON\r\nGET Tom\r\n",
        "CLIENT REPLY OFF\r\nGET Tom\r\nGET large\r\nnonsense\r\nCLIENT REPLY nonsense\r\nCLIENT REPLY ON\r\nGET Jack\r\n",
        "CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nGET Tom\r\nGET Tom\r\nCLIENT REPLY ON\r\n",
        "CLIENT REPLY OFF\r\nRESET\r\nGET Tom\r\n",
        "CLIENT REPLY OFF\r\nQUIT\r\n",
        "CLIENT REPLY OFF\r\n*1\r\nnonsense\r\n",
        "CLIENT REPLY SKIP\r\nGET Tom\r\nGET Jack\r\nGET Tom\r\n",
        "CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nGET Tom\r\nGET Jack\r\n",
        "CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nGET Tom\r\n",
        "CLIENT REPLY SKIP\r\nMGET Tom large Jack\r\nMGET Tom Jack\r\n",
        "CLIENT NO-EVICT ON\r\n",
        "CLIENT NO-EVICT\r\n",
        "CLIENT NO-EVICT maybe\r\n",
        "AUTH\r\n",
        "AUTH a\r\n",
        "AUTH a b\r\n",
        "AUTH default b\r\n",
        "AUTH a b c\r\n",
        "HELLO 1\r\n",
        "HELLO 4\r\n",
        "HELLO a\r\n",
        "HELLO -1\r\n",
        "HELLO 3 nonsense\r\n",
        "HELLO 3 AUTH a\r\n",
        "HELLO 3 AUTH a b\r\n",
        "HELLO 3 SETNAME\r\n",
        "HELLO 3 SETNAME \"a b\"\r\n",
        "COMMAND nonsense\r\n",
        "COMMAND COUNT a\r\n",
        "COMMAND DOCS nonsense\r\n",
        "COMMAND INFO nonsense\r\n",
        "INFO nonsense\r\n",
        // Writes.
        "SET\r\n",
        "SET a\r\n",
        "SET a b\r\n",
        "SET a b EX 100\r\n",
        "SET a b ex 100\r\nTTL a\r\n",
        "SET a b PX 100000\r\nTTL a\r\n",
        "SET a b EX\r\n",
        "SET a b EX 0\r\n",
        "SET a b EX -1\r\n",
        "SET a b EX a\r\n",
        "SET a b EX 1.5\r\n",
        "SET a b EX 9223372036854775807\r\n",
        "SET a b PX 0\r\n",
        "SET a b PXAT 0\r\n",
        "SET a b EXAT -1\r\n",
        "SET a b EX 10 PX 10\r\n",
        "SET a b EX 10 KEEPTTL\r\n",
        "SET a b NX XX\r\n",
        "SET a b nonsense\r\n",
        "SET a b EX 10 nonsense\r\n",
        "SET a b EXAT 99999999999\r\nGET a\r\n",
        "SET a b PXAT 99999999999999\r\nGET a\r\n",
        "SETEX a 100 b\r\nTTL a\r\nGET a\r\n",
        "SETEX a 0 b\r\n",
        "SETEX a x b\r\n",
        "SETEX a 100\r\n",
        "PSETEX a 100000 b\r\nTTL a\r\n",
        "PSETEX a -5 b\r\n",
        "SET \"\" \"\"\r\nGET \"\"\r\nSET \"\" \"of the empty key\"\r\n",
        "SET \"a\\r\\n\" \"\\x00\\xff\"\r\nGET \"a\\r\\n\"\r\n",
        "DEL\r\n",
        "UNLINK\r\n",
        "FLUSHDB a\r\n",
        "FLUSHALL a\r\n",
        "FLUSHALL ASYNC a\r\n",
        "EXPIRE\r\n",
        "PERSIST\r\n",
        "DBSIZE a\r\n",
    ];
    let mut inputs: Vec<Vec<u8>> = text.iter().map(|text| text.as_bytes().to_vec()).collect();
    let all_keys: Vec<&[u8]> = data().into_iter().map(|(key, _)| key).collect();
    for key in &all_keys {
        inputs.push(request(&[b"GET", key]));
        inputs.push(request(&[b"STRLEN", key]));
    }
    inputs.push(request(
        &[&b"MGET"[..]]
            .into_iter()
            .chain(all_keys)
            .collect::<Vec<_>>(),
    ));
    inputs.push(request(&[b"ECHO", b"\0\r\n\xff"]));
    inputs.push(request(&[b"nonsense\r\n", b"a\r\nb", b"\xff"]));
    inputs.push(request(&[b"nonsense", &[b'a'; 200], b"b"]));
    inputs.push(request(&[&[b'n'; 200], b"a"]));
    inputs.push(request(&[b"ECHO", &[b'e'; 100_000]]));
    // Lines without an end.
    inputs.push([b"*", &[b'1'; 70_000][..]].concat());
    inputs.push([b"*1\r\n$", &[b'1'; 70_000][..]].concat());
    inputs.push(vec![b'x'; 70_000]);
    // All of it once more in version 3, as far as null and maps go.
    for input in [
        "GET nobody\r\n",
        "MGET nobody Tom\r\n",
        "CLIENT GETNAME\r\n",
        "OBJECT ENCODING nobody\r\n",
        "COMMAND INFO nonsense\r\n",
        "COMMAND DOCS nonsense\r\n",
        "HELLO 2 nonsense\r\n",
        "RESET\r\nGET nobody\r\n",
    ] {
        // Its own answer has our name and version.
        inputs.push(format!("HELLO 3\r\nECHO -\r\n{input}").into_bytes());
    }
    // A pipeline of many.
    inputs.push("GET Tom\r\nGET nobody\r\nPING\r\n".repeat(500).into_bytes());
    inputs
}

/// Inputs whose answers differ, each with ours and why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "SELECT 1\r\n",
        "-ERR DB index is out of range\r\n",
        "there is one database",
    ),
    (
        "SET Tom 1 NX\r\n",
        "-ERR SET with NX is not supported: a cache does not know whether a key is there\r\n",
        "a value that is not in memory may be at the origin",
    ),
    (
        "SET new 1 XX GET\r\n",
        "-ERR SET with XX is not supported: a cache does not know whether a key is there\r\n",
        "the same",
    ),
    (
        "SET Tom 630 KEEPTTL\r\n",
        "-ERR SET with KEEPTTL is not supported: a cache does not know whether a key is there\r\n",
        "the same",
    ),
    (
        "DEL nobody\r\n",
        ":1\r\n",
        "a removal counts what it was given: nobody knows what other nodes held",
    ),
    (
        "EXPIRE nobody 10\r\n",
        "-ERR EXPIRE is not supported: a value's time to live is set when it is put (SET with EX \
         or PX), or by its group\r\n",
        "the time to live is the group's, or that of the value when it was put",
    ),
    (
        "INCR n\r\n",
        "-ERR unknown command 'INCR', with args beginning with: 'n' \r\n",
        "a cache changes no values",
    ),
    (
        "OBJECT IDLETIME Tom\r\n",
        "-ERR OBJECT IDLETIME is not supported: the time of the last use is not tracked\r\n",
        "it is not tracked",
    ),
    (
        "CLIENT LIST\r\n",
        "-ERR CLIENT LIST is not supported\r\n",
        "a client learns nothing of others",
    ),
    (
        "CLIENT SETINFO LIB-NAME x\r\n",
        "+OK\r\n",
        "of Redis 7.2, which clients send at once",
    ),
    (
        "*20000\r\n",
        "-ERR Protocol error: invalid multibulk length\r\n",
        "max_arguments",
    ),
    (
        "*1\r\n$100000000\r\n",
        "-ERR Protocol error: invalid bulk length\r\n",
        "max_request",
    ),
    (
        "CONFIG GET save\r\n",
        "-ERR unknown command 'CONFIG', with args beginning with: 'GET' 'save' \r\n",
        "a node is configured by its file",
    ),
];

/// What follows the answer to `HELLO`, which names the server.
fn without_hello(answer: &[u8]) -> &[u8] {
    let mark = b"$1\r\n-\r\n";
    let at = answer.windows(mark.len()).position(|part| part == mark);
    at.map_or(answer, |at| &answer[at..])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: deploy/redis/install"]
async fn the_same_bytes_as_redis() {
    let redis = Redis::start(&[]).await;
    let port = Port::of([scores()], Options::default()).await;
    for (key, value) in data() {
        assert_eq!(
            redis.ask(&request(&[b"SET", key, &value])).await,
            b"+OK\r\n"
        );
    }
    let inputs = same();
    assert!(inputs.len() + DIFFERENT.len() >= 200, "{}", inputs.len());
    let mut wrong = Vec::new();
    // Redis drops what it has not sent when a client sends no more: these end by QUIT.
    for input in [
        "MGET large large\r\n".to_owned(),
        "GET large\r\n".repeat(50),
    ] {
        let input = input + "QUIT\r\n";
        let mut answers = Vec::new();
        for addr in [redis.addr, port.addr] {
            let mut client = Client(TcpStream::connect(addr).await.unwrap());
            client.send(input.as_bytes()).await;
            answers.push(client.rest().await);
        }
        assert!(answers[0].len() > 200_000 && answers[0].ends_with(b"+OK\r\n"));
        assert!(answers[0] == answers[1], "{}", &input[..20]);
    }
    for input in &inputs {
        let theirs = redis.ask(input).await;
        let ours = port.ask(input).await;
        if without_hello(&theirs) != without_hello(&ours) {
            let shown = |bytes: &[u8]| {
                let bytes = &bytes[..bytes.len().min(400)];
                bytes.escape_ascii().to_string()
            };
            wrong.push(format!(
                "{}\n    redis: {}\n    ours:  {}",
                shown(input),
                shown(&theirs),
                shown(&ours)
            ));
        }
    }
    for (input, expected, why) in DIFFERENT {
        let (theirs, ours) = (
            redis.ask(input.as_bytes()).await,
            port.ask(input.as_bytes()).await,
        );
        let ours = String::from_utf8_lossy(&ours);
        assert_eq!(ours, *expected, "{input}: {why}");
        assert_ne!(theirs, ours.as_bytes(), "{input} is no difference");
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        inputs.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: deploy/redis/install"]
async fn the_same_bytes_as_redis_with_a_password() {
    let redis = Redis::start(&["--requirepass", "secret"]).await;
    let access = Access::password(|given| (given == b"secret").then_some(Rights::Write));
    let options = Options {
        access,
        ..Options::default()
    };
    let port = Port::of([scores()], options).await;
    for input in [
        "PING\r\n",
        "GET Tom\r\n",
        "GET\r\n",
        "nonsense\r\n",
        "QUIT\r\n",
        "RESET\r\n",
        "AUTH secret\r\nPING\r\n",
        "AUTH default secret\r\nPING\r\n",
        "AUTH wrong\r\nPING\r\n",
        "AUTH other secret\r\nPING\r\n",
        "AUTH default wrong\r\n",
        "AUTH\r\n",
        "AUTH secret\r\nAUTH wrong\r\nPING\r\n",
        "AUTH secret\r\nRESET\r\nPING\r\n",
        "HELLO\r\n",
        "HELLO 3\r\n",
        "HELLO 5\r\n",
        "HELLO 3 AUTH default wrong\r\n",
        "HELLO 3 AUTH default wrong SETNAME a\r\nCLIENT GETNAME\r\n",
        "HELLO 3 AUTH default secret\r\nECHO -\r\nPING\r\nGET nobody\r\n",
        "HELLO 3 SETNAME a AUTH default secret\r\nECHO -\r\nCLIENT GETNAME\r\n",
        "*11\r\n",
        "*10\r\n$16385\r\n",
        "AUTH secret\r\n*11\r\n$4\r\nPING\r\n",
        "*2\r\n$3\r\nGET\r\n$20000\r\n",
    ] {
        let (theirs, ours) = (
            redis.ask(input.as_bytes()).await,
            port.ask(input.as_bytes()).await,
        );
        assert_eq!(
            without_hello(&ours).escape_ascii().to_string(),
            without_hello(&theirs).escape_ascii().to_string(),
            "{input}"
        );
    }
}
