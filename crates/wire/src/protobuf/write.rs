//! [`Writer`]: fields of nested messages into one buffer. Fields with default values are left out, as proto3 wants.

/// Writes messages.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    fn key(&mut self, number: u32, wire_type: u32) {
        self.varint(u64::from(number << 3 | wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// An integer, an enum or a bool, also when it is 0.
    pub(crate) fn present_varint(&mut self, number: u32, value: u64) {
        self.key(number, 0);
        self.varint(value);
    }

    pub(crate) fn uint(&mut self, number: u32, value: u32) {
        if value != 0 {
            self.present_varint(number, value.into());
        }
    }

    pub(crate) fn enumeration(&mut self, number: u32, value: i32) {
        if value != 0 {
            // Negative numbers are sign-extended to ten bytes.
            self.present_varint(number, i64::from(value) as u64);
        }
    }

    pub(crate) fn fixed64(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.present_fixed64(number, value);
        }
    }

    /// A fixed64 or a double, also when it is 0.
    pub(crate) fn present_fixed64(&mut self, number: u32, value: u64) {
        self.key(number, 1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn fixed32(&mut self, number: u32, value: u32) {
        if value != 0 {
            self.key(number, 5);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A string or bytes.
    pub(crate) fn blob(&mut self, number: u32, value: &[u8]) {
        if !value.is_empty() {
            self.present_blob(number, value);
        }
    }

    /// A string or bytes, also when empty.
    pub(crate) fn present_blob(&mut self, number: u32, value: &[u8]) {
        self.key(number, 2);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A message, also when empty. Its length is written before it once it is known; most need one byte.
    pub(crate) fn message(&mut self, number: u32, fields: impl FnOnce(&mut Writer)) {
        self.key(number, 2);
        let length_at = self.bytes.len();
        self.bytes.push(0);
        fields(self);
        let length = self.bytes.len() - length_at - 1;
        let mut varint = Writer::default();
        if length < 0x80 {
            self.bytes[length_at] = length as u8;
        } else {
            varint.varint(length as u64);
            self.bytes.splice(length_at..=length_at, varint.bytes);
        }
    }
}
