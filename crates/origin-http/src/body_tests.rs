//! Bodies that have, or lack, their announced length.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream;
use http_body_util::{Full, StreamBody};
use hyper::body::{Frame, SizeHint};

use super::*;

/// Reads a body into an allocation of its size.
async fn read_whole<B: Body<Data = Bytes> + Unpin>(
    body: B,
    bounds: Bounds<'_>,
    heard: impl FnMut(),
) -> Result<Bytes, Unread<B::Error>> {
    fill(body, bounds, heard).await.map(Buffer::finish)
}

const PATIENCE: Duration = Duration::from_secs(10);

fn bounds(limit: u64) -> Bounds<'static> {
    Bounds {
        limit,
        patience: PATIENCE,
        budget: None,
    }
}

/// A body of these pieces, without an announced length.
fn pieces(pieces: Vec<Vec<u8>>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
    let pieces = pieces.into_iter();
    StreamBody::new(stream::iter(
        pieces.map(|piece| Ok(Frame::data(piece.into()))),
    ))
}

/// A body that announces a length, and sends anything: one piece, and then nothing more.
struct Promise {
    len: u64,
    piece: Option<Bytes>,
}

impl Body for Promise {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len)
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_is_silent_after_the_read_timeout() {
    for piece in [None, Some(Bytes::from_static(b"half"))] {
        let began = tokio::time::Instant::now();
        let read = read_whole(Promise { len: 8, piece }, bounds(100), || {}).await;
        assert!(matches!(read, Err(Unread::Silent(_))), "{read:?}");
        assert_eq!(began.elapsed(), PATIENCE);
    }
}

#[tokio::test]
async fn each_piece_is_heard() {
    let mut heard = 0;
    let body = pieces(vec![vec![1], vec![2; 9], vec![]]);
    let value = read_whole(body, bounds(100), || heard += 1).await.unwrap();
    assert_eq!((value.len(), heard), (10, 3));
}

#[tokio::test]
async fn a_body_without_a_length_is_reserved_as_it_arrives() {
    let budget = ByteBudget::new(1 << 20, Duration::ZERO);
    let drawing = Bounds {
        budget: Some(&budget),
        ..bounds(1 << 30)
    };
    let body = pieces(vec![vec![7; 10_000]; 20]);
    let value = read_whole(body, drawing, || {}).await.unwrap();
    assert_eq!(value.len(), 200_000);
    assert_eq!(budget.used(), 0);
    assert!((200_000..=400_000).contains(&budget.peak()), "{budget:?}");

    let body = pieces(vec![vec![7; 10_000]; 200]);
    let over = read_whole(body, drawing, || {}).await;
    assert!(matches!(over, Err(Unread::OverBudget(_))), "{over:?}");
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn an_announced_length_over_the_budget_is_refused_before_it_is_read() {
    let budget = ByteBudget::new(1_000_000, Duration::ZERO);
    let drawing = Bounds {
        budget: Some(&budget),
        ..bounds(1 << 30)
    };
    let read = read_whole(Full::new(Bytes::from(vec![7; 1_000_001])), drawing, || {
        panic!("it was read")
    });
    assert!(matches!(read.await, Err(Unread::OverBudget(_))));
}

#[tokio::test]
async fn small_values_draw_on_no_budget() {
    let none = ByteBudget::new(0, Duration::ZERO);
    let drawing = Bounds {
        budget: Some(&none),
        ..bounds(1 << 30)
    };
    let body = Full::new(Bytes::from(vec![7; ByteBudget::SMALL - 1]));
    assert_eq!(
        read_whole(body, drawing, || {}).await.unwrap().len(),
        ByteBudget::SMALL - 1
    );
}
