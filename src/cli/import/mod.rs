//! `tokenbooth import`: the users of another service, let in by the same providers. Safe to repeat.

mod fields;
mod records;
mod source;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use self::records::{Fields, Record};
use self::source::{Person, Source, Way};
use super::CommandError;
use super::database::open;
use crate::account::import::{self, IdentityOutcome, ImportedIdentity, UserOutcome};
use crate::clock::{Clock, SystemClock};
use crate::db::{self, DbConn, DbError};
use crate::event::Origin;
use crate::provider::is_subject;
use crate::settings::Settings;
use crate::user::{IdentityKey, UserId};

/// Records that share a commit.
const BATCH: u64 = 200;

#[derive(Args)]
pub(super) struct Import {
    /// Whose export it is
    #[arg(long)]
    from: Source,
    /// The users: JSON, CSV with a line of names, or the COPY blocks of `pg_dump`
    file: PathBuf,
    /// The identities, where they are a file of their own: Supabase's auth.identities, PocketBase's _externalAuths
    #[arg(long, value_name = "FILE")]
    identities: Option<PathBuf>,
    /// A provider there, and its name in our settings; google and github are known
    #[arg(long, value_name = "THEIRS=OURS", value_parser = provider_pair)]
    provider: Vec<(String, String)>,
    /// Take no e-mail address over: the other service called addresses verified that nobody had proved
    #[arg(long)]
    without_emails: bool,
    /// Write each user's id there and here to a file, as CSV
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// End with exit code 1 when anything was skipped
    #[arg(long)]
    strict: bool,
}

fn provider_pair(text: &str) -> Result<(String, String), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    match text.split_once('=') {
        Some((theirs, ours)) if !theirs.is_empty() && !ours.is_empty() && ours.chars().all(plain) => {
            Ok((theirs.to_owned(), ours.to_owned()))
        }
        _ => Err("expected their name, =, and the name in our settings, such as azure=microsoft".to_owned()),
    }
}

pub(super) fn run(settings: &Settings, options: &Import) -> Result<(), CommandError> {
    let mut conn = open(settings)?;
    let mut run = Run::new(options)?;
    if options.dry_run {
        // One transaction, which is never kept: identities find the users of the same run.
        let undone = db::change(&mut conn, |conn| {
            run.read_all(conn, options)?;
            Err::<(), _>(Stop::Undo)
        });
        match undone {
            Err(Stop::Undo) | Ok(()) => {}
            Err(Stop::Failed(error)) => return Err(error),
        }
    } else {
        run.read_all(&mut conn, options).map_err(|stop| match stop {
            Stop::Failed(error) => error,
            Stop::Undo => CommandError::Told,
        })?;
    }
    run.tell(options)
}

/// Why reading ends before the file does.
enum Stop {
    Failed(CommandError),
    Undo,
}

impl From<CommandError> for Stop {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Failed(error.into())
    }
}

#[derive(Default)]
struct Count {
    imported: u64,
    here: u64,
    skipped: u64,
}

/// One run, and what it did so far.
struct Run {
    source: Source,
    providers: BTreeMap<String, String>,
    without_emails: bool,
    origin: Origin,
    map: Option<BufWriter<File>>,
    users: Count,
    identities: Count,
    passwords: u64,
    /// Users whom nothing lets in so far.
    locked_out: i64,
}

impl Run {
    fn new(options: &Import) -> Result<Self, CommandError> {
        let known = options.from.known_providers().map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()));
        let map = options.map.as_ref().map(File::create).transpose()?.map(BufWriter::new);
        Ok(Self {
            source: options.from,
            providers: known.into_iter().chain(options.provider.iter().cloned()).collect(),
            without_emails: options.without_emails,
            origin: Origin::command_line(SystemClock.now()),
            map,
            users: Count::default(),
            identities: Count::default(),
            passwords: 0,
            locked_out: 0,
        })
    }

    fn read_all(&mut self, conn: &mut DbConn, options: &Import) -> Result<(), Stop> {
        let batch = if options.dry_run { u64::MAX } else { BATCH };
        if let Some(map) = &mut self.map {
            writeln!(map, "{},tokenbooth", self.source.name()).map_err(CommandError::from)?;
        }
        self.read(conn, &options.file, batch, false)?;
        if let Some(file) = &options.identities {
            self.read(conn, file, batch, true)?;
        }
        if let Some(map) = &mut self.map {
            map.flush().map_err(CommandError::from)?;
        }
        Ok(())
    }

    /// Reads a file, so many records to a commit; with no end to a batch the caller has a transaction around all of it.
    fn read(
        &mut self,
        conn: &mut DbConn,
        file: &std::path::Path,
        batch: u64,
        identities: bool,
    ) -> Result<(), CommandError> {
        let mut waiting = Vec::new();
        records::read(file, &mut |record| {
            waiting.push(record);
            if waiting.len() as u64 >= batch.min(BATCH) {
                self.store(conn, &mut waiting, batch, identities)?;
            }
            Ok(())
        })?;
        self.store(conn, &mut waiting, batch, identities)
    }

    fn store(
        &mut self,
        conn: &mut DbConn,
        waiting: &mut Vec<Record>,
        batch: u64,
        identities: bool,
    ) -> Result<(), CommandError> {
        let records = std::mem::take(waiting);
        let all = |conn: &mut DbConn| {
            records.into_iter().try_for_each(|record| self.take(conn, &record, identities))
        };
        if batch == u64::MAX { all(conn) } else { db::change(conn, all) }
    }

    fn take(&mut self, conn: &mut DbConn, record: &Record, identities: bool) -> Result<(), CommandError> {
        // A whole database has more tables than these two.
        let identities = match record.table.as_deref().map(|table| table.rsplit('.').next().unwrap_or(table))
        {
            None => identities,
            Some("users") => false,
            Some("identities" | "_externalAuths") => true,
            Some(_) => return Ok(()),
        };
        let fields = match &record.fields {
            Ok(fields) => fields,
            Err(problem) => return self.skip(record, identities, problem),
        };
        if identities {
            self.take_identity(conn, record, fields)
        } else {
            self.take_user(conn, record, fields)
        }
    }

    fn take_user(&mut self, conn: &mut DbConn, record: &Record, fields: &Fields) -> Result<(), CommandError> {
        let Person { mut user, identities, has_password } = match self.source.person(fields, self.origin.at) {
            Ok(person) => person,
            Err(problem) => return self.skip(record, false, problem),
        };
        if self.without_emails {
            user.email = None;
        }
        match import::user(conn, &user, self.source.name(), &self.origin)? {
            UserOutcome::Imported => {
                self.users.imported += 1;
                self.locked_out += 1;
            }
            UserOutcome::Here { way_in } => {
                self.users.here += 1;
                self.locked_out += i64::from(!way_in);
            }
        }
        self.passwords += u64::from(has_password);
        if let (Some(map), Ok(theirs)) = (&mut self.map, self.source.their_id(fields)) {
            writeln!(map, "{theirs},{}", user.id)?;
        }
        identities.into_iter().try_for_each(|way| self.link(conn, record, user.id, way))
    }

    fn take_identity(
        &mut self,
        conn: &mut DbConn,
        record: &Record,
        fields: &Fields,
    ) -> Result<(), CommandError> {
        let way = match self.source.way(fields) {
            Ok(way) => way,
            Err(problem) => return self.skip(record, true, problem),
        };
        let owner = way.owner.as_deref().ok_or("it names no user");
        match owner.and_then(|theirs| self.source.user_id(theirs)) {
            Ok(user_id) => self.link(conn, record, user_id, way),
            Err(problem) => self.skip(record, true, problem),
        }
    }

    fn link(
        &mut self,
        conn: &mut DbConn,
        record: &Record,
        user_id: UserId,
        way: Way,
    ) -> Result<(), CommandError> {
        if Source::is_no_provider(&way.provider) {
            return Ok(());
        }
        let Some(provider) = self.providers.get(&way.provider) else {
            let problem = format!(
                "no provider here is known for {0}: add --provider {0}=<name in our settings>, if its ids are the same",
                way.provider.escape_debug()
            );
            return self.skip(record, true, &problem);
        };
        let Some(provider_id) = way.provider_id.filter(|id| is_subject(id)) else {
            return self.skip(record, true, "it has no usable id of the provider");
        };
        let identity = ImportedIdentity {
            key: IdentityKey { provider: provider.clone(), provider_id },
            email_verified: way.email_verified,
            email: way.email.filter(|_| !self.without_emails),
            created_at: way.created_at,
            last_used_at: way.last_used_at,
        };
        match import::identity(conn, user_id, &identity, &self.origin)? {
            IdentityOutcome::Imported { first } => {
                self.identities.imported += 1;
                self.locked_out -= i64::from(first);
                Ok(())
            }
            IdentityOutcome::Here => {
                self.identities.here += 1;
                Ok(())
            }
            IdentityOutcome::Taken(other) => {
                let problem = format!("{provider}'s identity lets user {other} in already, not {user_id}");
                self.skip(record, true, &problem)
            }
            IdentityOutcome::NoSuchUser => self.skip(record, true, "its user is not here"),
        }
    }

    /// Says why something is not taken over: by its place, since its content is somebody's.
    fn skip(&mut self, record: &Record, identity: bool, problem: &str) -> Result<(), CommandError> {
        let (what, count) =
            if identity { ("identity", &mut self.identities) } else { ("user", &mut self.users) };
        count.skipped += 1;
        Ok(writeln!(io::stderr(), "{}: {what} skipped: {problem}", record.place)?)
    }

    fn tell(&self, options: &Import) -> Result<(), CommandError> {
        let mut out = io::stdout().lock();
        for (what, Count { imported, here, skipped }) in
            [("users", &self.users), ("identities", &self.identities)]
        {
            writeln!(out, "{what:<12}{imported} imported, {here} here already, {skipped} skipped")?;
        }
        if self.passwords > 0 {
            writeln!(
                out,
                "{} passwords were NOT taken over: their hashes are of another kind. Whoever signs in by a provider may set a new one",
                self.passwords
            )?;
        }
        if self.locked_out > 0 {
            writeln!(
                out,
                "{} users have NO way in: no identity of theirs is here. With accounts.link_verified_email = true a provider that has \
                 verified the same address lets them in",
                self.locked_out
            )?;
        }
        if options.dry_run {
            writeln!(out, "Dry run: nothing was written.")?;
        }
        let skipped = self.users.skipped + self.identities.skipped;
        if options.strict && skipped > 0 { Err(CommandError::Told) } else { Ok(()) }
    }
}
