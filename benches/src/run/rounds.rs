//! The measurements that are compared with the floor. Each round measures everything once, the floor first, so that a
//! machine that slows down slows all of them; ratios are within a round.

use super::goals::{self, Verdict};
use super::report;
use super::stage::{Booth, PEOPLE, Stage};
use super::{Arguments, Part};
use crate::backend::Backend;
use crate::error::Result;
use crate::load::{Pressure, Traffic};
use crate::people;
use crate::sample::{Ending, Sample, sample, sample_exchanges};
use crate::statistics::{median, range};

/// How many first logins a second the warm-up is given tokens for, as a part of the floor's rate: four times the goal.
const MOST_FIRST_LOGINS: f64 = 0.25;
/// How many more first logins than in the fastest round so far a round is given tokens for.
const RESERVE: f64 = 1.4;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `GET /api/me` by a thousand users.
    Read,
    /// Exchange of a known user's ID token.
    Exchange,
    /// The same with `offline_access`: a session is stored, and a refresh token comes with the answer.
    OfflineExchange,
    /// Exchange of an ID token of somebody new.
    FirstLogin,
}

impl Kind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Exchange => "exchange",
            Self::OfflineExchange => "offline exchange",
            Self::FirstLogin => "first login",
        }
    }

    fn part(self) -> Part {
        match self {
            Self::Read => Part::Read,
            Self::Exchange => Part::Exchange,
            Self::OfflineExchange => Part::OfflineExchange,
            Self::FirstLogin => Part::FirstLogin,
        }
    }
}

/// One kind of request on one database, in every round.
#[derive(Debug)]
pub struct Row {
    pub backend: Backend,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

/// Everything measured in rounds.
#[derive(Debug)]
pub struct Rounds {
    pub floor: Vec<Sample>,
    pub rows: Vec<Row>,
    /// What the mock providers were asked during the exchanges of known users.
    pub outbound: u64,
}

/// Measures `--rounds` rounds after a short warm-up.
///
/// # Errors
/// Those of the measurements.
pub fn measure(arguments: &Arguments, stage: &Stage) -> Result<Rounds> {
    let kinds = [Kind::Read, Kind::Exchange, Kind::OfflineExchange, Kind::FirstLogin];
    // Half of the highest rate wants the highest rate.
    let half_of_it = |kind: &Kind| *kind == Kind::Read && arguments.wants(Part::HalfRate);
    let cases = kinds.into_iter().filter(|kind| arguments.wants(kind.part()) || half_of_it(kind));
    let rows = cases.flat_map(|kind| {
        stage.booths.iter().map(move |booth| Row { backend: booth.backend, kind, samples: Vec::new() })
    });
    let mut rounds = Rounds { floor: Vec::new(), rows: rows.collect(), outbound: 0 };
    if rounds.rows.is_empty() {
        return Ok(rounds);
    }
    let mut newcomers = Newcomers { next: PEOPLE, rate: None };
    let pressure = |seconds| Pressure { connections: arguments.connections, seconds, delay: None };
    for round in 0..=arguments.rounds {
        // Round 0 is the warm-up: it is shown and not counted.
        let seconds = if round == 0 { 1 } else { arguments.seconds };
        rounds.round(stage, pressure(seconds), &mut newcomers, round)?;
        if round == 0 {
            rounds.floor.clear();
            rounds.rows.iter_mut().for_each(|row| row.samples.clear());
        }
    }
    Ok(rounds)
}

/// The supply of people that no database knows.
struct Newcomers {
    /// The number of the next one.
    next: usize,
    /// The highest rate seen, per second.
    rate: Option<f64>,
}

impl Rounds {
    fn round(
        &mut self,
        stage: &Stage,
        pressure: Pressure,
        newcomers: &mut Newcomers,
        round: u32,
    ) -> Result<()> {
        let [first, ..] = &stage.booths;
        let floor = sample(&stage.floor, &Traffic::Read(&first.tokens), pressure)?;
        report::sample(round, "floor", "read", &floor, &floor);
        let mut fresh = Vec::new();
        for row in &mut self.rows {
            let Some(booth) = stage.booths.iter().find(|booth| booth.backend == row.backend) else {
                continue;
            };
            if row.kind == Kind::FirstLogin && fresh.is_empty() {
                fresh = newcomers.mint(stage, pressure, &floor);
            }
            let asked_before = stage.mock.total_requests();
            let sample = row.measure(booth, stage, pressure, &fresh)?;
            match row.kind {
                Kind::Read => {}
                Kind::Exchange | Kind::OfflineExchange => {
                    self.outbound += stage.mock.total_requests() - asked_before;
                }
                Kind::FirstLogin => newcomers.saw(sample.outcome.rate()),
            }
            report::sample(round, &row.backend.to_string(), row.kind.name(), &sample, &floor);
            row.samples.push(sample);
        }
        self.floor.push(floor);
        stage.tidy_up()
    }

    /// The goals that these measurements have.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for row in &self.rows {
            let what = format!("{} {}", row.backend, row.kind.name());
            let (ratio, ..) = row.ratio(&self.floor);
            let goal = goals::least_ratio(row.backend, row.kind);
            verdicts.push(Verdict::at_least(format!("{what}: ratio to the floor"), ratio, goal));
            if row.kind == Kind::Read {
                let cpu = row.cpu_in_floor_requests(&self.floor);
                let what = format!("{what}: own CPU in floor requests");
                verdicts.push(Verdict::at_most(what, cpu, goals::most_cpu(row.backend), ""));
            }
        }
        if self.rows.iter().any(|row| row.kind == Kind::Exchange) {
            let asked = u32::try_from(self.outbound).map_or(f64::INFINITY, f64::from);
            verdicts.push(Verdict::at_most("requests to the provider during exchanges", asked, 0.0, ""));
        }
        verdicts
    }

    /// Requests per second, the median of this row.
    pub fn rate(&self, backend: Backend, kind: Kind) -> Option<f64> {
        let row = self.rows.iter().find(|row| (row.backend, row.kind) == (backend, kind))?;
        Some(median_of(&row.samples, |sample| sample.outcome.rate()))
    }
}

impl Row {
    fn measure(&self, booth: &Booth, stage: &Stage, pressure: Pressure, fresh: &[String]) -> Result<Sample> {
        let server = &booth.server;
        match self.kind {
            Kind::Read => sample(server, &Traffic::Read(&booth.tokens), pressure),
            Kind::Exchange => {
                sample_exchanges(server, &Traffic::Exchange(&stage.id_tokens), pressure, Ending::Known)
            }
            Kind::OfflineExchange => {
                sample_exchanges(server, &Traffic::OfflineExchange(&stage.id_tokens), pressure, Ending::Known)
            }
            Kind::FirstLogin => {
                sample_exchanges(server, &Traffic::ExchangeOnce(fresh), pressure, Ending::New)
            }
        }
    }

    /// Requests per second as a part of the floor's in the same round: median, least, greatest.
    pub fn ratio(&self, floor: &[Sample]) -> (f64, f64, f64) {
        let ratios: Vec<f64> = self
            .samples
            .iter()
            .zip(floor)
            .map(|(own, floor)| own.outcome.rate() / floor.outcome.rate())
            .collect();
        let (least, greatest) = range(&ratios);
        (median(&ratios), least, greatest)
    }

    /// CPU time per request, in those of the floor in the same round.
    pub fn cpu_in_floor_requests(&self, floor: &[Sample]) -> f64 {
        let pairs = self.samples.iter().zip(floor);
        median(&pairs.map(|(own, floor)| own.cpu_micros / floor.cpu_micros).collect::<Vec<_>>())
    }
}

impl Newcomers {
    /// ID tokens of people nobody knows, enough for this round on any of the databases.
    fn mint(&mut self, stage: &Stage, pressure: Pressure, floor: &Sample) -> Vec<String> {
        let rate = self.rate.map_or(floor.outcome.rate() * MOST_FIRST_LOGINS, |rate| rate * RESERVE);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of tokens, rounded"
        )]
        let per_second = rate as usize;
        let seconds = usize::try_from(pressure.seconds).unwrap_or(usize::MAX);
        let count = per_second.saturating_mul(seconds).saturating_add(4 * pressure.connections);
        let numbers = self.next..self.next + count;
        self.next = numbers.end;
        people::id_tokens(&stage.mock, numbers)
    }

    fn saw(&mut self, rate: f64) {
        self.rate = Some(self.rate.map_or(rate, |known| known.max(rate)));
    }
}

/// The median of one number of all samples.
pub fn median_of(samples: &[Sample], number: impl Fn(&Sample) -> f64) -> f64 {
    median(&samples.iter().map(number).collect::<Vec<_>>())
}
