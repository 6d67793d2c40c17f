//! A TCP proxy that can be led elsewhere, and whose connections can be ended or frozen.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Between two looks at whether a frozen connection has thawed.
const LOOK: Duration = Duration::from_millis(10);

/// How long a connection that says nothing is kept.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// What happens to the connections that are open when the proxy is led elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// They are ended.
    Ended,
    /// They are kept and say nothing until [`FORGOTTEN`] is over, as behind a balancer that forgot them.
    Silent,
}

/// Stops when dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: AtomicU16,
    /// New connections are silent.
    frozen: Arc<AtomicBool>,
    over: AtomicBool,
    open: Mutex<Vec<Pipe>>,
}

/// One connection: both sides, and whether it is silent.
#[derive(Clone)]
struct Pipe {
    client: Arc<TcpStream>,
    server: Arc<TcpStream>,
    silent: Arc<AtomicBool>,
    frozen: Arc<AtomicBool>,
}

impl Proxy {
    /// Leads to this port of loopback.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(target),
            frozen: Arc::default(),
            over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                serving.connect(client);
            }
        });
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections to another port, and does this to those that are open.
    pub fn lead_to(&self, target: u16, open: Open) {
        self.shared.target.store(target, Ordering::SeqCst);
        let pipes: Vec<Pipe> = self.shared.open().drain(..).collect();
        if open == Open::Ended {
            pipes.iter().for_each(Pipe::end);
            return;
        }
        for pipe in &pipes {
            pipe.silent.store(true, Ordering::SeqCst);
        }
        thread::spawn(move || {
            thread::sleep(FORGOTTEN);
            pipes.iter().for_each(Pipe::end);
        });
    }

    /// Leads new connections to another port and leaves the others alone, as a DNS name does.
    pub fn lead_new_to(&self, target: u16) {
        self.shared.target.store(target, Ordering::SeqCst);
    }

    /// Takes everything and hands on nothing: a living proxy in front of a dead server.
    pub fn freeze(&self) {
        self.shared.frozen.store(true, Ordering::SeqCst);
    }

    /// Undoes [`Proxy::freeze`].
    pub fn thaw(&self) {
        self.shared.frozen.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        for pipe in self.shared.open().drain(..) {
            pipe.end();
        }
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<Pipe>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, client: TcpStream) {
        let target = self.target.load(Ordering::SeqCst);
        // A client whose server is away is let go, as by any proxy.
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { return };
        // A small packet that waits for the one before it is acknowledged would look like a slow server.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let pipe = Pipe {
            client: Arc::new(client),
            server: Arc::new(server),
            silent: Arc::default(),
            frozen: Arc::clone(&self.frozen),
        };
        let (there, back) = (pipe.clone(), pipe.clone());
        thread::spawn(move || there.pump(&there.client, &there.server));
        thread::spawn(move || back.pump(&back.server, &back.client));
        self.open().push(pipe);
    }
}

impl Pipe {
    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let length = from.read(&mut buffer).unwrap_or(0);
            while self.frozen.load(Ordering::SeqCst) {
                thread::sleep(LOOK);
            }
            if self.silent.load(Ordering::SeqCst) {
                // Neither data nor its end is handed on.
                if length == 0 {
                    return;
                }
                continue;
            }
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                return self.end();
            }
        }
    }

    fn end(&self) {
        let _ = (self.client.shutdown(Shutdown::Both), self.server.shutdown(Shutdown::Both));
    }
}
