//! A throw-away PostgreSQL for a test binary.
//!
//! [`server`] is one cluster for the whole process, on which every test gets a database of its own.
//! [`Cluster`] is a private one, for the test that stops, freezes or encrypts it. Both live under a
//! small shell script that reads our orders from a pipe: when this process ends, however it ends,
//! the pipe closes, and the script stops PostgreSQL and removes its folder. A destructor could not
//! do that: statics are not dropped, and `kill -9` runs nothing.

#![allow(dead_code, reason = "each test binary that includes this file uses a part of it")]

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fmt::Write as _,
    fs,
    hash::{BuildHasher, RandomState},
    io::{self, BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, Once, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use diesel::{
    Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, dsl::sql, sql_types::Integer,
};

/// Nothing here outlives the tests, so nothing waits for a disk. Autovacuum is off because its
/// visit to a template database delays the `CREATE DATABASE` that copies it.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
max_connections = 400
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_size = 128MB
max_wal_senders = 0
autovacuum = off
";

/// Added to them for a server that has a standby. A commit waits for what is asked of it, so that a
/// test may have it wait for a standby that is not there.
const REPLICATION: &str = "\
wal_level = replica
max_wal_senders = 4
synchronous_commit = on
hot_standby = on
wal_keep_size = 64MB
";

/// `$1` is the folder that holds everything, `$2` the folder of PostgreSQL's programs.
///
/// The signals are ignored so that what ends the tests (Ctrl-C, a runner's TERM, a closed pipe)
/// cannot end the script before it has cleaned up. `pg_ctl` rather than `postgres &`, because it
/// waits until connections are accepted and reports a server that dies at start. The server's
/// processes are sessions of their own, no process group reaches them all: `pause` freezes the
/// parent first, so that it cannot fork, and then its children.
const SUPERVISOR: &str = r#"
trap '' HUP INT TERM PIPE
folder=$1 programs=$2 frozen=

control() {
    "$programs/pg_ctl" --pgdata="$folder/data" --wait --timeout=60 --silent "$@" >>"$folder/log" 2>&1 </dev/null
}

children_of() {
    if [ -d /proc/self ]; then
        for stat in /proc/[0-9]*/stat; do
            { read -r pid name state parent rest <"$stat"; } 2>/dev/null || continue
            [ "$parent" = "$1" ] && echo "$pid"
        done
    else
        ps -A -o pid= -o ppid= | while read -r pid parent; do
            [ "$parent" = "$1" ] && echo "$pid"
        done
    fi
}

obey() {
    case $1 in
    init)
        "$programs/initdb" --pgdata="$folder/data" --username=tokenbooth --auth=trust --no-sync \
            --encoding=UTF8 --locale=C >"$folder/log" 2>&1 </dev/null &&
            echo "include '$folder/settings.conf'" >>"$folder/data/postgresql.conf"
        ;;
    copy)
        cp -R "$2/data" "$folder/data" && rm -f "$folder/data/postmaster.opts" &&
            grep -v '^include ' "$2/data/postgresql.conf" >"$folder/data/postgresql.conf" &&
            echo "include '$folder/settings.conf'" >>"$folder/data/postgresql.conf"
        ;;
    follow)
        touch "$folder/data/standby.signal" &&
            echo "primary_conninfo = 'host=127.0.0.1 port=$2 user=tokenbooth application_name=standby sslmode=disable'" \
                >>"$folder/settings.conf"
        ;;
    promote) control promote ;;
    start) control --log="$folder/log" --options="-p $2" start ;;
    stop) control --mode=fast stop ;;
    pause)
        read -r server <"$folder/data/postmaster.pid" && kill -s STOP "$server" || return 1
        frozen="$server $(children_of "$server")"
        kill -s STOP $frozen
        ;;
    resume)
        kill -s CONT $frozen
        frozen=
        ;;
    esac
}

while read -r order argument; do
    if obey "$order" "$argument"; then echo done; else echo failed; fi
done
[ -z "$frozen" ] || kill -s CONT $frozen
control --mode=immediate stop
rm -rf "$folder"
"#;

/// Where tests get their databases from.
pub struct Server {
    /// Leads to the maintenance database; the tests' URLs are this one with another path.
    url: String,
    /// Tells our databases from those of another run on the same server.
    run: u64,
    /// Also serialises `CREATE DATABASE … TEMPLATE …`, which PostgreSQL refuses while another one
    /// copies the template.
    connection: Mutex<PgConnection>,
    /// How to copy a template: by files where a checkpoint costs nothing, that is on our own
    /// server, twice as fast as through the log. From version 15 on it has to be asked for.
    strategy: &'static str,
    /// None when the server is somebody else's (`TEST_DATABASE_URL`).
    _cluster: Option<Cluster>,
}

/// The process's PostgreSQL, started at the first call. None, said once and loudly, when there is
/// none to be had.
///
/// # Panics
///
/// When PostgreSQL does not start, and when `TOKENBOOTH_REQUIRE_POSTGRES=1` and there is none: half
/// of the tests silently left out must not look like a pass.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::new).as_ref()
}

impl Server {
    fn new() -> Option<Self> {
        let (url, cluster) = match env::var("TEST_DATABASE_URL") {
            Ok(url) if !url.is_empty() => (url, None),
            _ => {
                let cluster = Cluster::start_own()?;
                (cluster.url(), Some(cluster))
            }
        };
        let mut connection = PgConnection::establish(&url)
            .unwrap_or_else(|error| panic!("cannot connect to the tests' PostgreSQL: {error}"));
        let version: i32 = diesel::select(sql::<Integer>("current_setting('server_version_num')::int"))
            .get_result(&mut connection)
            .unwrap_or_else(|error| panic!("the tests' PostgreSQL does not tell its version: {error}"));
        let strategy = if cluster.is_some() && version >= 150_000 { " STRATEGY FILE_COPY" } else { "" };
        Some(Self { url, run: random(), connection: Mutex::new(connection), strategy, _cluster: cluster })
    }

    /// A new database: empty, or a copy of the database named `template`, to which nobody may be
    /// connected.
    ///
    /// # Panics
    ///
    /// When PostgreSQL refuses: no `CREATEDB` right, or a template in use.
    pub fn create_database(&self, template: Option<&str>) -> Database {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        let name = format!("tokenbooth_test_{:016x}_{}", self.run, COUNTER.fetch_add(1, Ordering::Relaxed));
        let copying = template
            .map_or_else(String::new, |template| format!(r#" TEMPLATE "{template}"{}"#, self.strategy));
        let statement = format!(r#"CREATE DATABASE "{name}"{copying}"#);
        self.execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        Database { url: with_database(&self.url, &name), name }
    }

    fn execute(&self, statement: &str) -> diesel::QueryResult<()> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.batch_execute(statement)
    }
}

/// A database of one test.
pub struct Database {
    /// Ready for `DATABASE_URL`; on our own server it carries a query (`?sslmode=disable`), so
    /// append with `&`.
    pub url: String,
    pub name: String,
}

impl Drop for Database {
    /// On our own server too, although that goes as a whole in the end: until then each would hold
    /// 8 MB of memory.
    fn drop(&mut self) {
        if let Some(server) = server() {
            // Best effort: a leftover database fails no test, a panic while another one unwinds
            // ends the process.
            let _ = server.execute(&format!(r#"DROP DATABASE IF EXISTS "{}" WITH (FORCE)"#, self.name));
        }
    }
}

/// A PostgreSQL of one test's own.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    tls: bool,
    supervisor: Child,
    /// None only while being dropped: closing it is the order to clean up.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// None, said once and loudly, where PostgreSQL is not installed, also when `TEST_DATABASE_URL`
    /// is there: a test must not stop a server that others use.
    ///
    /// # Panics
    ///
    /// As [`server`].
    pub fn start_own() -> Option<Self> {
        Self::launch(None, SETTINGS, "init")
    }

    /// As [`Cluster::start_own`], but can be copied by [`Cluster::start_standby`].
    pub fn start_primary() -> Option<Self> {
        Self::launch(None, &format!("{SETTINGS}{REPLICATION}"), "init")
    }

    /// A hot standby that follows this one, which is stopped for a moment and copied file by file.
    pub fn start_standby(&mut self) -> Self {
        self.stop();
        let copied = format!("copy {}\nfollow {}", self.folder.display(), self.port);
        let standby = Self::launch(None, &format!("{SETTINGS}{REPLICATION}"), &copied)
            .unwrap_or_else(|| panic!("PostgreSQL is not installed any more"));
        self.start();
        standby
    }

    /// Makes a server that was stopped a standby of the one on this port.
    pub fn follow(&mut self, port: u16) {
        let order = format!("follow {port}");
        self.order(&order).unwrap_or_else(|log| panic!("it cannot be made a standby:\n{log}"));
    }

    /// Makes a standby a primary.
    pub fn promote(&mut self) {
        self.order("promote").unwrap_or_else(|log| panic!("the standby is not promoted:\n{log}"));
    }

    /// As [`Cluster::start_own`], but speaks TLS with the certificate and key (PEM) and refuses who
    /// does not.
    pub fn start_own_tls(certificate: &str, key: &str) -> Option<Self> {
        Self::launch(Some((certificate, key)), SETTINGS, "init")
    }

    /// The maintenance database `postgres`, which a test may use as its own. `sslmode=require` with
    /// TLS, which encrypts without looking at the certificate's names; for a stricter mode see
    /// [`Cluster::url_with`].
    pub fn url(&self) -> String {
        // Always explicit, or PGSSLMODE in the developer's environment would decide.
        self.url_with(if self.tls { "sslmode=require" } else { "sslmode=disable" })
    }

    /// The same database with other connection parameters, such as
    /// `sslmode=verify-full&sslrootcert=…`.
    pub fn url_with(&self, query: &str) -> String {
        format!("postgres://tokenbooth@127.0.0.1:{}/postgres?{query}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends all connections and the server; from now on connecting is refused.
    pub fn stop(&mut self) {
        self.order("stop").unwrap_or_else(|log| panic!("PostgreSQL does not stop:\n{log}"));
    }

    /// Undoes [`Cluster::stop`]: same port, same data. Returns when connections are accepted.
    pub fn start(&mut self) {
        let order = format!("start {}", self.port);
        self.order(&order).unwrap_or_else(|log| panic!("PostgreSQL does not start again:\n{log}"));
    }

    /// Freezes the server: connections stay open and new ones are taken by the kernel, but nobody
    /// answers.
    pub fn pause(&mut self) {
        self.order("pause").unwrap_or_else(|log| panic!("PostgreSQL cannot be frozen:\n{log}"));
    }

    /// Undoes [`Cluster::pause`].
    pub fn resume(&mut self) {
        self.order("resume").unwrap_or_else(|log| panic!("PostgreSQL cannot be resumed:\n{log}"));
    }

    fn launch(tls: Option<(&str, &str)>, settings: &str, first: &str) -> Option<Self> {
        let Some(programs) = find_programs() else {
            say_that_postgres_is_missing();
            return None;
        };
        let mut cluster = Self::supervise(&programs, tls, settings)
            .unwrap_or_else(|error| panic!("cannot set up PostgreSQL with {}: {error}", programs.display()));
        for order in first.lines() {
            cluster.order(order).unwrap_or_else(|log| panic!("there is no folder of data:\n{log}"));
        }
        for attempt in 1.. {
            cluster.port = free_port();
            match cluster.order(&format!("start {}", cluster.port)) {
                Ok(()) => break,
                Err(log) if attempt < 10 && log.contains("Address already in use") => {}
                Err(log) => panic!("PostgreSQL does not start:\n{log}"),
            }
        }
        Some(cluster)
    }

    fn supervise(programs: &Path, tls: Option<(&str, &str)>, settings: &str) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tokenbooth-postgres-").tempdir_in(roomy_folder())?;
        let path = folder.path().to_owned();

        let mut settings = format!("{settings}unix_socket_directories = '{}'\n", path.display());
        let mut files = vec!["settings.conf"];
        if let Some((certificate, key)) = tls {
            fs::write(path.join("server.crt"), certificate)?;
            fs::write(path.join("server.key"), key)?;
            fs::set_permissions(path.join("server.key"), fs::Permissions::from_mode(0o600))?;
            fs::write(path.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n")?;
            let at = path.display();
            write!(
                settings,
                "ssl = on\nssl_cert_file = '{at}/server.crt'\nssl_key_file = '{at}/server.key'\n\
                 hba_file = '{at}/pg_hba.conf'\n"
            )
            .map_err(io::Error::other)?;
            files.extend(["server.crt", "server.key", "pg_hba.conf"]);
        }
        fs::write(path.join("settings.conf"), settings)?;

        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "tokenbooth-postgres"]).arg(&path).arg(programs);
        // LC_ALL: we read "Address already in use" in the log. PG*: the developer's, meant for
        // other servers.
        command
            .current_dir("/")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for name in libpq_variables() {
            command.env_remove(name);
        }
        // Its own group, or Ctrl-C in the terminal would also reach initdb and pg_ctl.
        command.process_group(0);
        let we_are_root = fs::metadata(&path)?.uid() == 0;
        if we_are_root {
            let (uid, gid) = unprivileged_user()?;
            for file in files {
                chown(path.join(file), Some(uid), Some(gid))?;
            }
            chown(&path, Some(uid), Some(gid))?;
            command.uid(uid).gid(gid);
        }
        let mut supervisor = command.spawn()?;
        let orders = supervisor.stdin.take();
        let answers =
            supervisor.stdout.take().ok_or_else(|| io::Error::other("no pipe from the supervisor"))?;
        // From here on the supervisor removes it.
        let folder = folder.keep();
        Ok(Self { folder, port: 0, tls: tls.is_some(), supervisor, orders, answers: BufReader::new(answers) })
    }

    /// Waits until the supervisor has carried out the order; if it could not, returns the end of
    /// PostgreSQL's log.
    fn order(&mut self, order: &str) -> Result<(), String> {
        let log = self.folder.join("log");
        let log_before = fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let mut answer = String::new();
        let sent = self.orders.as_mut().is_some_and(|orders| writeln!(orders, "{order}").is_ok());
        if sent && self.answers.read_line(&mut answer).is_ok() && answer.trim_end() == "done" {
            return Ok(());
        }
        let log = fs::read(&log).unwrap_or_default();
        let news = log.get(usize::try_from(log_before).unwrap_or(0)..).unwrap_or(&log);
        Err(format!("{order}: {}\n{}", answer.trim_end(), String::from_utf8_lossy(news)))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
    }
}

/// The folder with `initdb`, `pg_ctl` and `postgres`: on `PATH`, or the newest where Debian and
/// Ubuntu hide it.
fn find_programs() -> Option<PathBuf> {
    let complete =
        |folder: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).find(complete).or_else(|| {
        fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let version: u32 = entry.file_name().to_str()?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            })
            .filter(|(_, folder)| complete(folder))
            .max()
            .map(|(_, folder)| folder)
    })
}

fn say_that_postgres_is_missing() {
    static SAID: Once = Once::new();
    const NOTICE: &str = "
**********************************************************************
*  NO POSTGRESQL: the PostgreSQL half of the tests is SKIPPED.       *
*                                                                    *
*  To run it, either install a server (it need not be started):      *
*      apt install postgresql                                        *
*  or name one on which the tests may create databases:              *
*      TEST_DATABASE_URL=postgres://user:password@host/postgres      *
*  (the tests that stop or encrypt the server need the installation) *
**********************************************************************

";
    assert!(env::var("TOKENBOOTH_REQUIRE_POSTGRES").as_deref() != Ok("1"), "{NOTICE}");
    SAID.call_once(|| {
        // Not `eprintln!`: libtest shows what that prints only when the test fails.
        let _ = io::stderr().write_all(NOTICE.as_bytes());
    });
}

/// Memory where there is plenty: a database is some 300 files, whose creation costs 20 ms there,
/// but was seen to take 300 ms on a disk. (A container's `/dev/shm` is often 64 MB: too small.)
///
/// Else `/tmp` and not TMPDIR: when we are root, the user we start PostgreSQL as may have no way
/// into it; and the path of a socket has to stay under some 100 bytes.
fn roomy_folder() -> &'static str {
    const WANTED_KIB: u64 = 1 << 20;
    let free_kib =
        Command::new("df").args(["-Pk", "/dev/shm"]).stderr(Stdio::null()).output().ok().and_then(|df| {
            let report = String::from_utf8(df.stdout).ok()?;
            let fields: Vec<&str> = report.lines().nth(1)?.split_whitespace().collect();
            // Device, size, used, free, percentage, mount point; the last one is `/` where it is
            // only a directory.
            (fields.last() == Some(&"/dev/shm")).then_some(fields.get(3)?.parse::<u64>().ok()?)
        });
    if free_kib.is_some_and(|free| free >= WANTED_KIB) { "/dev/shm" } else { "/tmp" }
}

/// PostgreSQL refuses to run as root, so root lends it another user.
pub fn unprivileged_user() -> io::Result<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd")?;
    let ids_of = |user: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == user).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    };
    ids_of("postgres").or_else(|| ids_of("nobody")).ok_or_else(|| {
        io::Error::other("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
    })
}

/// Below the range from which systems pick ports by themselves: while a cluster is stopped, no
/// connection of a test that runs beside it can be given its port. And none twice in one process: the
/// port of a cluster that is stopped looks free.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let start = u16::try_from(random() % 12_000).unwrap_or_default();
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    (0..12_000)
        .map(|step| 20_000 + (start + step) % 12_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok() && given.insert(*port))
        .unwrap_or_else(|| panic!("none of 12000 ports is free"))
}

fn libpq_variables() -> impl Iterator<Item = OsString> {
    env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("PG"))
}

/// The standard library's only source of randomness; enough for names and ports.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// `postgres://user@host:1/old?query` with another database. Not the `url` crate: it does not take
/// libpq's lists of hosts.
fn with_database(url: &str, database: &str) -> String {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let rest = &url[authority..];
    let end_of_authority = authority + rest.find(['/', '?']).unwrap_or(rest.len());
    let query = url[end_of_authority..].find('?').map_or("", |at| &url[end_of_authority + at..]);
    format!("{}/{database}{query}", &url[..end_of_authority])
}
