//! Proper answers whose bodies do not keep their word: cut short, or far too long.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::web::Bytes;

/// White space put before a bloated body, in chunks of 64 KiB: 16 MB.
const CHUNK: &[u8] = &[b' '; 65_536];
const CHUNKS: usize = 256;

/// Announces the whole answer, sends half of it.
pub(super) async fn cut_short(answer: ServiceResponse<impl MessageBody>) -> ServiceResponse<BoxBody> {
    replace_body(answer, |proper| Scripted {
        announced: BodySize::Sized(proper.len() as u64),
        chunks: [proper.slice(..proper.len() / 2)].into(),
        flushed: false,
    })
    .await
}

/// Sends white space without end, nearly, and then the answer.
pub(super) async fn bloat(answer: ServiceResponse<impl MessageBody>) -> ServiceResponse<BoxBody> {
    replace_body(answer, |proper| {
        let mut chunks = VecDeque::from(vec![Bytes::from_static(CHUNK); CHUNKS]);
        chunks.push_back(proper);
        Scripted { announced: BodySize::Stream, chunks, flushed: false }
    })
    .await
}

async fn replace_body(
    answer: ServiceResponse<impl MessageBody>,
    script: impl FnOnce(Bytes) -> Scripted,
) -> ServiceResponse<BoxBody> {
    let (request, answer) = answer.into_parts();
    let (head, proper) = answer.into_parts();
    // The mock's own bodies are in memory and cannot fail.
    let proper = body::to_bytes(proper).await.unwrap_or_default();
    let answer = head.set_body(script(proper)).map_into_boxed_body();
    ServiceResponse::new(request, answer)
}

/// A body that keeps to a script and not to the length it announced.
struct Scripted {
    announced: BodySize,
    chunks: VecDeque<Bytes>,
    flushed: bool,
}

impl MessageBody for Scripted {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.announced
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if let Some(chunk) = self.chunks.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        // A body that ends early is an error to the server, which then drops what it has not
        // written yet: let it write first.
        if !std::mem::replace(&mut self.flushed, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }
}
