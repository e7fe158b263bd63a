//! A small protobuf writer, for making senders' bytes without the encoder that is under test.
//!
//! Only what generated requests need; messages are built inside out, so that no length has to be guessed.

/// Fields of one message, encoded.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
}

impl Fields {
    /// Nothing yet.
    pub fn new() -> Self {
        Fields::default()
    }

    /// The encoded fields.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoded fields.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A number as a varint.
    pub fn number(&mut self, field: u32, value: u64) -> &mut Self {
        self.varint(u64::from(field << 3));
        self.varint(value);
        self
    }

    /// A number in eight bytes.
    pub fn fixed64(&mut self, field: u32, value: u64) -> &mut Self {
        self.varint(u64::from(field << 3 | 1));
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A number in four bytes.
    pub fn fixed32(&mut self, field: u32, value: u32) -> &mut Self {
        self.varint(u64::from(field << 3 | 5));
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A string, bytes, or a message that is already encoded.
    pub fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.varint(u64::from(field << 3 | 2));
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
        self
    }

    /// Fields that are already encoded.
    pub fn extend(&mut self, fields: &Fields) -> &mut Self {
        self.bytes.extend_from_slice(&fields.bytes);
        self
    }

    /// An OTLP `KeyValue` with a string.
    pub fn text_pair(&mut self, field: u32, key: &str, value: &str) -> &mut Self {
        let value_bytes = 1 + varint_bytes(value.len()) + value.len();
        self.pair_head(field, key, value_bytes);
        self.bytes(1, value.as_bytes())
    }

    /// An OTLP `KeyValue` with an integer, which is not negative.
    pub fn number_pair(&mut self, field: u32, key: &str, value: u64) -> &mut Self {
        let value_bytes = 1 + varint_bytes(value as usize);
        self.pair_head(field, key, value_bytes);
        self.number(3, value)
    }

    fn pair_head(&mut self, field: u32, key: &str, value_bytes: usize) {
        let key_bytes = 1 + varint_bytes(key.len()) + key.len();
        self.varint(u64::from(field << 3 | 2));
        self.varint((key_bytes + 1 + varint_bytes(value_bytes) + value_bytes) as u64);
        self.bytes(1, key.as_bytes());
        self.varint(2 << 3 | 2);
        self.varint(value_bytes as u64);
    }
}

fn varint_bytes(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}
