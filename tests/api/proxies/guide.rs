//! docs/PROXIES.md, "Try it in five minutes": every line that it says to type, typed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::{find_program, say_that_it_is_missing};
use crate::postgres::free_port;
use crate::support::app::client;
use crate::support::browser::Browser;

const GUIDE: &str = include_str!("../../../docs/PROXIES.md");

/// What somebody has typed into a terminal, and what came of it so far. Ended when dropped, with all that it started.
struct Terminal {
    child: Child,
    output: std::path::PathBuf,
}

impl Terminal {
    fn begin(lines: &str, folder: &Path, number: usize) -> Self {
        let output = folder.join(format!("output-{number}"));
        let file = fs::File::create(&output).expect("a file");
        let child = shell(lines, folder)
            .process_group(0)
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .spawn()
            .expect("a shell");
        Self { child, output }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// A shell in the checkout, with `tokenbooth` on its path.
fn shell(lines: &str, folder: &Path) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", lines]).current_dir(folder.join("checkout")).stdin(Stdio::null());
    command.env("PATH", format!("{}:{path}:/usr/sbin", folder.join("bin").display()));
    command
}

/// The blocks of a section: whether it is to be typed, and its text.
fn blocks(section: &str) -> Vec<(bool, &str)> {
    let text = GUIDE.split_once(&format!("## {section}\n")).expect("the section").1;
    let text = text.split_once("\n## ").expect("another section").0;
    let mut parts = text.split("```");
    let mut blocks = Vec::new();
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        let (language, lines) = block.split_once('\n').expect("a line");
        blocks.push((language == "sh", lines));
    }
    blocks
}

#[actix_web::test]
async fn can_be_followed_word_by_word() {
    if find_program("nginx").is_none() {
        return say_that_it_is_missing("NGINX", "nginx-light", "TOKENBOOTH_REQUIRE_NGINX");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, ports) = (folder.path(), [free_port(), free_port(), free_port()]);
    // The ports of the guide may be somebody else's here.
    let ours = |text: &str| {
        let text = text.replace("127.0.0.1:3000", &format!("127.0.0.1:{}", ports[0]));
        let text = text.replace("backend.py 3000", &format!("backend.py {}", ports[0]));
        let text = text.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", ports[1]));
        let text = text.replace("127.0.0.1:8000", &format!("127.0.0.1:{}", ports[2]));
        text.replace("/tmp/try-nginx", &folder.join("try-nginx").display().to_string())
    };
    let proxies = folder.join("checkout/examples/proxies");
    fs::create_dir_all(&proxies).expect("a folder");
    fs::create_dir(folder.join("bin")).expect("a folder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tokenbooth"), folder.join("bin/tokenbooth"))
        .expect("a link");
    for name in ["backend.py", "nginx.conf", "try.conf"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/proxies").join(name);
        fs::write(proxies.join(name), ours(&fs::read_to_string(path).expect("a file"))).expect("a file");
    }

    let blocks = blocks("Try it in five minutes");
    let typed: Vec<String> = blocks.iter().filter(|(typed, _)| *typed).map(|(_, text)| ours(text)).collect();
    let shown: Vec<&str> = blocks.iter().filter(|(typed, _)| !*typed).map(|(_, text)| *text).collect();
    let [service, demo, nginx, nobody, mock, somebody] = typed.try_into().expect("six things to type");
    let [refusal, answer] = shown.try_into().expect("two answers");

    let port = format!("export TOKENBOOTH__SERVER__PORT={}\n{demo}", ports[1]);
    let terminals: Vec<_> = [service, port, nginx]
        .iter()
        .enumerate()
        .map(|(number, lines)| Terminal::begin(lines, folder, number))
        .collect();
    let base = format!("http://127.0.0.1:{}", ports[2]);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !terminals[1].said().contains("Serving until Ctrl-C") || client().get(&base).send().await.is_err() {
        let said: Vec<String> = terminals.iter().map(Terminal::said).collect();
        assert!(Instant::now() < deadline, "it does not begin: {said:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let run = |lines: &str| {
        let output = shell(lines, folder).output().expect("a shell");
        assert!(output.status.success(), "{lines}: {output:?}");
        String::from_utf8(output.stdout).expect("text").replace('\r', "")
    };
    let said = run(&nobody);
    assert!(said.starts_with(refusal.trim_end()), "{said}");
    let said_of_mock = terminals[1].said();
    let at = said_of_mock.split_once("on http://").expect("where tokenbooth is").1;
    let at = at.split_once("on http://").expect("where the mock is").1;
    let mock = mock.replace("127.0.0.1:4000", at.split('\n').next().expect("a line"));
    let said = run(&format!("{mock}\n{somebody}"));
    let (status, orders) = answer.trim_end().split_once('\n').expect("two lines");
    assert!(said.starts_with(status), "{said}");
    // The id is another one each time.
    let (_, rest) = orders.split_once('…').expect("an id");
    assert!(said.trim_end().ends_with(rest), "{said}");

    let mut browser = Browser::at_base(&base);
    let there = browser.visit("/orders").await;
    assert_eq!((there.status, there.header("location")), (303, "/booth/sign-in?redirect_to=%2Forders"));
    let page = browser.visit("/booth/sign-in?redirect_to=%2Forders").await;
    let login = "/booth/auth/google/login?redirect_to=%2Forders";
    assert!(page.text.contains(login), "{}", page.text);
    let back = browser.authorize(login, "ada").await;
    assert!(back.starts_with(&format!("{base}/booth/auth/google/callback?")), "{back}");
    assert_eq!(browser.visit(&back).await.header("location"), "/orders");
    let orders = browser.visit("/orders").await;
    assert!(orders.text.contains("(ada@example.com), client none"), "{}", orders.text);
}
