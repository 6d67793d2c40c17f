//! What the pages need besides their HTML: in the binary, under URLs that change with the content.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::digest;
use serde::Deserialize;

use crate::error::{ApiError, Code};

/// Enough of the digest to tell two versions of a file apart.
const HASH_BYTES: usize = 8;
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
    /// When the first page is asked for: most processes never are.
    hash: LazyLock<String>,
}

static STYLE: Asset = Asset {
    name: "style.css",
    content_type: "text/css; charset=utf-8",
    content: include_str!("../../../assets/style.css"),
    hash: LazyLock::new(|| hash(STYLE.content)),
};
static PAGE: Asset = Asset {
    name: "page.js",
    content_type: JAVASCRIPT,
    content: include_str!("../../../assets/page.js"),
    hash: LazyLock::new(|| hash(PAGE.content)),
};
static HTMX: Asset = Asset {
    name: "htmx.min.js",
    content_type: JAVASCRIPT,
    content: include_str!("../../../assets/htmx.min.js"),
    hash: LazyLock::new(|| hash(HTMX.content)),
};
static ICON: Asset = Asset {
    name: "icon.svg",
    content_type: "image/svg+xml",
    content: include_str!("../../../assets/icon.svg"),
    hash: LazyLock::new(|| hash(ICON.content)),
};
static ALL: [&Asset; 4] = [&STYLE, &PAGE, &HTMX, &ICON];

/// Which version of a file is wanted.
#[derive(Deserialize)]
pub(in crate::http) struct Version {
    v: Option<String>,
}

/// The path of a file, with its version: `/assets/style.css?v=…`. Of a file that is not there, one that answers 404.
pub(super) fn path(name: &str) -> String {
    let hash = find(name).map_or("", |asset| asset.hash.as_str());
    format!("/assets/{name}?v={hash}")
}

/// `GET /assets/{file}`: kept for ever under the URL that pages name, which another content would not have.
///
/// # Errors
/// 404 for what is not in the binary.
pub(in crate::http) async fn asset(
    file: Path<String>,
    version: Query<Version>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let asset = find(&file).ok_or_else(|| ApiError::new(Code::NotFound, "the pages have no such file"))?;
    let hash = asset.hash.as_str();
    let tag = format!("\"{hash}\"");
    let keep =
        if version.v.as_deref() == Some(hash) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, keep)).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    let unchanged = known.flat_map(|value| value.split(',')).any(|known| is(known, &tag));
    answer.insert_header((ETAG, tag));
    Ok(if unchanged {
        answer.status(StatusCode::NOT_MODIFIED).finish()
    } else {
        answer.content_type(asset.content_type).body(asset.content)
    })
}

/// The weak comparison of RFC 9110 §8.8.3.2, which is the one for `If-None-Match`.
fn is(known: &str, tag: &str) -> bool {
    let known = known.trim();
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}

fn find(name: &str) -> Option<&'static Asset> {
    ALL.into_iter().find(|asset| asset.name == name)
}

fn hash(content: &str) -> String {
    let digest = digest::digest(&digest::SHA256, content.as_bytes());
    hex::encode(digest.as_ref().get(..HASH_BYTES).unwrap_or_default())
}
