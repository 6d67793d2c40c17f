//! A program that serves beside a test and ends with it.
//!
//! As PostgreSQL in `postgres.rs`, it lives under a small shell script that reads from a pipe of ours: when this process
//! ends, however it ends, the pipe closes, and the script stops the program and removes its folder.

#![allow(dead_code, reason = "each test binary that includes this file uses a part of it")]

use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::postgres::{free_port, unprivileged_user};

/// `$1` is its folder, the rest what to run. The signals are ignored so that what ends the tests cannot end the script
/// before it has cleaned up.
const SUPERVISOR: &str = r#"
trap '' HUP INT TERM PIPE
folder=$1
shift
(
    "$@" >>"$folder/log" 2>&1 </dev/null &
    echo $! >"$folder/pid"
    wait $!
    echo $? >"$folder/ended"
) &
read -r end_of_tests
read -r pid <"$folder/pid" && kill -s TERM "$pid"
wait
rm -rf "$folder"
"#;

/// What it says when the port is not free.
const TAKEN: &str = "Address already in use";

/// How long it may take to listen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program, which listens on a port of loopback. Stopped when dropped.
pub struct Daemon {
    folder: PathBuf,
    port: u16,
    supervisor: Child,
    /// None only while being dropped: closing it is the order to clean up.
    pipe: Option<ChildStdin>,
}

impl Daemon {
    /// Runs `program` with `arguments`, in a folder of its own that has the files that `files` answers for a port; on
    /// another port when that one was taken meanwhile. Not as root: the folder belongs to somebody without rights then.
    /// What it says is to be in the file `log` of the folder.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        files: impl Fn(u16) -> Vec<(&'static str, String)>,
    ) -> Self {
        for _ in 0..10 {
            let port = free_port();
            let daemon = Self::launch(program, arguments, port, &files(port))
                .unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
            match daemon.listening() {
                Ok(()) => return daemon,
                Err(log) if log.contains(TAKEN) => {}
                Err(log) => panic!("{} does not listen:\n{log}", program.display()),
            }
        }
        panic!("{} finds no free port", program.display())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn launch(program: &Path, arguments: &[&str], port: u16, files: &[(&str, String)]) -> io::Result<Self> {
        // Not TMPDIR: when we are root, whom we run it as may have no way into it.
        let folder = tempfile::Builder::new().prefix("tokenbooth-daemon-").tempdir_in("/tmp")?;
        let path = folder.path().to_owned();
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "tokenbooth-daemon"]).arg(&path).arg(program).args(arguments);
        // Its own group, or Ctrl-C in the terminal would also reach the program. LC_ALL: we read its log.
        command.current_dir(&path).env("LC_ALL", "C").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        for (name, text) in files {
            fs::write(path.join(name), text)?;
        }
        if fs::metadata(&path)?.uid() == 0 {
            let (uid, gid) = unprivileged_user()?;
            for (name, _) in files {
                chown(path.join(name), Some(uid), Some(gid))?;
            }
            chown(&path, Some(uid), Some(gid))?;
            command.uid(uid).gid(gid);
        }
        let mut supervisor = command.spawn()?;
        let pipe = supervisor.stdin.take();
        // From here on the supervisor removes it.
        Ok(Self { folder: folder.keep(), port, supervisor, pipe })
    }

    /// Waits until connections are accepted; if it ended instead, answers what it said.
    fn listening(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answers = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            let (ended, log) = (self.folder.join("ended").exists(), self.log());
            // Then it is somebody else who answers; and some go on without the port.
            if ended || log.contains(TAKEN) || Instant::now() > deadline {
                return Err(log);
            }
            if answers {
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.supervisor.wait();
    }
}

/// Where a program is: on `PATH`, or where Debian keeps those that only root runs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Says that a program is missing, past what the test runner keeps to itself; or panics when `variable` is `1`, because what is
/// silently left out must not look like a pass.
pub fn say_that_it_is_missing(program: &str, package: &str, variable: &str) {
    use io::Write as _;
    let notice = format!(
        "\n*** NO {program}: the tests with it are SKIPPED. To run them: apt install {package} (it need not be started)\n\n"
    );
    assert!(std::env::var(variable).as_deref() != Ok("1"), "{notice}");
    let _ = io::stderr().write_all(notice.as_bytes());
}
