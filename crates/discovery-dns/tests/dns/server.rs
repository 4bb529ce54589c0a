//! A name server whose answers a test sets, over UDP and TCP on one port of loopback.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// The time to live that Docker gives.
const TTL: u32 = 600;

/// The answer for one name.
#[derive(Clone)]
pub enum Answer {
    /// Addresses; a question for the other family finds none.
    Addresses(Vec<IpAddr>),
    /// This response code and nothing else.
    Code(ResponseCode),
    /// Nothing is sent.
    Silence,
    /// For A and for AAAA.
    Each(Box<Answer>, Box<Answer>),
}

#[derive(Default)]
struct State {
    answers: BTreeMap<Name, Answer>,
    asked: Vec<(RecordType, Over)>,
}

/// The transport of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Udp,
    Tcp,
}

pub struct Server {
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    pub async fn start() -> Self {
        let (udp, tcp) = sockets().await;
        let addr = udp.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let tasks = [
            tokio::spawn(serve_udp(udp, Arc::clone(&state))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&state))),
        ];
        Self { addr, state, tasks }
    }

    /// From now on `name` has that answer. Every other name is an NXDOMAIN.
    pub fn set(&self, name: &str, answer: Answer) {
        let mut name = Name::from_str_relaxed(name).unwrap();
        name.set_fqdn(true);
        self.state.lock().unwrap().answers.insert(name, answer);
    }

    /// The questions since the last call.
    pub fn asked(&self) -> Vec<(RecordType, Over)> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The port that UDP is given may be taken in TCP.
async fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free in both");
}

async fn serve_udp(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let room = usize::from(question.max_payload());
        let Some(answer) = answer(&state, &question, Over::Udp) else {
            continue;
        };
        let mut bytes = answer.to_vec().unwrap();
        if bytes.len() > room {
            bytes = answer.truncate().to_vec().unwrap();
        }
        socket.send_to(&bytes, from).await.unwrap();
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        // One connection at a time is enough.
        while let Ok(length) = stream.read_u16().await {
            let mut question = vec![0; length.into()];
            stream.read_exact(&mut question).await.unwrap();
            let question = Message::from_vec(&question).unwrap();
            if let Some(answer) = answer(&state, &question, Over::Tcp) {
                let bytes = answer.to_vec().unwrap();
                let length = u16::try_from(bytes.len()).unwrap();
                stream.write_u16(length).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
        }
    }
}

fn answer(state: &Mutex<State>, question: &Message, over: Over) -> Option<Message> {
    let mut state = state.lock().unwrap();
    let query = question.queries[0].clone();
    let kind = query.query_type();
    state.asked.push((kind, over));
    let known = state.answers.get(query.name()).cloned();
    let known = match known.unwrap_or(Answer::Code(ResponseCode::NXDomain)) {
        Answer::Each(a, _) if kind == RecordType::A => *a,
        Answer::Each(_, aaaa) => *aaaa,
        known => known,
    };
    let mut response = Message::response(question.metadata.id, question.metadata.op_code);
    response.metadata.recursion_available = true;
    response.add_query(query.clone());
    match known {
        Answer::Silence | Answer::Each(..) => return None,
        Answer::Code(code) => response.metadata.response_code = code,
        Answer::Addresses(addresses) => {
            let of_kind = addresses
                .into_iter()
                .map(RData::from)
                .filter(|data| data.record_type() == kind)
                .map(|data| Record::from_rdata(query.name().clone(), TTL, data));
            response.add_answers(of_kind);
        }
    }
    Some(response)
}
