//! The real binary, as a process: for what only a process has (signals, exit codes, its log).

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenbooth::mock::MockProviders;

use super::app::SECRET;

/// How long a process may take to say or do what a test waits for, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command of the binary, in an empty folder and with an empty environment.
pub struct Tokenbooth {
    command: Command,
    folder: TempDir,
}

/// A running process; killed when dropped.
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    folder: TempDir,
}

impl Tokenbooth {
    /// `tokenbooth <arguments…>`.
    pub fn new(arguments: &[&str]) -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_tokenbooth")), arguments)
    }

    /// Another program, in the same way.
    pub fn of(program: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder.path()).env_clear().stdin(Stdio::null());
        Self { command, folder }
    }

    /// `tokenbooth serve` on a free port, with the mock Google, GitHub and (as `acme`) OpenID Connect issuer.
    pub fn serving(mock: &MockProviders, database_url: &str) -> Self {
        let settings = mock.settings().into_iter().chain(mock.oidc_settings("acme"));
        settings
            .fold(Self::new(&["serve"]), |command, (key, value)| command.set(&key, &value))
            .set("server.port", "0")
            .set("server.workers", "2")
            .set("database.url", database_url)
            .set("token.secret", SECRET)
            // Everybody asks from one address.
            .set("rate_limit.enabled", "false")
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// A file in the working directory.
    pub fn file(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
        self
    }

    /// A setting, as the environment gives it: `set("server.port", "0")`.
    pub fn set(self, key: &str, value: &str) -> Self {
        let name = format!("TOKENBOOTH__{}", key.replace('.', "__").to_uppercase());
        self.env(&name, value)
    }

    /// What it reads on standard input.
    pub fn input(self, text: &str) -> Self {
        let mut this = self.file("stdin", text);
        let file = File::open(this.folder().join("stdin")).expect("a file");
        this.command.stdin(file);
        this
    }

    /// Runs to the end with standard output closed by its reader; answers with status and standard error.
    pub fn into_a_closed_pipe(mut self) -> Output {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.command.stdout(writer).stderr(Stdio::piped());
        let child = self.command.spawn().expect("the binary runs");
        // The command holds the writer's end.
        child.wait_with_output().expect("the binary ends")
    }

    /// The working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs to the end, which a command that goes on for ever must not hold up.
    #[track_caller]
    pub fn output(self) -> Output {
        let mut running = self.start();
        let status = running.wait();
        let read = |path| std::fs::read(path).expect("a file");
        Output { status, stdout: read(&running.stdout), stderr: read(&running.stderr) }
    }

    /// Starts, with stdout and stderr in files.
    pub fn start(mut self) -> Running {
        let (stdout, stderr) = (self.folder.path().join("stdout"), self.folder.path().join("stderr"));
        let file = |path: &Path| File::create(path).expect("a file");
        let child =
            self.command.stdout(file(&stdout)).stderr(file(&stderr)).spawn().expect("the binary runs");
        Running { child, stdout, stderr, folder: self.folder }
    }
}

impl Running {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until it is listening (at `log.level` info) and answers with its URL.
    #[track_caller]
    pub fn url(&mut self) -> String {
        let line = self.wait_for("listening on 127.0.0.1:");
        let (_, port) = line.split_once("listening on 127.0.0.1:").expect("a line");
        // A line of JSON goes on after the port.
        let end = port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len());
        format!("http://127.0.0.1:{}", &port[..end])
    }

    /// Waits for a line on stdout or stderr that contains `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.stdout() + &self.stderr();
            // Whole lines only: half a line has half a port.
            let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            let ended = self.child.try_wait().expect("a process of ours");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{text:?} was not said ({ended:?}):\n{said}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends `TERM`, `INT`, `KILL` …
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a process of ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
