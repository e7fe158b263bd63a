//! Small valid bodies of every format, the start of all fuzzing. Written by hand so that the fuzzers' corpus needs nothing else.

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn blob(number: u64, payload: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn fixed64(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn fixed32(number: u64, value: u32) -> Vec<u8> {
    [varint(number << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

fn pair(key: &str, value: &[u8]) -> Vec<u8> {
    [blob(1, key.as_bytes()), blob(2, value)].concat()
}

/// OTLP as protobuf.
pub(crate) fn otlp_protobuf() -> Vec<Vec<u8>> {
    let text = |text: &str| blob(1, text.as_bytes());
    let array = blob(5, &[blob(1, &text("a")), blob(1, &number(3, 7)), blob(1, &[])].concat());
    let map = blob(6, &[blob(1, &pair("in", &array)), blob(1, &pair("$x", &fixed64(4, 2.5f64.to_bits())))].concat());
    let event =
        [fixed64(1, 1_700_000_000_000_000_001), blob(2, b"retry"), blob(3, &pair("n", &number(3, 2))), number(4, 1)];
    let link = [
        blob(1, &[7; 16]),
        blob(2, &[8; 8]),
        blob(3, b"k=v"),
        blob(4, &pair("l", &number(2, 1))),
        number(5, 1),
        fixed32(6, 0x301),
    ];
    let span = [
        blob(1, &[1; 16]),
        blob(2, &[2; 8]),
        blob(3, b"vendor=1"),
        blob(4, &[3; 8]),
        blob(5, b"POST /orders"),
        number(6, 2),
        fixed64(7, 1_700_000_000_000_000_000),
        fixed64(8, 1_700_000_000_020_000_000),
        blob(9, &pair("http.request.method", &text("POST"))),
        blob(9, &pair("tags", &map)),
        blob(9, &pair("raw", &blob(7, &[0, 255, 1]))),
        blob(9, &pair("empty", &[])),
        number(10, 1),
        blob(11, &event.concat()),
        number(12, 2),
        blob(13, &link.concat()),
        number(14, 3),
        blob(15, &[blob(2, b"timeout"), number(3, 2)].concat()),
        fixed32(16, 0x101),
    ];
    let scope = [blob(1, b"http"), blob(2, b"1.2"), blob(3, &pair("s", &text("x"))), number(4, 1)];
    let scope_spans = [blob(1, &scope.concat()), blob(2, &span.concat()), blob(3, b"https://schema/scope")];
    let resource = [blob(1, &pair("service.name", &text("order"))), number(2, 1)];
    let resource_spans =
        [blob(2, &scope_spans.concat()), blob(1, &resource.concat()), blob(3, b"https://schema/resource")];
    let body = blob(1, &resource_spans.concat());
    let bare = blob(1, &blob(2, &blob(2, &[blob(1, &[1; 16]), blob(2, &[2; 8])].concat())));
    vec![body.clone(), bare.clone(), [body, bare].concat(), Vec::new()]
}

/// OTLP as JSON.
pub(crate) fn otlp_json() -> Vec<Vec<u8>> {
    let body = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"order"}}],
        "droppedAttributesCount":1},"scopeSpans":[{"scope":{"name":"http","version":"1.2"},"spans":[{
        "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173",
        "traceState":"a=b","flags":257,"name":"POST /orders","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1544712660000000000",
        "endTimeUnixNano":1544712661000000000,"attributes":[{"key":"d","value":{"doubleValue":"NaN"}},
        {"key":"b","value":{"bytesValue":"AP8B"}},{"key":"m","value":{"kvlistValue":{"values":[{"value":{"arrayValue":
        {"values":[{"intValue":"7"},{},{"boolValue":true}]}},"key":"in"}]}}}],"events":[{"timeUnixNano":"1","name":"retry\n"}],
        "links":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","flags":1}],
        "status":{"code":2,"message":"timeout"}}],"schemaUrl":"s"}],"schemaUrl":null}]}"#;
    vec![body.into(), b"{}".to_vec(), br#"{"resourceSpans":null}"#.to_vec()]
}

/// Zipkin as JSON.
pub(crate) fn zipkin_json() -> Vec<Vec<u8>> {
    let body = r#"[{"traceId":"5af7183fb1d4cf5f","parentId":"6b221d5bc9e6496c","id":"352bff9a74ca9ad2","kind":"CLIENT","name":"get /api",
        "timestamp":1556604172355737,"duration":1431,"localEndpoint":{"serviceName":"backend","ipv4":"192.168.99.1","port":3306},
        "remoteEndpoint":{"serviceName":"mysql","ipv4":"172.19.0.2","ipv6":"::1","port":58648},"annotations":[
        {"timestamp":1556604172355740,"value":"ws"},{"timestamp":1556604172355741,"value":"\"retry\": {\"n\":1}"}],
        "tags":{"http.method":"GET","error":"timeout","otel.scope.name":"lib","w3c.tracestate":"a=b",
        "otlp.link.0":"5b8efff798038103d269b633813fc60c|eee19b7ec3c1b174|a=b|{\"k\":1.5}|2"},"shared":true,"debug":true},
        {"traceId":"1","id":"1"}]"#;
    vec![body.into(), b"[]".to_vec()]
}

/// Zipkin as protobuf.
pub(crate) fn zipkin_protobuf() -> Vec<Vec<u8>> {
    let endpoint = [blob(1, b"backend"), blob(2, &[10, 0, 0, 1]), blob(3, &[1; 16]), number(4, 8080)].concat();
    let span = [
        blob(1, &[1; 8]),
        blob(2, &[2; 8]),
        blob(3, &[3; 8]),
        number(4, 2),
        blob(5, b"get /api"),
        fixed64(6, 1_556_604_172_355_737),
        number(7, 1431),
        blob(8, &endpoint),
        blob(9, &endpoint),
        blob(10, &[fixed64(1, 1_556_604_172_355_740), blob(2, b"ws")].concat()),
        blob(11, &[blob(1, b"error"), blob(2, b"timeout")].concat()),
        number(12, 1),
        number(13, 1),
    ];
    vec![blob(1, &span.concat()), Vec::new()]
}

/// Zipkin v1 as JSON.
pub(crate) fn zipkin_v1_json() -> Vec<Vec<u8>> {
    let body = r#"[{"traceId":"48485a3953bb61246b221d5bc9e6496c","id":"6b221d5bc9e6496c","parentId":"352bff9a74ca9ad2","name":"get /api",
        "timestamp":1556604172355737,"duration":1431,"debug":true,"annotations":[
        {"timestamp":1556604172355737,"value":"sr","endpoint":{"serviceName":"backend","ipv4":"192.168.99.1","port":3306}},
        {"timestamp":1556604172355800,"value":"cache miss","endpoint":{"serviceName":"backend","ipv6":"::1"}},
        {"timestamp":1556604172357168,"value":"ss"}],"binaryAnnotations":[{"key":"http.path","value":"/api",
        "endpoint":{"serviceName":"backend"}},{"key":"rows","value":7,"type":"I64"},{"key":"ca","value":true,
        "endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1"}}]},{"traceId":"1","id":"2","annotations":
        [{"timestamp":5,"value":"ms","endpoint":{"serviceName":"p"}},{"timestamp":9,"value":"mr","endpoint":{"serviceName":"c"}}]}]"#;
    vec![body.into(), b"[]".to_vec()]
}

/// Jaeger as protobuf: a span of the batch's process and one of its own.
pub(crate) fn jaeger_protobuf() -> Vec<Vec<u8>> {
    let time = |seconds, nanos| [number(1, seconds), number(2, nanos)].concat();
    let text = |key: &str, value: &str| [blob(1, key.as_bytes()), blob(3, value.as_bytes())].concat();
    let reference = |kind, span: u8| [blob(1, &[7; 16]), blob(2, &[span; 8]), number(3, kind)].concat();
    let process = |name: &str| [blob(1, name.as_bytes()), blob(2, &text("hostname", "web-1"))].concat();
    let span = [
        blob(1, &[7; 16]),
        blob(2, &[9; 8]),
        blob(3, b"send orders"),
        blob(4, &reference(0, 10)),
        blob(4, &reference(1, 11)),
        number(5, 3),
        blob(6, &time(1_700_000_000, 5)),
        blob(7, &time(0, 2_500_000)),
        blob(8, &text("span.kind", "producer")),
        blob(8, &[blob(1, b"error"), number(2, 1), number(4, 1)].concat()),
        blob(8, &[blob(1, b"size"), number(2, 2), number(5, 42)].concat()),
        blob(8, &[blob(1, b"ratio"), number(2, 3), fixed64(6, 0.5f64.to_bits())].concat()),
        blob(8, &[blob(1, b"raw"), number(2, 4), blob(7, &[0, 255])].concat()),
        blob(
            9,
            &[blob(1, &time(1_700_000_000, 9)), blob(2, &text("event", "retry")), blob(2, &text("why", "busy"))]
                .concat(),
        ),
        blob(11, b"p1"),
        blob(12, b"clock skew"),
    ]
    .concat();
    let own = [blob(1, &[7; 8]), blob(2, &[8; 8]), blob(10, &process("own"))].concat();
    let batch = [blob(1, &own), blob(1, &span), blob(2, &process("shop"))].concat();
    vec![blob(1, &batch), Vec::new()]
}
