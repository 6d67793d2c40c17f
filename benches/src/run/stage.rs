//! What a run needs: the mock providers, two databases, the servers on them, and a thousand people known to both.

use diesel::connection::SimpleConnection;
use tempfile::TempDir;
use tokenbooth::db::{self, DatabaseUrl};
use tokenbooth::mock::MockProviders;

use crate::backend::Backend;
use crate::error::{Result, failed};
use crate::http;
use crate::people;
use crate::postgres::Cluster;
use crate::server::Server;

/// How many people take turns.
pub const PEOPLE: usize = 1000;

/// tokenbooth on one database.
pub struct Booth {
    pub backend: Backend,
    pub server: Server,
    /// Our tokens of the people.
    pub tokens: Vec<String>,
}

/// Everything that runs. What stands first is stopped first.
pub struct Stage {
    pub floor: Server,
    pub booths: [Booth; 2],
    pub sqlite_url: String,
    /// Google's tokens of the same people.
    pub id_tokens: Vec<String>,
    pub mock: MockProviders,
    cluster: Cluster,
    _folder: TempDir,
}

impl Stage {
    /// Starts everything; nobody has signed in yet.
    ///
    /// # Errors
    /// PostgreSQL is missing, or a server does not become ready.
    pub fn set_up() -> Result<Self> {
        let mock = actix_web::rt::System::new().block_on(MockProviders::start())?;
        let cluster = Cluster::start_own().ok_or_else(|| {
            failed("PostgreSQL is missing: apt-get install postgresql (it need not be started)")
        })?;
        let folder = tempfile::tempdir()?;
        let sqlite_url = format!("sqlite://{}", folder.path().join("bench.db").display());
        let booth = |backend, url: &str| -> Result<Booth> {
            Ok(Booth { backend, server: Server::tokenbooth(&mock, url, "warn")?, tokens: Vec::new() })
        };
        let booths = [booth(Backend::Sqlite, &sqlite_url)?, booth(Backend::Postgres, &cluster.url())?];
        let floor = Server::floor()?;
        Ok(Self { floor, booths, sqlite_url, id_tokens: Vec::new(), mock, cluster, _folder: folder })
    }

    /// Does for PostgreSQL what its autovacuum, which is off here, would have done within a minute.
    ///
    /// # Errors
    /// PostgreSQL refuses.
    pub fn tidy_up(&self) -> Result<()> {
        let url = DatabaseUrl::parse(&self.cluster.url()).map_err(|error| failed(error.to_string()))?;
        Ok(db::connect(&url)?.batch_execute("VACUUM (ANALYZE)")?)
    }

    /// Signs a thousand people in, on both databases.
    ///
    /// # Errors
    /// An exchange is refused.
    pub fn with_people(mut self) -> Result<Self> {
        self.id_tokens = people::id_tokens(&self.mock, 0..PEOPLE);
        for booth in &mut self.booths {
            booth.tokens = self
                .id_tokens
                .iter()
                .map(|id_token| http::exchange(booth.server.port, id_token))
                .collect::<Result<_>>()?;
        }
        self.tidy_up()?;
        Ok(self)
    }
}
