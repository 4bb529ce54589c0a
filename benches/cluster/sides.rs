//! The systems that are put under load.

use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gaggle_ring::{Profile, Ring};
use tempfile::TempDir;

use crate::process::{Process, free};
use crate::serve::Role;

/// Processes that make up one side, and the address that is asked.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) front: SocketAddr,
    processes: Vec<Process>,
    _files: Option<TempDir>,
}

impl Side {
    /// With the processes of another, which this one asks.
    pub(crate) fn with(mut self, behind: Self) -> Self {
        self.processes.extend(behind.processes);
        self
    }

    /// CPU time of all its processes.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        self.processes.iter().map(Process::cpu).sum()
    }
}

/// This program in another role.
pub(crate) fn own(role: Role, upstream: Option<SocketAddr>) -> io::Result<Side> {
    let [addr] = free()?;
    let mut command = Command::new(env::current_exe()?);
    command.args([role.name(), &addr.to_string()]);
    command.args(upstream.map(|upstream| format!("http://{upstream}")));
    Ok(Side {
        name: match role {
            Role::Bare => "bare axum handler",
            Role::Origin => "origin",
            Role::Proxy => "one reqwest request per key",
        },
        front: addr,
        processes: vec![Process::start(command, &[addr])?],
        _files: None,
    })
}

/// What is set apart from the defaults.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// Whether the first node may keep copies of what others own.
    pub(crate) copies: bool,
}

/// `N` Gaggle nodes, the first of which is asked.
pub(crate) fn gaggle<const N: usize>(
    origin: SocketAddr,
    settings: Settings,
) -> io::Result<(Side, [SocketAddr; N])> {
    let binary = node_binary()?;
    let members: [SocketAddr; N] = free()?;
    let fronts: [SocketAddr; N] = free()?;
    let admins: [SocketAddr; N] = free()?;
    let files = TempDir::new()?;
    let config = files.path().join("gaggle.toml");
    let hot_copies = if settings.copies { "sampled" } else { "off" };
    fs::write(
        &config,
        format!(
            "[groups.bench]\nhot-copies = \"{hot_copies}\"\n\
             origin = {{ kind = \"http\", url = \"http://{origin}/{{key}}\" }}\n"
        ),
    )?;
    let mut processes = Vec::new();
    for node in 0..N {
        let mut command = Command::new(&binary);
        command.arg("serve").arg("--config").arg(&config);
        command.args(["--log-level", "warn", "--peers", &base_urls(&members)]);
        command.args(["--peer-addr", &members[node].to_string()]);
        command.args(["--api-addr", &fronts[node].to_string()]);
        command.args(["--admin-addr", &admins[node].to_string()]);
        processes.push(Process::start(command, &[members[node], fronts[node]])?);
    }
    let side = Side {
        name: "gaggle",
        front: fronts[0],
        processes,
        _files: Some(files),
    };
    Ok((side, members))
}

/// As many nodes of golang/groupcache; `None` where there is no Go.
pub(crate) fn groupcache<const N: usize>(
    origin: SocketAddr,
    settings: Settings,
) -> io::Result<Option<(Side, [SocketAddr; N])>> {
    let Some((files, binary)) = go_binary()? else {
        return Ok(None);
    };
    let members: [SocketAddr; N] = free()?;
    let fronts: [SocketAddr; N] = free()?;
    let mut processes = Vec::new();
    for node in 0..N {
        let mut command = Command::new(&binary);
        command.args(["-addr", &members[node].to_string()]);
        command.args(["-api", &fronts[node].to_string()]);
        command.args(["-peers", &base_urls(&members), "-group", "bench"]);
        command.args(["-origin", &format!("http://{origin}/")]);
        if node == 0 && !settings.copies {
            // There is no switch for copies alone; but this node is asked only for what others
            // own.
            command.args(["-cache", "0"]);
        }
        command.stderr(Stdio::null());
        processes.push(Process::start(command, &[members[node], fronts[node]])?);
    }
    let side = Side {
        name: "golang/groupcache",
        front: fronts[0],
        processes,
        _files: Some(files),
    };
    Ok(Some((side, members)))
}

/// Whether a key is owned by another node than the first, in the placement of either side.
pub(crate) fn owned_elsewhere(
    members: &[SocketAddr],
    profile: Profile,
) -> io::Result<impl Fn(&str) -> bool> {
    let names = members.iter().map(|member| format!("http://{member}"));
    let ring = Ring::new(profile, names).map_err(io::Error::other)?;
    let first = format!("http://{}", members[0]);
    Ok(move |key: &str| {
        ring.owner(key.as_bytes())
            .is_some_and(|owner| *owner != *first)
    })
}

fn base_urls(members: &[SocketAddr]) -> String {
    let urls: Vec<_> = members
        .iter()
        .map(|addr| format!("http://{addr}"))
        .collect();
    urls.join(",")
}

/// `gaggle-node` as released, which is built into the same directory as the benches; or another
/// one, to compare with.
pub(crate) fn node_binary() -> io::Result<PathBuf> {
    if let Some(other) = env::var_os("GAGGLE_NODE") {
        return Ok(other.into());
    }
    let here = env::current_exe()?;
    let binary = here
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
        .join("gaggle-node");
    if !binary.is_file() {
        return Err(io::Error::other(format!(
            "{} is not there: cargo build --release -p gaggle-node builds it",
            binary.display()
        )));
    }
    Ok(binary)
}

fn go_binary() -> io::Result<Option<(TempDir, PathBuf)>> {
    let files = TempDir::new()?;
    let binary = files.path().join("go-node");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&binary)
        .arg(".")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/go-node"))
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("CGO_ENABLED", "0")
        .status();
    match built {
        Ok(status) if status.success() => Ok(Some((files, binary))),
        Ok(status) => Err(io::Error::other(format!("go build: {status}"))),
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
