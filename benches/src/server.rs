//! The servers under load, each a process of its own, and what Linux tells of a process.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenbooth::mock::MockProviders;

use crate::error::{Result, failed};
use crate::http;

/// How long a server may take to become ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server; killed when dropped.
pub struct Server {
    /// Where it listens, on loopback.
    pub port: u16,
    process: Child,
    ready_after: Duration,
    folder: TempDir,
}

impl Server {
    /// The floor: this program once more.
    ///
    /// # Errors
    /// It does not become ready.
    pub fn floor() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let port = free_port()?;
        command.args(["floor", "--port", &port.to_string()]);
        Self::start(command, port, "/api/me")
    }

    /// `tokenbooth serve` with the settings it would have in production, but for the mock providers, a token that
    /// outlives the run, and no rate limits.
    ///
    /// # Errors
    /// It does not become ready.
    pub fn tokenbooth(mock: &MockProviders, database_url: &str, log_level: &str) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(binary()?);
        command.arg("serve").env_clear();
        let own = [
            ("server.port", port.to_string()),
            ("database.url", database_url.to_owned()),
            ("token.secret", "a secret of the benchmarks, used nowhere else".to_owned()),
            ("token.access_ttl", "24h".to_owned()),
            ("log.level", log_level.to_owned()),
            // Counted as in production, and never refused: the load of all clients comes from one address.
            ("rate_limit.address_burst", "100000000".to_owned()),
            ("rate_limit.address_per_minute", "100000000".to_owned()),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), value));
        for (key, value) in mock.settings().into_iter().chain(own) {
            command.env(format!("TOKENBOOTH__{}", key.replace('.', "__").to_uppercase()), value);
        }
        Self::start(command, port, "/readyz")
    }

    fn start(mut command: Command, port: u16, ready_path: &str) -> Result<Self> {
        // Its own folder: no settings file of the current one is read, and what it logs goes to a file there.
        let folder = tempfile::tempdir()?;
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log"))?);
        let start = Instant::now();
        let process = command.spawn()?;
        let mut server = Self { port, process, ready_after: Duration::ZERO, folder };
        while !http::get(port, ready_path).is_ok_and(|answer| answer.status == 200) {
            if server.process.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
                return Err(failed(format!("a server does not become ready:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.ready_after = start.elapsed();
        Ok(server)
    }

    /// From the start of the process to the first answer that it is ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// CPU time of this process so far, user and system.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        cpu_ticks(&stat)
            // A tick of Linux's user interface is a hundredth of a second on every machine that Rust runs on.
            .map(|ticks| Duration::from_millis(ticks * 10))
            .ok_or_else(|| failed(format!("/proc/PID/stat is not as expected: {stat}")))
    }

    /// Resident memory in MB (10⁶ bytes).
    ///
    /// # Errors
    /// It is gone.
    pub fn resident_mb(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        resident_kib(&status)
            .map(|kib| f64::from(kib) * 1024.0 / 1e6)
            .ok_or_else(|| failed("there is no VmRSS in /proc/PID/status"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The product's binary, built beside this one.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let binary = own.parent().unwrap_or(Path::new(".")).join("tokenbooth");
    if binary.is_file() {
        return Ok(binary);
    }
    Err(failed(format!("{} is missing: cargo build --release --workspace", binary.display())))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// `utime` + `stime`, the 14th and 15th field (proc(5)); the second, the program's name, may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn resident_kib(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "17 (a) b (c) S 1 17 17 0 -1 4194304 900 0 2 0 123 45 0 0 20 0 8 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(168));
        assert_eq!(cpu_ticks("17 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_in_kib() {
        assert_eq!(resident_kib("VmPeak:\t 9 kB\nVmRSS:\t   12480 kB\n"), Some(12480));
        assert_eq!(resident_kib("VmPeak:\t 9 kB\n"), None);
    }
}
