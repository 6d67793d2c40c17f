//! A real nginx in front of the service.

use crate::daemon::{Daemon, find_program, say_that_it_is_missing};

/// What a site's file stands in: everything that nginx wants to keep is in its own folder.
const AROUND: &str = "\
daemon off;
worker_processes 2;
pid nginx.pid;
error_log log info;
events { worker_connections 512; }
http {
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}
";

/// A running nginx; stopped when dropped.
pub struct Nginx {
    /// `http://127.0.0.1:<port>`
    pub base: String,
    daemon: Daemon,
}

impl Nginx {
    /// Starts it with one site: the text of a file in `/etc/nginx/sites-enabled`, made for the port that it is to listen on
    /// (`listen 127.0.0.1:{port};`). `None`, said loudly, where nginx is not installed.
    ///
    /// # Panics
    /// When it does not start, and when `TOKENBOOTH_REQUIRE_NGINX=1` and there is none.
    pub fn start(site: impl Fn(u16) -> String) -> Option<Self> {
        let Some(program) = find_program("nginx") else {
            say_that_it_is_missing("NGINX", "nginx-light", "TOKENBOOTH_REQUIRE_NGINX");
            return None;
        };
        // `-e`: before it has read the file it would write to a folder of the system's nginx.
        let arguments = ["-p", ".", "-c", "nginx.conf", "-e", "log"];
        let daemon = Daemon::start(&program, &arguments, |port| {
            vec![("nginx.conf", AROUND.to_owned()), ("site.conf", site(port))]
        });
        Some(Self { base: format!("http://127.0.0.1:{}", daemon.port()), daemon })
    }

    /// Its error log.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Its access log.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.daemon.folder().join("access.log")).unwrap_or_default()
    }
}
