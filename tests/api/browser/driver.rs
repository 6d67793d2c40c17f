//! chromedriver, one for all tests of this process.
//!
//! It lives under a small shell script that waits at a pipe: when this process ends, however it ends, the pipe closes, and the
//! script stops the driver with all its browsers and removes their profiles. A destructor could not: statics are not dropped.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// TERM, and not KILL, so that the script outlives its own order to the group, and removes what they leave.
const SUPERVISOR: &str = r#"
trap '' HUP INT TERM PIPE
folder=$(mktemp -d) || exit 1
(trap - HUP INT TERM PIPE; TMPDIR=$folder exec chromedriver --port=0 --log-level=WARNING </dev/null) &
read -r order
kill -s TERM 0
wait
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
"#;

pub struct Driver {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    /// The path of the browser.
    pub chromium: String,
    /// Its standard input is the pipe.
    _supervisor: Child,
}

/// The process's chromedriver, started at the first call. None, said once and loudly, where there is none.
pub fn driver() -> Option<&'static Driver> {
    static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
    DRIVER.get_or_init(start).as_ref()
}

fn start() -> Option<Driver> {
    let chromium = CHROMIUM.into_iter().find_map(path_of);
    let (Some(chromium), Some(_)) = (chromium, path_of("chromedriver")) else {
        not_tested(
            "NO CHROMEDRIVER: the pages are NOT TESTED IN A BROWSER. To do it: apt install chromium chromium-driver",
        );
        return None;
    };
    let mut supervisor = Command::new("sh")
        .args(["-c", SUPERVISOR])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let out = supervisor.stdout.take().expect("its output");
    let port = BufReader::new(out).lines().find_map(|line| {
        let line = line.expect("a line");
        line.strip_prefix("ChromeDriver was started successfully on port ")
            .map(|port| port.trim_end_matches('.').to_owned())
    });
    let url = format!("http://127.0.0.1:{}", port.expect("chromedriver says its port"));
    Some(Driver { url, chromium, _supervisor: supervisor })
}

/// Says that something is left out; with `TOKENBOOTH_REQUIRE_CHROMIUM=1` that is a failure.
pub fn not_tested(what: &str) {
    assert!(std::env::var("TOKENBOOTH_REQUIRE_CHROMIUM").as_deref() != Ok("1"), "{what}");
    // Not `eprintln!`: libtest shows what that prints only when the test fails.
    let _ = std::io::stderr().write_all(format!("\n*** {what} ***\n\n").as_bytes());
}

fn path_of(program: &str) -> Option<String> {
    let folders = std::env::var_os("PATH")?;
    let found =
        std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.map(|path| path.display().to_string())
}
