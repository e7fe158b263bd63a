//! Everything an engine knows as bytes, so that a restart goes on where it was.
//!
//! `LSFE`, a version byte (2), how far in its own log the caller had come (64 bits), then sections in the order of
//! [`Engine::to_bytes`] in the form of `bytes`, then the xxh3-64 of all bytes before. Instants are written as their distance from
//! another one, what is usual as a bit. When a message is looked at next is kept with it: that was decided by what was expected then.
//! What is declared is not, the caller sets it again. What is damaged is refused as a whole.

pub(super) mod bytes;

use model::text::hash_text;
use model::{SpanId, TraceId};
use thiserror::Error;

use self::bytes::{Read, Reader, Writer};
use super::arrival::{Arrival, SKEWED};
use super::calls::{Call, Calls};
use super::expect::{GROUPS_MAX, LaneState, Track};
use super::messages::{DEAD, Delivery, Message, NOWHERE, OTHER_KEYS, SAMPLED, Standing, WRAPPER, short_hash};
use super::names::{Places, Tuples};
use super::promise::Promises;
use super::rollup::{COUNTERS, Cell, MINUTE_NS, Rollup};
use super::seen::{read_sorted, write_sorted};
use super::sketch::{BUCKETS, Sketch};
use super::{Engine, EngineOptions, SECOND_NS, Totals};
use crate::destination::{Bindings, DestinationKind};

const MAGIC: &[u8; 4] = b"LSFE";
const VERSION: u8 = 2;
const CHECKSUM_BYTES: usize = 8;
/// Messages that are over with, the newest of them, that are written down: they matter to who receives one once more.
pub const OVER_WRITTEN_MAX: usize = 4_096;
/// Bits that an evidence takes.
const EVIDENCE_BITS: u8 = 7;

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

fn write_sketch(out: &mut Writer, sketch: &Sketch) {
    let mut before = 0;
    out.list(sketch.buckets().iter(), |out, &(bucket, count)| {
        out.number(bucket - before);
        out.number(count);
        before = bucket;
    });
}

fn read_sketch(from: &mut Reader<'_>) -> Read<Sketch> {
    let mut buckets: Vec<(u16, u32)> = Vec::new();
    from.list(|from| {
        let (step, count): (u16, u32) = (from.small()?, from.small()?);
        let bucket = match buckets.last() {
            Some(&(before, _)) if step > 0 => before.checked_add(step),
            Some(_) => None,
            None => Some(step),
        };
        let bucket = bucket.filter(|&bucket| bucket < BUCKETS && count > 0).ok_or(CheckpointError::Damaged)?;
        buckets.push((bucket, count));
        Ok(())
    })?;
    Ok(Sketch::from_buckets(buckets))
}

pub(super) fn write_tuples<const N: usize>(out: &mut Writer, tuples: &Tuples<N>) {
    out.list(tuples.all().iter(), |out, tuple| out.numbers(*tuple));
}

pub(super) fn read_tuples<const N: usize>(from: &mut Reader<'_>, tuples: &mut Tuples<N>) -> Read<()> {
    from.list(|from| {
        tuples.intern(from.numbers()?);
        Ok(())
    })
}

/// Cells in the order of time and series, each as its distance from the one before; of counters those that are not 0.
fn write_rollup(out: &mut Writer, rollup: &Rollup) {
    out.number(rollup.dropped);
    for is_hour in [true, false] {
        let mut before = 0;
        out.list(rollup.rows(is_hour), |out, (&time, row)| {
            out.number(time - before);
            before = time;
            let mut place = 0;
            let cells = row.iter().enumerate().filter_map(|(series, cell)| Some((series, cell.as_deref()?)));
            out.stream(cells, |out, (series, cell)| {
                out.number((series - place) as u64);
                place = series;
                let said = cell.counts.iter().enumerate().filter(|&(_, &count)| count > 0);
                out.byte(said.clone().fold(0, |said, (counter, _)| said | 1 << counter));
                said.for_each(|(_, &count)| out.number(count));
                write_sketch(out, &cell.durations);
            });
        });
    }
}

fn read_rollup(from: &mut Reader<'_>, rollup: &mut Rollup) -> Read<()> {
    rollup.dropped = from.number()?;
    for is_hour in [true, false] {
        let mut time = 0u32;
        from.list(|from| {
            time = time.checked_add(from.small()?).ok_or(CheckpointError::Damaged)?;
            let mut series = 0usize;
            from.stream(|from| {
                series = series.saturating_add(from.small()?);
                if series >= super::SERIES_MAX.max(super::EDGES_MAX) {
                    return Err(CheckpointError::Damaged);
                }
                let counts = read_counts(from)?;
                rollup.put(is_hour, time, series as u32, Cell { counts, durations: read_sketch(from)? });
                Ok(())
            })
        })?;
    }
    Ok(())
}

fn read_counts(from: &mut Reader<'_>) -> Read<[u32; COUNTERS]> {
    let said = from.byte()?;
    let mut counts = [0; COUNTERS];
    for (_, count) in counts.iter_mut().enumerate().filter(|(counter, _)| said >> counter & 1 == 1) {
        *count = from.small()?;
    }
    Ok(counts)
}

impl Engine {
    /// Everything as bytes; `covered` is given back with them.
    pub fn to_bytes(&self, covered: u64) -> Vec<u8> {
        // In one piece from the start: growing would copy all of it again and again, and room that stays unused is never touched.
        let mut out = Writer(Vec::with_capacity(self.heap_bytes()));
        out.raw(MAGIC);
        out.byte(VERSION);
        out.fixed(covered);
        out.fixed(self.now_unix_nano);
        let Totals { late, lost, corrected, dead_lettered, forgotten } = self.totals;
        for total in [late, lost, corrected, dead_lettered, forgotten, self.orphans.forgotten] {
            out.number(total);
        }
        self.places.write(&mut out);
        write_tuples(&mut out, &self.series);
        write_tuples(&mut out, &self.edges);
        out.list(self.lanes.iter(), |out, lane| lane.write(out));
        self.watch.write(&mut out);
        write_rollup(&mut out, &self.counts);
        write_rollup(&mut out, &self.edge_counts);
        self.write_messages(&mut out);
        out.stream(self.orphans.iter(), |out, (key, arrival)| {
            out.fixed(*key);
            arrival.write(out, self.now_unix_nano);
        });
        self.seen.write(&mut out);
        self.wrappers.write(&mut out);
        self.calls.write(&mut out);
        out.text(&self.bindings.to_bytes());
        self.meters.write(&mut out);
        self.promises.write(&mut out);
        let checksum = hash_text(&out.0);
        out.fixed(checksum);
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
        let covered = from.fixed()?;
        let mut engine = Engine::new(options);
        engine.read(&mut from)?;
        Ok((engine, covered))
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Read<()> {
        self.now_unix_nano = from.fixed()?;
        let mut totals = [0; 6];
        for total in &mut totals {
            *total = from.number()?;
        }
        let [late, lost, corrected, dead_lettered, forgotten, orphans_forgotten] = totals;
        self.totals = Totals { late, lost, corrected, dead_lettered, forgotten };
        self.places.read(from)?;
        read_tuples(from, &mut self.series)?;
        read_tuples(from, &mut self.edges)?;
        from.list(|from| {
            self.lanes.push(LaneState::read(from)?);
            Ok(())
        })?;
        self.watch.read(from)?;
        read_rollup(from, &mut self.counts)?;
        read_rollup(from, &mut self.edge_counts)?;
        self.read_messages(from)?;
        from.stream(|from| {
            let key = from.fixed()?;
            self.orphans.insert(key, Arrival::read(from, self.now_unix_nano)?);
            Ok(())
        })?;
        self.orphans.forgotten = orphans_forgotten;
        self.seen.read(from)?;
        self.wrappers.read(from)?;
        self.calls.read(from)?;
        self.bindings = Bindings::from_bytes(from.text()?).map_err(|_| CheckpointError::Damaged)?;
        self.meters.read(from)?;
        self.read_promises(from)?;
        self.counts.advance(self.now_unix_nano);
        self.edge_counts.advance(self.now_unix_nano);
        Ok(())
    }

    /// Promises come with the rules of then; those of now take what is still theirs.
    fn read_promises(&mut self, from: &mut Reader<'_>) -> Read<()> {
        self.promises = Promises::default();
        self.promises.read(from)
    }

    fn write_messages(&self, out: &mut Writer) {
        let mut before = self.now_unix_nano;
        let due_s = self.due_s();
        out.stream(self.messages.newest(OVER_WRITTEN_MAX), |out, at| {
            let message = self.messages.get(at);
            message.write(out, before);
            before = message.heard_unix_nano;
            if message.standing.has_timer() {
                out.number(due_s.get(at as usize).copied().unwrap_or(0));
            }
            out.stream(self.messages.deliveries(at), |out, delivery| delivery.write(out, message));
        });
    }

    /// In how many seconds messages are looked at again, by their place; 0 for never.
    fn due_s(&self) -> Vec<u64> {
        let second = self.now_unix_nano / SECOND_NS;
        let mut due_s = Vec::new();
        // Of several timers the first counts.
        for (due, timers) in self.timers.iter().rev() {
            for &(at, _) in timers.iter().filter(|&&(at, version)| self.messages.version(at) == version) {
                let place = at as usize;
                due_s.resize(due_s.len().max(place + 1), 0);
                due_s[place] = due.saturating_sub(second);
            }
        }
        due_s
    }

    fn read_messages(&mut self, from: &mut Reader<'_>) -> Read<()> {
        let mut before = self.now_unix_nano;
        let mut deliveries = Vec::new();
        from.stream(|from| {
            let message = Message::read(from, before)?;
            before = message.heard_unix_nano;
            let due_s = if message.standing.has_timer() { from.number()? } else { 0 };
            deliveries.clear();
            from.stream(|from| {
                deliveries.push(Delivery::read(from, &message)?);
                Ok(())
            })?;
            if message.lane as usize >= self.lanes.len() {
                return Err(CheckpointError::Damaged);
            }
            self.take_back(message, &deliveries, due_s);
            Ok(())
        })
    }

    /// A message is looked at again in `due_s` seconds.
    fn take_back(&mut self, message: Message, deliveries: &[Delivery], due_s: u64) {
        if self.messages.is_full() {
            self.messages.forget_one();
        }
        let at = self.messages.insert(message);
        for delivery in deliveries.iter().rev() {
            self.messages.add_delivery(at, *delivery);
        }
        if due_s > 0 {
            let second = (self.now_unix_nano / SECOND_NS).saturating_add(due_s);
            self.timers.entry(second).or_default().push((at, self.messages.version(at)));
        } else if message.standing.has_timer() {
            self.set_timer(at);
        }
    }
}

impl Places {
    fn write(&self, out: &mut Writer) {
        out.list(self.names.texts().iter(), |out, text| out.text(text.as_bytes()));
        write_tuples(out, &self.destinations);
        write_tuples(out, &self.lanes);
        out.list(self.kinds.iter(), |out, &kind| out.byte(kind as u8));
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
            let text = std::str::from_utf8(from.text()?).map_err(|_| CheckpointError::Damaged)?;
            self.names.intern(text);
            Ok(())
        })?;
        read_tuples(from, &mut self.destinations)?;
        read_tuples(from, &mut self.lanes)?;
        from.list(|from| {
            let kind = KINDS.get(usize::from(from.byte()?)).ok_or(CheckpointError::Damaged)?;
            self.kinds.push(*kind);
            Ok(())
        })
    }
}

impl LaneState {
    fn write(&self, out: &mut Writer) {
        out.numbers([self.ordinals, self.skipped]);
        let tracks = self.groups.iter().chain([&self.any]);
        out.number(self.groups.len() as u64);
        tracks.for_each(|track| {
            out.numbers([track.group, track.matched, track.first, track.last]);
            out.number(track.since_unix_nano);
            out.number(track.p99_ns);
            out.number(track.heard_unix_nano);
            write_sketch(out, &track.lag);
        });
    }

    fn read(from: &mut Reader<'_>) -> Read<LaneState> {
        let [ordinals, skipped] = from.numbers()?;
        let mut lane = LaneState { ordinals, skipped, ..LaneState::default() };
        let groups: usize = from.small()?;
        if groups > GROUPS_MAX {
            return Err(CheckpointError::Damaged);
        }
        for _ in 0..groups {
            lane.groups.push(Track::read(from)?);
        }
        lane.any = Track::read(from)?;
        Ok(lane)
    }
}

impl Track {
    fn read(from: &mut Reader<'_>) -> Read<Track> {
        let [group, matched, first, last] = from.numbers()?;
        if last < first {
            return Err(CheckpointError::Damaged);
        }
        let (since_unix_nano, p99_ns, heard_unix_nano) = (from.number()?, from.number()?, from.number()?);
        Ok(Track {
            matched,
            first,
            last,
            since_unix_nano,
            p99_ns,
            heard_unix_nano,
            lag: read_sketch(from)?,
            ..Track::new(group)
        })
    }
}

/// Of what a message or delivery is written, as bits of its first byte.
const HAS_KEYS: [u8; OTHER_KEYS] = [0x20, 0x40];
const SENT_SEVERAL: u8 = 0x80;
const SAME_TRACE: u8 = 0x08;
const WAITED_AS_CLOCKS_SAY: u8 = 0x10;
const WAITED_UNKNOWN: u8 = 0x20;
const LAST_SPAN_IS_FIRST: u8 = 0x40;
const PROCESSED_ONCE: u8 = 0x80;

impl Message {
    fn write(&self, out: &mut Writer, before_unix_nano: u64) {
        let keys = self.keys.iter().zip(HAS_KEYS).filter(|&(&key, _)| key != 0);
        let has = keys.clone().fold(0, |has, (_, bit)| has | bit);
        let several = if self.sent == 1 { 0 } else { SENT_SEVERAL };
        out.byte(self.standing as u8 | self.flags << 2 | has | several);
        out.span(self.trace_id, self.span_id);
        keys.for_each(|(&key, _)| out.fixed(key));
        out.step(before_unix_nano, self.heard_unix_nano);
        out.step(self.heard_unix_nano, self.sent_unix_nano);
        out.number(self.delivered);
        out.numbers([self.lane, self.ordinal, self.service, self.partition]);
        out.number(self.took_us);
        if self.sent != 1 {
            out.number(self.sent);
        }
    }

    fn read(from: &mut Reader<'_>, before_unix_nano: u64) -> Read<Message> {
        let said = from.byte()?;
        let (trace_id, span_id) = from.span()?;
        let mut keys = [0; OTHER_KEYS];
        for (key, bit) in keys.iter_mut().zip(HAS_KEYS) {
            *key = if said & bit != 0 { from.fixed()? } else { 0 };
        }
        let heard_unix_nano = from.step(before_unix_nano)?;
        let sent_unix_nano = from.step(heard_unix_nano)?;
        let delivered = from.number()?;
        let [lane, ordinal, service, partition] = from.numbers()?;
        Ok(Message {
            trace_id,
            span_id,
            sent_unix_nano,
            heard_unix_nano,
            keys,
            delivered,
            lane,
            ordinal,
            service,
            partition,
            took_us: from.small()?,
            sent: if said & SENT_SEVERAL == 0 { 1 } else { from.small()? },
            first_delivery: NOWHERE,
            flags: said >> 2 & (SAMPLED | DEAD | WRAPPER),
            standing: Standing::ALL[usize::from(said & 3)],
        })
    }
}

impl Delivery {
    fn write(&self, out: &mut Writer, message: &Message) {
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        let same_trace = self.trace_id == message.trace_id;
        let waited = self.start_unix_nano.saturating_sub(message.sent_unix_nano);
        let as_clocks_say = self.wait_ns == waited;
        let unknown = self.wait_ns == SKEWED && !as_clocks_say;
        let first = self.last_span == short_hash(self.trace_id, self.span_id);
        let once = (self.processed, self.attempt_said, self.failed) == (1, 0, 0);
        out.byte(
            self.evidence & EVIDENCE_BITS
                | flag(same_trace, SAME_TRACE)
                | flag(as_clocks_say, WAITED_AS_CLOCKS_SAY)
                | flag(unknown, WAITED_UNKNOWN)
                | flag(first, LAST_SPAN_IS_FIRST)
                | flag(once, PROCESSED_ONCE),
        );
        if !same_trace {
            out.raw(&self.trace_id.0);
        }
        out.raw(&self.span_id.0);
        out.step(message.sent_unix_nano, self.start_unix_nano);
        if !(as_clocks_say || unknown) {
            out.number(self.wait_ns);
        }
        if !first {
            out.raw(&self.last_span.to_le_bytes());
        }
        out.numbers([self.group, self.service, self.destination]);
        if !once {
            out.numbers([self.processed, self.attempt_said, self.failed].map(u32::from));
        }
    }

    fn read(from: &mut Reader<'_>, message: &Message) -> Read<Delivery> {
        let said = from.byte()?;
        let has = |bit: u8| said & bit != 0;
        let trace_id = if has(SAME_TRACE) { message.trace_id } else { TraceId(from.array()?) };
        let span_id = SpanId(from.array()?);
        let start_unix_nano = from.step(message.sent_unix_nano)?;
        let wait_ns = match (has(WAITED_AS_CLOCKS_SAY), has(WAITED_UNKNOWN)) {
            (true, _) => start_unix_nano.saturating_sub(message.sent_unix_nano),
            (_, true) => SKEWED,
            _ => from.number()?,
        };
        let first = || short_hash(trace_id, span_id);
        let last_span = if has(LAST_SPAN_IS_FIRST) { first() } else { u32::from_le_bytes(from.array()?) };
        let [group, service, destination] = from.numbers()?;
        let counts = if has(PROCESSED_ONCE) { [1, 0, 0] } else { [from.small()?, from.small()?, from.small()?] };
        let [processed, attempt_said, failed] = counts;
        let evidence = said & EVIDENCE_BITS;
        Ok(Delivery {
            trace_id,
            span_id,
            start_unix_nano,
            wait_ns,
            last_span,
            group,
            service,
            destination,
            processed,
            attempt_said,
            failed,
            evidence,
            next: NOWHERE,
        })
    }
}

impl Arrival {
    fn write(&self, out: &mut Writer, now_unix_nano: u64) {
        out.span(self.trace_id, self.span_id);
        out.step(now_unix_nano, self.heard_unix_nano);
        out.step(self.heard_unix_nano, self.end_unix_nano);
        out.step(self.end_unix_nano, self.start_unix_nano);
        out.number(self.wait_said_ns.wrapping_add(1));
        out.numbers([self.destination, self.label, self.service, self.partition, u32::from(self.attempt_said)]);
        out.byte(self.flags);
        out.byte(self.evidence);
    }

    fn read(from: &mut Reader<'_>, now_unix_nano: u64) -> Read<Arrival> {
        let (trace_id, span_id) = from.span()?;
        let heard_unix_nano = from.step(now_unix_nano)?;
        let end_unix_nano = from.step(heard_unix_nano)?;
        let start_unix_nano = from.step(end_unix_nano)?;
        let wait_said_ns = from.number()?.wrapping_sub(1);
        let [destination, label, service, partition] = from.numbers()?;
        Ok(Arrival {
            trace_id,
            span_id,
            start_unix_nano,
            end_unix_nano,
            heard_unix_nano,
            wait_said_ns,
            destination,
            label,
            service,
            partition,
            attempt_said: from.small()?,
            flags: from.byte()?,
            evidence: from.byte()?,
        })
    }
}

impl Calls {
    fn write(&self, out: &mut Writer) {
        let (since_unix_nano, calls) = self.all();
        out.number(since_unix_nano);
        let since = since_unix_nano / MINUTE_NS;
        write_sorted(out, calls, |out, call| {
            out.byte(u8::from(call.is_client) | u8::from(call.is_error) << 1);
            out.step(since, u64::from(call.minute));
            out.number(call.duration_ns);
            out.numbers([call.service, call.peer]);
        });
        self.counted.write(out);
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Read<()> {
        let since_unix_nano = from.number()?;
        let since = since_unix_nano / MINUTE_NS;
        let mut calls = Vec::new();
        read_sorted(from, |hash, from| {
            let said = from.byte()?;
            let minute = u32::try_from(from.step(since)?).map_err(|_| CheckpointError::Damaged)?;
            let duration_ns = from.number()?;
            let [service, peer] = from.numbers()?;
            let (is_client, is_error) = (said & 1 != 0, said & 2 != 0);
            calls.push(Call { hash, duration_ns, minute, service, peer, is_client, is_error });
            Ok(())
        })?;
        self.put(since_unix_nano, calls.into_iter());
        self.counted.read(from)
    }
}
