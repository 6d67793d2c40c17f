//! Lists in pages: `limit`, `after`, and in the answer `next`, which is the `after` of the next page.
//!
//! A cursor is the last item's id with an HMAC: one that we did not issue, or for another list, is refused, and clients do
//! not come to rely on what is in it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::{ApiError, Code};
use crate::token::CursorKeys;

const MAX_LIMIT: usize = 200;
const DEFAULT_LIMIT: usize = 50;
const TAG_BYTES: usize = 16;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// At most `limit` items.
    pub(super) items: Vec<T>,
    /// What to send as `after` for the next page; null when this is the last one.
    pub(super) next: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items on a page, 1 to 200; 50 when absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    pub(super) limit: Option<String>,
    /// `next` of the page before.
    #[param(min_length = 1)]
    pub(super) after: Option<String>,
}

/// What of a list is wanted, read from the query.
pub(super) struct Wanted {
    list: &'static str,
    /// The last id of the page before.
    pub(super) after: Option<Uuid>,
    limit: usize,
}

impl Wanted {
    /// Reads the query's `limit` and `after` for the list of this name.
    ///
    /// # Errors
    /// 400 for a limit that is not 1 to 200, and for a cursor that is not ours.
    pub(super) fn read(list: &'static str, query: &PageQuery, keys: &CursorKeys) -> Result<Self, ApiError> {
        let limit = match &query.limit {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| {
                    (1..=MAX_LIMIT).contains(limit) && text.bytes().all(|byte| byte.is_ascii_digit())
                })
                .ok_or_else(|| {
                    let detail = format!("limit must be a whole number from 1 to {MAX_LIMIT}");
                    ApiError::new(Code::InvalidRequest, detail)
                })?,
        };
        let after = query.after.as_deref().map(|text| {
            read_cursor(list, text, keys).ok_or_else(|| {
                ApiError::new(Code::InvalidRequest, "after must be the \"next\" of a page of this list")
            })
        });
        Ok(Self { list, after: after.transpose()?, limit })
    }

    /// How many rows to ask for: one more than the page holds, which says whether there is a next page.
    pub(super) fn rows(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// The page, of the rows that were found.
    pub(super) fn page<R, T: From<R>>(
        &self,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> Uuid,
        keys: &CursorKeys,
    ) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| more).map(id);
        Page {
            items: rows.into_iter().map(T::from).collect(),
            next: last.map(|id| write_cursor(self.list, id, keys)),
        }
    }
}

fn write_cursor(list: &str, id: Uuid, keys: &CursorKeys) -> String {
    let tag = keys.tag(&signed(list, id));
    BASE64_URL_SAFE_NO_PAD.encode([&id.as_bytes()[..], &tag[..TAG_BYTES]].concat())
}

fn read_cursor(list: &str, text: &str, keys: &CursorKeys) -> Option<Uuid> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (id, tag) = bytes.split_first_chunk::<16>()?;
    let id = Uuid::from_bytes(*id);
    // It guards no secret: how long the comparison takes may be known.
    keys.any_tag(&signed(list, id), |expected| expected[..TAG_BYTES] == *tag).then_some(id)
}

fn signed(list: &str, id: Uuid) -> Vec<u8> {
    [list.as_bytes(), b"\0", id.as_bytes()].concat()
}
