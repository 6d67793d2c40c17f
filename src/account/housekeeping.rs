//! Throwing away what has had its time: events past `events.retention`, rejected sign-ins past `events.refused_retention` or
//! `events.refused_rows`, sessions that nobody can refresh any more, the marks of one-time codes that have ended, revocations and ended
//! sessions that end no token any more, and removed identities of which no ID token is valid any more.

use std::fmt;
use std::time::Duration;

use crate::clock::{SharedClock, Timestamp};
use crate::db::{
    Db, DbConn, DbError, ended_sessions, events, removed_identities, revocations, sessions, spent_codes,
};
use crate::provider::MAX_ID_TOKEN_LIFE;
use crate::settings::{EventsSettings, Settings};

/// Rows of one transaction: whoever else wants to write waits for milliseconds, not for the whole of it.
const BATCH: u16 = 1000;
/// A process that is started again and again should do its work first.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_hours(1);
/// Seconds that another replica's clock may be behind, with much to spare.
const CLOCK_SKEW: i64 = 60 * 60;

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows of `events`, but for those of rejected sign-ins that are not as old.
    pub events: usize,
    /// Rows of `events` of rejected sign-ins.
    pub refused: usize,
    /// Rows of `sessions`.
    pub sessions: usize,
    /// Rows of `spent_codes`.
    pub spent_codes: usize,
    /// Rows of `revocations`.
    pub revocations: usize,
    /// Rows of `ended_sessions`.
    pub ended_sessions: usize,
    /// Rows of `removed_identities`.
    pub removed_identities: usize,
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, refused, sessions, spent_codes, revocations, ended_sessions, removed_identities } =
            self;
        write!(
            f,
            "{events} events, {refused} rejected sign-ins, {sessions} sessions, {spent_codes} spent codes, \
             {revocations} revocations, {ended_sessions} ended sessions, {removed_identities} removed identities"
        )
    }
}

/// Removes what is too old at `now`. Several replicas may do so at the same moment.
///
/// # Errors
/// The database's; what was removed until then stays removed.
pub async fn sweep(db: &Db, settings: &Settings, now: Timestamp) -> Result<Swept, DbError> {
    let (refresh, access_ttl) = (settings.refresh, settings.token.access_ttl);
    let kept_since = now.before(settings.events.retention);
    // A session past `absolute_ttl` was begun before it, and may be used until then; unused for so long it is over anyway.
    let used_since = now.before(refresh.idle_ttl.min(refresh.absolute_ttl));
    Ok(Swept {
        events: in_batches(db, move |conn, limit| events::delete_before(conn, kept_since, limit)).await?,
        refused: sweep_refused(db, settings.events, now).await?,
        sessions: in_batches(db, move |conn, limit| sessions::delete_unused_since(conn, used_since, limit))
            .await?,
        // A replica whose clock is behind still takes a code that has ended here.
        spent_codes: in_batches(db, move |conn, limit| {
            spent_codes::delete_before(conn, now.plus(-CLOCK_SKEW), limit)
        })
        .await?,
        // What was issued a moment before has ended by then.
        revocations: in_batches(db, move |conn, limit| {
            revocations::delete_before(conn, now.before(access_ttl).plus(-CLOCK_SKEW), limit)
        })
        .await?,
        ended_sessions: in_batches(db, move |conn, limit| {
            ended_sessions::delete_before(conn, now.before(access_ttl).plus(-CLOCK_SKEW), limit)
        })
        .await?,
        removed_identities: in_batches(db, move |conn, limit| {
            removed_identities::delete_before(conn, now.plus(-MAX_ID_TOKEN_LIFE - CLOCK_SKEW), limit)
        })
        .await?,
    })
}

async fn sweep_refused(db: &Db, settings: EventsSettings, now: Timestamp) -> Result<usize, DbError> {
    let kept_since = now.before(settings.refused_retention);
    let too_old =
        in_batches(db, move |conn, limit| events::delete_refused_before(conn, kept_since, limit)).await?;
    Ok(too_old + trim_refused(db, settings.refused_rows).await?)
}

/// Deletes the oldest rejected sign-ins if there are more than `kept` rows of them, and returns how many.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub(super) async fn trim_refused(db: &Db, kept: u32) -> Result<usize, DbError> {
    // As a read of its own: on SQLite, whoever wants to write would wait for it.
    let Some(id) = db.run(move |conn| events::newest_refused_beyond(conn, kept)).await? else { return Ok(0) };
    in_batches(db, move |conn, limit| events::delete_refused_up_to(conn, &id, limit)).await
}

async fn in_batches(
    db: &Db,
    delete: impl Fn(&mut DbConn, i64) -> Result<usize, DbError> + Clone + Send + 'static,
) -> Result<usize, DbError> {
    let mut removed = 0;
    loop {
        let delete = delete.clone();
        let batch = db.write(move |conn| delete(conn, BATCH.into())).await?;
        removed += batch;
        if batch < usize::from(BATCH) {
            return Ok(removed);
        }
    }
}

/// The task that sweeps, a minute after the start and then every hour. It ends when this is dropped.
pub(crate) struct Housekeeping {
    task: tokio::task::JoinHandle<()>,
}

impl Housekeeping {
    /// Starts the task. Needs a Tokio runtime.
    pub(crate) fn start(db: &Db, settings: &Settings, clock: &SharedClock) -> Self {
        let (db, settings, clock) = (db.clone(), settings.clone(), clock.clone());
        let task = async move {
            tokio::time::sleep(FIRST_PAUSE).await;
            loop {
                match sweep(&db, &settings, clock.now()).await {
                    Ok(swept) if swept == Swept::default() => {}
                    Ok(swept) => log::info!("removed what has had its time: {swept}"),
                    Err(error) => log::warn!("what has had its time could not be removed: {error}"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        Self { task: tokio::spawn(task) }
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}
