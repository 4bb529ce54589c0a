//! Programs under load: started, waited for, their CPU time read, and killed when dropped.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;

/// The longest that a program may take to listen.
const START: Duration = Duration::from_secs(10);

/// A running program. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` and waits until it listens at all of `addrs`.
    pub(crate) fn start(mut command: Command, addrs: &[SocketAddr]) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Self {
            child: command.spawn()?,
        };
        let until = Instant::now() + START;
        for addr in addrs {
            while let Err(failure) = TcpStream::connect(addr) {
                if let Some(status) = process.child.try_wait()? {
                    return Err(io::Error::other(format!("{command:?} ended: {status}")));
                }
                if Instant::now() > until {
                    return Err(io::Error::other(format!(
                        "{command:?} does not listen at {addr} after {START:?}: {failure}"
                    )));
                }
                thread::sleep(Duration::from_micros(500));
            }
        }
        Ok(process)
    }

    /// CPU time that it has used so far, in user mode and in the system.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path)?;
        // proc_pid_stat(5): the program's name, which may hold anything, ends with the last
        // parenthesis; the fields 14 and 15 of the line are the 12th and 13th behind it.
        let ticks = stat.rsplit_once(')').map(|(_, fields)| {
            let mut fields = fields.split_ascii_whitespace().skip(11);
            let mut next = || fields.next()?.parse::<u64>().ok();
            Some(next()? + next()?)
        });
        let ticks = ticks
            .flatten()
            .ok_or_else(|| io::Error::other(format!("{path}: not as documented")))?;
        Ok(Duration::from_millis(
            ticks * 1_000 / clock_ticks_per_second(),
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `N` addresses of loopback that nobody uses at the moment: all members' addresses have to be
/// known before the first of them starts.
pub(crate) fn free<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let mut held = Vec::new();
    let mut addrs = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for addr in &mut addrs {
        let listener = TcpListener::bind(*addr)?;
        *addr = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addrs)
}
