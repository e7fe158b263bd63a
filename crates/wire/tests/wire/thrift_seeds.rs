//! Small valid bodies in Thrift, written by hand like the other seeds: the same calls in either encoding. Needs nothing but `std`.

/// Writes a struct's fields in one of the two encodings.
pub(crate) struct Fields {
    compact: bool,
    last: i16,
    bytes: Vec<u8>,
}

const BOOL: u8 = 2;
const DOUBLE: u8 = 4;
const I16: u8 = 6;
const I32: u8 = 8;
const I64: u8 = 10;
const BYTES: u8 = 11;
const STRUCT: u8 = 12;
const MAP: u8 = 13;
const LIST: u8 = 15;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn zigzag(value: i64) -> Vec<u8> {
    varint((value << 1 ^ value >> 63) as u64)
}

/// The compact encoding's number of a type.
fn compact_type(value_type: u8) -> u8 {
    match value_type {
        BOOL => 1,
        I16 => 4,
        I32 => 5,
        I64 => 6,
        DOUBLE => 7,
        BYTES => 8,
        LIST => 9,
        MAP => 11,
        _ => 12,
    }
}

impl Fields {
    pub(crate) fn new(compact: bool) -> Self {
        Fields { compact, last: 0, bytes: Vec::new() }
    }

    fn head(mut self, number: i16, value_type: u8) -> Self {
        if self.compact {
            self = self.compact_head(number, compact_type(value_type));
        } else {
            self.bytes.push(value_type);
            self.bytes.extend(number.to_be_bytes());
        }
        self
    }

    fn compact_head(mut self, number: i16, value_type: u8) -> Self {
        let delta = number - self.last;
        if (1..16).contains(&delta) {
            self.bytes.push((delta as u8) << 4 | value_type);
        } else {
            self.bytes.push(value_type);
            self.bytes.extend(zigzag(number.into()));
        }
        self.last = number;
        self
    }

    pub(crate) fn i64(mut self, number: i16, value: i64) -> Self {
        self = self.head(number, I64);
        self.bytes.extend(if self.compact { zigzag(value) } else { value.to_be_bytes().to_vec() });
        self
    }

    pub(crate) fn i32(mut self, number: i16, value: i32) -> Self {
        self = self.head(number, I32);
        self.bytes.extend(if self.compact { zigzag(value.into()) } else { value.to_be_bytes().to_vec() });
        self
    }

    pub(crate) fn i16(mut self, number: i16, value: i16) -> Self {
        self = self.head(number, I16);
        self.bytes.extend(if self.compact { zigzag(value.into()) } else { value.to_be_bytes().to_vec() });
        self
    }

    pub(crate) fn bool(mut self, number: i16, value: bool) -> Self {
        if self.compact {
            return self.compact_head(number, if value { 1 } else { 2 });
        }
        self = self.head(number, BOOL);
        self.bytes.push(value.into());
        self
    }

    pub(crate) fn double(mut self, number: i16, value: f64) -> Self {
        self = self.head(number, DOUBLE);
        self.bytes.extend(if self.compact { value.to_le_bytes() } else { value.to_be_bytes() });
        self
    }

    pub(crate) fn bytes(mut self, number: i16, value: &[u8]) -> Self {
        self = self.head(number, BYTES);
        self.bytes.extend(sized(self.compact, value));
        self
    }

    pub(crate) fn inner(mut self, number: i16, value: Fields) -> Self {
        self = self.head(number, STRUCT);
        self.bytes.extend(value.end());
        self
    }

    pub(crate) fn list(mut self, number: i16, elements: Vec<Fields>) -> Self {
        self = self.head(number, LIST);
        self.bytes.extend(list(self.compact, elements));
        self
    }

    /// A map of nothing known, to be skipped.
    pub(crate) fn map(mut self, number: i16, pairs: &[(&str, &str)]) -> Self {
        self = self.head(number, MAP);
        if self.compact {
            self.bytes.extend(varint(pairs.len() as u64));
            self.bytes.push(0x88);
        } else {
            self.bytes.extend([BYTES, BYTES]);
            self.bytes.extend((pairs.len() as u32).to_be_bytes());
        }
        for (key, value) in pairs {
            self.bytes.extend(sized(self.compact, key.as_bytes()));
            self.bytes.extend(sized(self.compact, value.as_bytes()));
        }
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn sized(compact: bool, bytes: &[u8]) -> Vec<u8> {
    let length = if compact { varint(bytes.len() as u64) } else { (bytes.len() as u32).to_be_bytes().to_vec() };
    [length, bytes.to_vec()].concat()
}

fn list(compact: bool, elements: Vec<Fields>) -> Vec<u8> {
    let count = elements.len();
    let head = match (compact, count) {
        (false, _) => [vec![STRUCT], (count as u32).to_be_bytes().to_vec()].concat(),
        (true, 0..15) => vec![(count as u8) << 4 | 0x0c],
        (true, _) => [vec![0xfc], varint(count as u64)].concat(),
    };
    elements.into_iter().fold(head, |mut bytes, element| {
        bytes.extend(element.end());
        bytes
    })
}

fn call(compact: bool, name: &str, arguments: Fields) -> Vec<u8> {
    let head = if compact {
        [vec![0x82, 0x81, 7], sized(true, name.as_bytes())].concat()
    } else {
        [vec![0x80, 1, 0, 4], sized(false, name.as_bytes()), vec![0, 0, 0, 7]].concat()
    };
    [head, arguments.end()].concat()
}

/// A Jaeger batch with one of everything.
fn jaeger_batch(compact: bool) -> Fields {
    let new = || Fields::new(compact);
    let text = |key: &str, value: &str| new().bytes(1, key.as_bytes()).i32(2, 0).bytes(3, value.as_bytes());
    let tags = vec![
        text("span.kind", "producer"),
        new().bytes(1, b"error").i32(2, 2).bool(5, true),
        new().bytes(1, b"size").i32(2, 3).i64(6, -42),
        new().bytes(1, b"ratio").i32(2, 1).double(4, 0.5),
        new().bytes(1, b"raw").i32(2, 4).bytes(7, &[0, 255]),
        text("otel.scope.name", "shop"),
        text("otel.status_description", "timeout"),
        text("w3c.tracestate", "a=b"),
        text("message_bus.destination", "orders"),
    ];
    let reference = |kind, high, span| new().i32(1, kind).i64(2, 7).i64(3, high).i64(4, span);
    let log = new().i64(1, 1_700_000_000_000_500).list(2, vec![text("event", "retry"), text("why", "busy")]);
    let span = new()
        .i64(1, 7)
        .i64(2, 8)
        .i64(3, -9)
        .i64(4, 10)
        .bytes(5, b"send orders")
        .list(6, vec![reference(0, 8, 10), reference(1, 8, 10), reference(1, 0, 11)])
        .i32(7, 3)
        .i64(8, 1_700_000_000_000_000)
        .i64(9, 2500)
        .list(10, tags)
        .list(11, vec![log])
        .map(99, &[("unknown", "field")]);
    let bare = new().i64(1, 1).i64(3, 1);
    let process = new().bytes(1, b"shop").list(2, vec![text("hostname", "web-1")]);
    new().inner(1, process).list(2, vec![span, bare]).i64(3, 5)
}

/// Jaeger over HTTP.
pub(crate) fn jaeger_thrift() -> Vec<Vec<u8>> {
    vec![jaeger_batch(false).end()]
}

/// Jaeger's agent: its own call, and the one for Zipkin's spans.
pub(crate) fn jaeger_call(compact: bool) -> Vec<Vec<u8>> {
    let own = Fields::new(compact).inner(1, jaeger_batch(compact));
    let zipkin = Fields::new(compact).list(1, zipkin_spans(compact));
    vec![call(compact, "emitBatch", own), call(compact, "emitZipkinBatch", zipkin)]
}

fn zipkin_spans(compact: bool) -> Vec<Fields> {
    let new = || Fields::new(compact);
    let endpoint = |name: &str| new().i32(1, 0x0a00_0001).i16(2, 8080).bytes(3, name.as_bytes()).bytes(4, &[1; 16]);
    let annotation = |time, value: &str, name| new().i64(1, time).bytes(2, value.as_bytes()).inner(3, endpoint(name));
    let binary = |key: &str, value: &[u8], kind, name| {
        new().bytes(1, key.as_bytes()).bytes(2, value).i32(3, kind).inner(4, endpoint(name))
    };
    let start = 1_700_000_000_000_000;
    let both = new()
        .i64(1, 5)
        .bytes(3, b"get /api")
        .i64(4, 6)
        .i64(5, 7)
        .list(
            6,
            vec![
                annotation(start, "cs", "front"),
                annotation(start + 10, "sr", "back"),
                annotation(start + 15, "cache miss", "back"),
                annotation(start + 20, "ss", "back"),
                annotation(start + 30, "cr", "front"),
            ],
        )
        .list(
            8,
            vec![
                binary("http.path", b"/api", 6, "front"),
                binary("sa", &[1], 0, "back"),
                binary("rows", &7i64.to_be_bytes(), 4, "back"),
                binary("raw", &[0xff, 0], 1, "back"),
            ],
        )
        .bool(9, true)
        .i64(10, start)
        .i64(11, 30)
        .i64(12, 4);
    let local = new().i64(1, 5).i64(4, 8).list(8, vec![binary("lc", b"worker", 6, "back")]);
    vec![both, local]
}

/// Zipkin v1.
pub(crate) fn zipkin_v1_thrift() -> Vec<Vec<u8>> {
    vec![list(false, zipkin_spans(false)), list(false, Vec::new())]
}
