//! The store against a naive one, and against broken directories, through its public face.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod backup;
mod bounds;
mod crashes;
mod damage;
mod directories;
mod faults;
mod histories;
mod ledger;
mod logs;
mod merging;
mod observe;
mod readers;
mod round_trip;
mod verify;
mod walk;

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use model::SpanBatch;
use store::{AppendError, Replay, Request, Store, StoreOptions};
use testkit::rng::Rng;
use testkit::spans::{Shape, random_batch};

/// "Decodes" a body that is a seed and a count: the batch is made again as it was made when it was sent.
struct Regenerate;

impl Replay for Regenerate {
    fn decode(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<SpanBatch, String> {
        assert_eq!((format, received_unix_nano), (1, 99));
        let numbers: [u8; 16] = body.try_into().map_err(|_| "not 16 bytes".to_owned())?;
        let seed = u64::from_le_bytes(numbers[..8].try_into().unwrap());
        let count = u64::from_le_bytes(numbers[8..].try_into().unwrap());
        Ok(random_batch(&mut Rng::new(seed), &Shape::default(), count as usize))
    }
}

/// The batch that [`append`] appends.
fn batch(seed: u64, count: u64) -> SpanBatch {
    random_batch(&mut Rng::new(seed), &Shape::default(), count as usize)
}

fn body(seed: u64, count: u64) -> Bytes {
    Bytes::from([seed.to_le_bytes(), count.to_le_bytes()].concat())
}

fn open(directory: &std::path::Path) -> Store {
    Store::open(StoreOptions::new(directory), &Regenerate).unwrap()
}

/// Appends the batch of a seed and waits for the answer.
fn append(store: &Store, seed: u64, count: u64) -> Result<SpanBatch, AppendError> {
    let body = body(seed, count);
    let batch = Regenerate.decode(1, 99, &body).unwrap();
    let (send, receive) = mpsc::channel();
    let request = Request { format: 1, received_unix_nano: 99, body, batch: batch.clone() };
    store.append(request, Box::new(move |result| send.send(result).unwrap()));
    receive.recv_timeout(Duration::from_secs(30)).expect("every append is answered")?;
    Ok(batch)
}
