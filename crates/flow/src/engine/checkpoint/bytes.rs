//! Numbers, texts and lists as bytes and back, in the form of what an engine writes down: numbers as LEB128 varints, those that may be
//! negative in zigzag form, hashes and ids as they are, lists with their length in front.
//!
//! Deliberately absent: what the numbers mean. Reading never panics and takes no more memory than the bytes are long, times a
//! constant.

use model::{SpanId, TraceId};

use super::CheckpointError;

#[derive(Default)]
pub(in crate::engine) struct Writer(pub(in crate::engine) Vec<u8>);

impl Writer {
    pub(in crate::engine) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// A number, in as many bytes as it needs.
    pub(in crate::engine) fn number(&mut self, value: impl Into<u64>) {
        let mut value: u64 = value.into();
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(in crate::engine) fn numbers<const N: usize>(&mut self, values: [u32; N]) {
        for value in values {
            self.number(value);
        }
    }

    /// How far a number is from another one, either way round.
    pub(in crate::engine) fn step(&mut self, from: u64, to: u64) {
        let step = to.wrapping_sub(from) as i64;
        self.number((step << 1 ^ step >> 63) as u64);
    }

    /// All 64 bits of a number that may be any.
    pub(in crate::engine) fn fixed(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(in crate::engine) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(in crate::engine) fn text(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    pub(in crate::engine) fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Writer, T),
    ) {
        self.number(items.len() as u64);
        items.for_each(|item| write(self, item));
    }

    /// A list whose length shows when it is written: each item after a 1, a 0 at the end.
    pub(in crate::engine) fn stream<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Writer, T),
    ) {
        for item in items {
            self.byte(1);
            write(self, item);
        }
        self.byte(0);
    }

    pub(in crate::engine) fn span(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.raw(&trace_id.0);
        self.raw(&span_id.0);
    }
}

pub(in crate::engine) type Read<T> = Result<T, CheckpointError>;

pub(in crate::engine) struct Reader<'a>(pub(in crate::engine) &'a [u8]);

impl<'a> Reader<'a> {
    pub(in crate::engine) fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CheckpointError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(in crate::engine) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| CheckpointError::Damaged)
    }

    pub(in crate::engine) fn byte(&mut self) -> Read<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(in crate::engine) fn number(&mut self) -> Read<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(CheckpointError::Damaged)
    }

    /// A number that is no greater than its place in memory can hold.
    pub(in crate::engine) fn small<T: TryFrom<u64>>(&mut self) -> Read<T> {
        T::try_from(self.number()?).map_err(|_| CheckpointError::Damaged)
    }

    pub(in crate::engine) fn numbers<const N: usize>(&mut self) -> Read<[u32; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.small()?;
        }
        Ok(numbers)
    }

    pub(in crate::engine) fn step(&mut self, from: u64) -> Read<u64> {
        let step = self.number()?;
        Ok(from.wrapping_add((step >> 1) ^ (step & 1).wrapping_neg()))
    }

    pub(in crate::engine) fn fixed(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(in crate::engine) fn text(&mut self) -> Read<&'a [u8]> {
        let length = self.small()?;
        self.take(length)
    }

    /// What [`Writer::list`] wrote.
    pub(in crate::engine) fn list(&mut self, mut read: impl FnMut(&mut Reader<'a>) -> Read<()>) -> Read<()> {
        (0..self.number()?).try_for_each(|_| {
            // Nothing is written in no bytes at all, so a length that cannot be right ends here.
            if self.0.is_empty() { Err(CheckpointError::Damaged) } else { read(self) }
        })
    }

    /// What [`Writer::stream`] wrote.
    pub(in crate::engine) fn stream(&mut self, mut read: impl FnMut(&mut Reader<'a>) -> Read<()>) -> Read<()> {
        while self.byte()? != 0 {
            read(self)?;
        }
        Ok(())
    }

    pub(in crate::engine) fn span(&mut self) -> Read<(TraceId, SpanId)> {
        Ok((TraceId(self.array()?), SpanId(self.array()?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(values in prop::collection::vec((any::<u64>(), 0u32..64), 0..50)) {
            // Guarantees that any number and any step from one number to another is read as it was written.
            let values: Vec<u64> = values.into_iter().map(|(value, shift)| value >> shift).collect();
            let mut out = Writer::default();
            for pair in values.windows(2) {
                out.number(pair[0]);
                out.step(pair[0], pair[1]);
            }
            let mut from = Reader(&out.0);
            for pair in values.windows(2) {
                prop_assert_eq!(from.number().ok(), Some(pair[0]));
                prop_assert_eq!(from.step(pair[0]).ok(), Some(pair[1]));
            }
            prop_assert!(from.0.is_empty());
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        // Guarantees that a number without end and a list longer than its bytes are errors and take no time.
        assert!(Reader(&[0x80; 40]).number().is_err());
        let mut out = Writer::default();
        out.number(u64::MAX);
        assert!(Reader(&out.0).list(|_| Ok(())).is_err());
        assert!(Reader(&out.0).small::<u32>().is_err());
    }
}
