//! `make bench-scale`: a thousand users, a hundred thousand, a million, on both databases. A read and an exchange must
//! cost about the same whatever the size.

mod populate;
mod verdict;

use clap::Args;
use diesel::connection::SimpleConnection;
use tempfile::TempDir;
use tokenbooth::db::{self, DatabaseUrl};
use tokenbooth::mock::MockProviders;

use self::populate::populate;
use self::verdict::{Deviation, deviations};
use crate::backend::Backend;
use crate::error::{Result, failed};
use crate::http;
use crate::load::{Pressure, Traffic};
use crate::people;
use crate::postgres::Cluster;
use crate::sample::{Ending, Sample, sample, sample_exchanges};
use crate::server::Server;

/// How many of the users take turns, spread over the table.
const TAKING_TURNS: usize = 1000;

/// How long and how many.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How often each measurement is made; the median decides
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Users in the table; the first size is what the others are compared with
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    sizes: Vec<usize>,
}

/// tokenbooth on a database of one size.
struct Booth {
    size: usize,
    server: Server,
    tokens: Vec<String>,
    id_tokens: Vec<String>,
}

/// One measurement at every size, round by round.
pub(crate) type RoundsBySize = Vec<Vec<Sample>>;

/// Measures, prints, and refuses what gets worse with the size.
///
/// # Errors
/// What stops a measurement; a median that is worse by more than [`verdict::TOLERANCE`].
pub fn run(arguments: &Arguments) -> Result<()> {
    let mock = actix_web::rt::System::new().block_on(MockProviders::start())?;
    let cluster = Cluster::start_own().ok_or_else(|| {
        failed("PostgreSQL is missing: apt-get install postgresql (it need not be started)")
    })?;
    let folder = tempfile::tempdir()?;
    let mut all = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let booths = arguments
            .sizes
            .iter()
            .map(|size| booth(&mock, &empty_database(backend, *size, &cluster, &folder)?, *size))
            .collect::<Result<Vec<_>>>()?;
        all.extend(measure(arguments, backend, &booths)?);
    }
    let worse = all.iter().filter(|deviation| deviation.is_too_much()).count();
    for deviation in &all {
        println!("{deviation}");
    }
    if worse > 0 {
        return Err(failed(format!("{worse} measurements get worse with the number of users")));
    }
    Ok(())
}

/// The address of a database of its own.
fn empty_database(backend: Backend, size: usize, cluster: &Cluster, folder: &TempDir) -> Result<String> {
    match backend {
        Backend::Sqlite => Ok(format!("sqlite://{}", folder.path().join(format!("{size}.db")).display())),
        Backend::Postgres => {
            let name = format!("users_{size}");
            let url = DatabaseUrl::parse(&cluster.url()).map_err(|error| failed(error.to_string()))?;
            db::connect(&url)?.batch_execute(&format!("CREATE DATABASE {name}"))?;
            Ok(cluster.url().replace("/postgres?", &format!("/{name}?")))
        }
    }
}

fn booth(mock: &MockProviders, url: &str, size: usize) -> Result<Booth> {
    populate(url, size)?;
    let server = Server::tokenbooth(mock, url, "warn")?;
    let step = (size / TAKING_TURNS).max(1);
    let numbers = (0..size).step_by(step).take(TAKING_TURNS);
    let id_tokens: Vec<String> = numbers.map(|number| people::id_token(mock, number)).collect();
    let exchanged = id_tokens.iter().map(|id_token| http::exchange(server.port, id_token));
    let tokens = exchanged.collect::<Result<_>>()?;
    Ok(Booth { size, server, tokens, id_tokens })
}

fn measure(arguments: &Arguments, backend: Backend, booths: &[Booth]) -> Result<Vec<Deviation>> {
    let (mut reads, mut exchanges) = (RoundsBySize::new(), RoundsBySize::new());
    for round in 0..=arguments.rounds {
        // Round 0 is the warm-up.
        let seconds = if round == 0 { 1 } else { arguments.seconds };
        let pressure = Pressure { connections: arguments.connections, seconds, delay: None };
        let read = booths.iter().map(|booth| sample(&booth.server, &Traffic::Read(&booth.tokens), pressure));
        let read: Vec<Sample> = read.collect::<Result<_>>()?;
        let exchange = booths.iter().map(|booth| {
            sample_exchanges(&booth.server, &Traffic::Exchange(&booth.id_tokens), pressure, Ending::Known)
        });
        let exchange: Vec<Sample> = exchange.collect::<Result<_>>()?;
        for (kind, samples) in [("read", &read), ("exchange", &exchange)] {
            for (booth, sample) in booths.iter().zip(samples) {
                println!(
                    "round {round}  {backend:<10} {kind:<8} {:>9} users {:>8.0} requests/s  own CPU {:>6.1} µs",
                    booth.size,
                    sample.outcome.rate(),
                    sample.cpu_micros
                );
            }
        }
        if round > 0 {
            reads.push(read);
            exchanges.push(exchange);
        }
    }
    let sizes: Vec<usize> = booths.iter().map(|booth| booth.size).collect();
    let mut all = deviations(&format!("{backend} read"), &sizes, &reads);
    all.extend(deviations(&format!("{backend} exchange"), &sizes, &exchanges));
    Ok(all)
}
