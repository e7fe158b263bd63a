//! Everything an engine knows as bytes, so that a restart goes on where it was.
//!
//! `LSFE`, a version byte (1), then sections in the order of [`Engine::to_bytes`], then the xxh3-64 of all bytes before. Numbers are
//! little-endian and of fixed width, lists have their length in front as 32 bits, texts as well. The first number is the caller's: how
//! far in its own log the engine had come. Timers are not kept, they follow from the messages; nor is what is declared, which
//! the caller sets again. What is damaged is refused as a whole.

use model::text::hash_text;
use model::{SpanId, TraceId};
use thiserror::Error;

use super::arrival::Arrival;
use super::calls::{Call, PeerKind};
use super::expect::{LaneState, Track};
use super::messages::{Delivery, Message, NOWHERE, Standing};
use super::names::{Places, Tuples};
use super::rollup::{COUNTERS, Cell, Rollup};
use super::sketch::Sketch;
use super::{Engine, EngineOptions, Totals};
use crate::destination::{Bindings, DestinationKind};

const MAGIC: &[u8; 4] = b"LSFE";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// Why bytes are not an engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// They do not begin as they should.
    #[error("these bytes are not what is known of flows")]
    NotCheckpoint,
    /// Another program wrote them.
    #[error("what is known of flows is of version {0}; this program reads version {VERSION}")]
    Version(u8),
    /// They are not what was written.
    #[error("what is known of flows is damaged")]
    Damaged,
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u32s<const N: usize>(&mut self, values: [u32; N]) {
        for value in values {
            self.u32(value);
        }
    }

    fn u64s<const N: usize>(&mut self, values: [u64; N]) {
        for value in values {
            self.u64(value);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Writer, T)) {
        let place = self.0.len();
        self.u32(0);
        let mut count = 0u32;
        for item in items {
            write(self, item);
            count += 1;
        }
        self.0[place..place + 4].copy_from_slice(&count.to_le_bytes());
    }

    fn span(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.0.extend_from_slice(&trace_id.0);
        self.0.extend_from_slice(&span_id.0);
    }

    fn sketch(&mut self, sketch: &Sketch) {
        self.list(sketch.buckets().iter(), |out, &(bucket, count)| {
            out.u32(u32::from(bucket));
            out.u32(count);
        });
    }

    fn tuples<const N: usize>(&mut self, tuples: &Tuples<N>) {
        self.list(tuples.all().iter(), |out, tuple| out.u32s(*tuple));
    }

    fn rollup(&mut self, rollup: &Rollup) {
        self.u64(rollup.dropped);
        self.list(rollup.all(), |out, (is_hour, minute, series, cell)| {
            out.u8(u8::from(is_hour));
            out.u32(minute);
            out.u32(series);
            out.u32s(cell.counts);
            out.sketch(&cell.durations);
        });
    }
}

type Read<T> = Result<T, CheckpointError>;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CheckpointError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| CheckpointError::Damaged)
    }

    fn u8(&mut self) -> Read<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn list(&mut self, mut read: impl FnMut(&mut Reader<'a>) -> Read<()>) -> Read<()> {
        (0..self.u32()?).try_for_each(|_| read(self))
    }

    fn span(&mut self) -> Read<(TraceId, SpanId)> {
        Ok((TraceId(self.array()?), SpanId(self.array()?)))
    }

    fn sketch(&mut self) -> Read<Sketch> {
        let mut buckets = Vec::new();
        self.list(|from| {
            buckets.push((from.u32()? as u16, from.u32()?));
            Ok(())
        })?;
        Ok(Sketch::from_buckets(buckets))
    }

    fn tuples<const N: usize>(&mut self, tuples: &mut Tuples<N>) -> Read<()> {
        self.list(|from| {
            let mut tuple = [0; N];
            for number in &mut tuple {
                *number = from.u32()?;
            }
            tuples.intern(tuple);
            Ok(())
        })
    }

    fn rollup(&mut self, rollup: &mut Rollup) -> Read<()> {
        rollup.dropped = self.u64()?;
        self.list(|from| {
            let is_hour = from.u8()? != 0;
            let (minute, series) = (from.u32()?, from.u32()?);
            let mut counts = [0; COUNTERS];
            for count in &mut counts {
                *count = from.u32()?;
            }
            let durations = from.sketch()?;
            if series as usize >= super::SERIES_MAX.max(super::EDGES_MAX) {
                return Err(CheckpointError::Damaged);
            }
            rollup.put(is_hour, minute, series, &Cell { counts, durations });
            Ok(())
        })
    }
}

impl Engine {
    /// Everything as bytes; `covered` is given back with them.
    pub fn to_bytes(&self, covered: u64) -> Vec<u8> {
        // In one piece from the start: growing would copy all of it again and again, and room that stays unused is never touched.
        let mut out = Writer(Vec::with_capacity(self.heap_bytes()));
        out.0.extend_from_slice(MAGIC);
        out.u8(VERSION);
        out.u64(covered);
        out.u64(self.now_unix_nano);
        let Totals { late, lost, corrected, dead_lettered, forgotten } = self.totals;
        out.u64s([late, lost, corrected, dead_lettered, forgotten, self.orphans.forgotten]);
        self.places.write(&mut out);
        out.tuples(&self.series);
        out.tuples(&self.edges);
        out.list(self.lanes.iter(), |out, lane| lane.write(out));
        out.rollup(&self.counts);
        out.rollup(&self.edge_counts);
        out.list(self.messages.all(), |out, at| {
            self.messages.get(at).write(out);
            out.list(self.messages.deliveries(at), |out, delivery| delivery.write(out));
        });
        out.list(self.orphans.iter(), |out, (key, arrival)| {
            out.u64(*key);
            arrival.write(out);
        });
        out.list(self.seen.iter(), Writer::u64);
        out.list(self.wrappers.iter(), Writer::u64);
        let (since_unix_nano, calls) = self.calls.all();
        out.u64(since_unix_nano);
        out.list(calls, |out, call| call.write(out));
        out.bytes(&self.bindings.to_bytes());
        let checksum = hash_text(&out.0);
        out.u64(checksum);
        out.0
    }

    /// An engine that goes on where the bytes were made, and what was covered then.
    pub fn from_bytes(options: EngineOptions, bytes: &[u8]) -> Result<(Engine, u64), CheckpointError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(CheckpointError::NotCheckpoint)?;
        match rest.first() {
            Some(&VERSION) => {}
            Some(&version) => return Err(CheckpointError::Version(version)),
            None => return Err(CheckpointError::NotCheckpoint),
        }
        let end = bytes.len() - CHECKSUM_BYTES.min(bytes.len());
        if end < MAGIC.len() + 1 || hash_text(&bytes[..end]).to_le_bytes() != bytes[end..] {
            return Err(CheckpointError::Damaged);
        }
        let mut from = Reader(&bytes[MAGIC.len() + 1..end]);
        let covered = from.u64()?;
        let mut engine = Engine::new(options);
        engine.read(&mut from)?;
        Ok((engine, covered))
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Read<()> {
        self.now_unix_nano = from.u64()?;
        let mut totals = [0; 6];
        for total in &mut totals {
            *total = from.u64()?;
        }
        let [late, lost, corrected, dead_lettered, forgotten, orphans_forgotten] = totals;
        self.totals = Totals { late, lost, corrected, dead_lettered, forgotten };
        self.places.read(from)?;
        from.tuples(&mut self.series)?;
        from.tuples(&mut self.edges)?;
        from.list(|from| {
            self.lanes.push(LaneState::read(from)?);
            Ok(())
        })?;
        from.rollup(&mut self.counts)?;
        from.rollup(&mut self.edge_counts)?;
        from.list(|from| self.read_message(from))?;
        from.list(|from| {
            let key = from.u64()?;
            self.orphans.insert(key, Arrival::read(from)?);
            Ok(())
        })?;
        self.orphans.forgotten = orphans_forgotten;
        from.list(|from| {
            self.seen.insert(from.u64()?);
            Ok(())
        })?;
        from.list(|from| {
            self.wrappers.insert(from.u64()?);
            Ok(())
        })?;
        let since_unix_nano = from.u64()?;
        let mut calls = Vec::new();
        from.list(|from| {
            calls.push(Call::read(from)?);
            Ok(())
        })?;
        self.calls.put(since_unix_nano, calls.into_iter());
        self.bindings = Bindings::from_bytes(from.bytes()?).map_err(|_| CheckpointError::Damaged)?;
        self.counts.advance(self.now_unix_nano);
        self.edge_counts.advance(self.now_unix_nano);
        Ok(())
    }

    fn read_message(&mut self, from: &mut Reader<'_>) -> Read<()> {
        let message = Message::read(from)?;
        let mut deliveries = Vec::new();
        from.list(|from| {
            deliveries.push(Delivery::read(from)?);
            Ok(())
        })?;
        if message.lane as usize >= self.lanes.len() {
            return Err(CheckpointError::Damaged);
        }
        if self.messages.is_full() {
            self.messages.forget_one();
        }
        let at = self.messages.insert(message);
        for delivery in deliveries.into_iter().rev() {
            self.messages.add_delivery(at, delivery);
        }
        if matches!(message.standing, Standing::Open | Standing::Late) {
            self.set_timer(at);
        }
        Ok(())
    }
}

impl Places {
    fn write(&self, out: &mut Writer) {
        out.list(self.names.texts().iter(), |out, text| out.bytes(text.as_bytes()));
        out.tuples(&self.destinations);
        out.tuples(&self.lanes);
        out.list(self.kinds.iter(), |out, &kind| out.u8(kind as u8));
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Read<()> {
        const KINDS: [DestinationKind; 5] = [
            DestinationKind::Unknown,
            DestinationKind::Queue,
            DestinationKind::Topic,
            DestinationKind::Exchange,
            DestinationKind::Subscription,
        ];
        from.list(|from| {
            let text = std::str::from_utf8(from.bytes()?).map_err(|_| CheckpointError::Damaged)?;
            self.names.intern(text);
            Ok(())
        })?;
        from.tuples(&mut self.destinations)?;
        from.tuples(&mut self.lanes)?;
        from.list(|from| {
            let kind = KINDS.get(usize::from(from.u8()?)).ok_or(CheckpointError::Damaged)?;
            self.kinds.push(*kind);
            Ok(())
        })
    }
}

impl LaneState {
    fn write(&self, out: &mut Writer) {
        out.u32(self.ordinals);
        out.u32(self.skipped);
        out.list(self.groups.iter().chain([&self.any]), |out, track| {
            out.u32s([track.group, track.matched, track.first, track.last]);
            out.u64(track.since_unix_nano);
            out.u64(track.p99_ns);
            out.sketch(&track.lag);
        });
    }

    fn read(from: &mut Reader<'_>) -> Read<LaneState> {
        let mut lane = LaneState { ordinals: from.u32()?, skipped: from.u32()?, ..LaneState::default() };
        from.list(|from| {
            let mut track = Track::new(from.u32()?);
            (track.matched, track.first, track.last) = (from.u32()?, from.u32()?, from.u32()?);
            (track.since_unix_nano, track.p99_ns) = (from.u64()?, from.u64()?);
            track.lag = from.sketch()?;
            if track.last < track.first {
                return Err(CheckpointError::Damaged);
            }
            lane.groups.push(track);
            Ok(())
        })?;
        lane.any = lane.groups.pop().ok_or(CheckpointError::Damaged)?;
        Ok(lane)
    }
}

impl Message {
    fn write(&self, out: &mut Writer) {
        out.span(self.trace_id, self.span_id);
        out.u64(self.sent_unix_nano);
        out.u64(self.heard_unix_nano);
        out.u64s(self.keys);
        out.u64(self.delivered);
        out.u32s([self.lane, self.ordinal, self.service, self.partition, self.sent]);
        out.u8(self.flags);
        out.u8(self.standing as u8);
    }

    fn read(from: &mut Reader<'_>) -> Read<Message> {
        let (trace_id, span_id) = from.span()?;
        Ok(Message {
            trace_id,
            span_id,
            sent_unix_nano: from.u64()?,
            heard_unix_nano: from.u64()?,
            keys: [from.u64()?, from.u64()?],
            delivered: from.u64()?,
            lane: from.u32()?,
            ordinal: from.u32()?,
            service: from.u32()?,
            partition: from.u32()?,
            sent: from.u32()?,
            first_delivery: NOWHERE,
            flags: from.u8()?,
            standing: *Standing::ALL.get(usize::from(from.u8()?)).ok_or(CheckpointError::Damaged)?,
        })
    }
}

impl Delivery {
    fn write(&self, out: &mut Writer) {
        out.span(self.trace_id, self.span_id);
        out.u64s([self.start_unix_nano, self.wait_ns, self.last_span]);
        out.u32s([self.group, self.service, self.destination]);
        out.u32s([self.processed, self.attempt_said, self.failed].map(u32::from));
        out.u8(self.evidence);
    }

    fn read(from: &mut Reader<'_>) -> Read<Delivery> {
        let (trace_id, span_id) = from.span()?;
        Ok(Delivery {
            trace_id,
            span_id,
            start_unix_nano: from.u64()?,
            wait_ns: from.u64()?,
            last_span: from.u64()?,
            group: from.u32()?,
            service: from.u32()?,
            destination: from.u32()?,
            processed: from.u32()? as u16,
            attempt_said: from.u32()? as u16,
            failed: from.u32()? as u16,
            evidence: from.u8()?,
            next: NOWHERE,
        })
    }
}

impl Arrival {
    fn write(&self, out: &mut Writer) {
        out.span(self.trace_id, self.span_id);
        out.u64s([self.start_unix_nano, self.end_unix_nano, self.heard_unix_nano, self.wait_said_ns]);
        out.u32s([self.destination, self.label, self.service, self.partition]);
        out.u32(u32::from(self.attempt_said));
        out.u8(self.flags);
        out.u8(self.evidence);
    }

    fn read(from: &mut Reader<'_>) -> Read<Arrival> {
        let (trace_id, span_id) = from.span()?;
        Ok(Arrival {
            trace_id,
            span_id,
            start_unix_nano: from.u64()?,
            end_unix_nano: from.u64()?,
            heard_unix_nano: from.u64()?,
            wait_said_ns: from.u64()?,
            destination: from.u32()?,
            label: from.u32()?,
            service: from.u32()?,
            partition: from.u32()?,
            attempt_said: from.u32()? as u16,
            flags: from.u8()?,
            evidence: from.u8()?,
        })
    }
}

impl Call {
    fn write(&self, out: &mut Writer) {
        out.u64s([self.hash, self.start_unix_nano, self.duration_ns]);
        out.u32s([self.client, self.server, self.peer]);
        out.u8(self.peer_kind as u8);
        out.u8(u8::from(self.is_error));
        out.u8(u8::from(self.is_counted));
    }

    fn read(from: &mut Reader<'_>) -> Read<Call> {
        const KINDS: [PeerKind; 3] = [PeerKind::Database, PeerKind::Cache, PeerKind::Host];
        Ok(Call {
            hash: from.u64()?,
            start_unix_nano: from.u64()?,
            duration_ns: from.u64()?,
            client: from.u32()?,
            server: from.u32()?,
            peer: from.u32()?,
            peer_kind: *KINDS.get(usize::from(from.u8()?)).ok_or(CheckpointError::Damaged)?,
            is_error: from.u8()? != 0,
            is_counted: from.u8()? != 0,
        })
    }
}
