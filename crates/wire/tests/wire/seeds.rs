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

/// OpenCensus: a node, spans of the request's resource and one of its own.
pub(crate) fn opencensus_protobuf() -> Vec<Vec<u8>> {
    let time = |nanos| [number(1, 1_700_000_000), number(2, nanos)].concat();
    let text = |text: &str| blob(1, text.as_bytes());
    let string = |value: &str| blob(1, &text(value));
    let attributes = |pairs: &[Vec<u8>]| [pairs.iter().flat_map(|pair| blob(1, pair)).collect(), number(2, 1)].concat();
    let identifier = [blob(1, b"web-1"), number(2, 4711), blob(3, &time(0))].concat();
    let library = [number(1, 8), blob(2, b"0.7"), blob(3, b"0.11")].concat();
    let node = [
        blob(1, &identifier),
        blob(2, &library),
        blob(3, &text("shop")),
        blob(4, &[blob(1, b"zone"), blob(2, b"a")].concat()),
    ];
    let annotation = [blob(1, &text("retry")), blob(2, &attributes(&[pair("n", &number(2, 2))]))].concat();
    let message = [number(1, 2), number(2, 7), number(3, 100), number(4, 50)].concat();
    let events = [
        blob(1, &[blob(1, &time(1)), blob(2, &annotation)].concat()),
        blob(1, &[blob(1, &time(2)), blob(3, &message)].concat()),
        number(2, 3),
        number(3, 4),
    ];
    let state = blob(1, &[blob(1, b"vendor"), blob(2, b"1")].concat());
    let link = [
        blob(1, &[7; 16]),
        blob(2, &[8; 8]),
        number(3, 2),
        blob(4, &attributes(&[pair("l", &number(3, 1))])),
        blob(5, &state),
    ];
    let pairs = [
        pair("text", &string("t")),
        pair("int", &number(2, 42)),
        pair("bool", &number(3, 1)),
        pair("double", &fixed64(4, 0.5f64.to_bits())),
        pair("span.kind", &string("producer")),
    ];
    let span = [
        blob(1, &[1; 16]),
        blob(2, &[2; 8]),
        blob(3, &[3; 8]),
        blob(4, &[text("send orders"), number(2, 0)].concat()),
        blob(5, &time(5)),
        blob(6, &time(2_000_005)),
        blob(7, &attributes(&pairs)),
        blob(8, &blob(1, b"frames")),
        blob(9, &events.concat()),
        blob(10, &[blob(1, &link.concat()), number(2, 5)].concat()),
        blob(11, &[number(1, 5), blob(2, b"not there")].concat()),
        blob(12, &number(1, 1)),
        blob(13, &number(1, 2)),
        blob(15, &[state.clone(), state.clone()].concat()),
    ];
    let resource = |kind: &str| [blob(1, kind.as_bytes()), blob(2, &[blob(1, b"k"), blob(2, b"v")].concat())].concat();
    let server = [blob(1, &[1; 16]), blob(2, &[4; 8]), number(14, 1), blob(16, &resource("pod"))].concat();
    let body =
        [blob(1, &node.concat()), blob(2, &server), blob(2, &span.concat()), blob(3, &resource("host"))].concat();
    vec![body, Vec::new()]
}

/// Metrics of OTLP as protobuf: a point of each kind, one of them about messages.
pub(crate) fn otlp_metrics() -> Vec<Vec<u8>> {
    let metric =
        |name: &str, kind: u64| blob(2, &[blob(1, name.as_bytes()), blob(kind, &blob(1, &fixed64(4, 1)))].concat());
    let kinds = [metric("a", 5), metric("b", 7), metric("messaging.c", 9), metric("d", 10), metric("e", 11)];
    vec![blob(1, &blob(2, &kinds.concat())), Vec::new()]
}

/// An X-Ray segment with everything that a document may say.
const XRAY_SEGMENT: &str = r#"{"name":"shop","id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979","parent_id":"53995c3f42cd8ad8",
    "start_time":1478293361.271,"end_time":1478293361.449,"user":"u-7","origin":"AWS::ECS::Container","resource_arn":"arn:aws:ecs:x",
    "service":{"version":"1.2","compiler":"cc","compiler_version":"3"},"fault":true,"error":false,"throttle":false,
    "http":{"request":{"method":"POST","url":"http://shop/orders","user_agent":"curl","client_ip":"10.0.0.1","x_forwarded_for":true},
    "response":{"status":500,"content_length":12}},"aws":{"account_id":"123456789012","region":"eu-west-1","ecs":{"container":"c-1",
    "container_id":"f00"},"ec2":{"instance_id":"i-1","availability_zone":"eu-west-1a"},"xray":{"sdk":"X-Ray for Java","sdk_version":"2.4",
    "auto_instrumentation":false},"cloudwatch_logs":[{"log_group":"g","arn":"a"}]},"annotations":{"order_id":42,"vip":true,"ratio":0.5,
    "who":"me"},"metadata":{"shop":{"cart":[1,{"deep":[null,true]}]}},"links":[{"trace_id":"1-581cf772-a006649127e371903a2de979",
    "id":"70de5b6f19ff9a0b","attributes":{"type":"sqs"}}],"cause":{"working_directory":"/app","paths":["a"],"exceptions":[{"id":"53995c3f42cd8ad7",
    "type":"ValueError","message":"no money","remote":true,"truncated":1,"skipped":2,"cause":"53995c3f42cd8ad6","stack":[{"path":"app.py","line":7,
    "label":"pay"},{"path":"lib.py"}]}]},"subsegments":[
    {"name":"SQS","id":"53995c3f42cd8ad1","start_time":1478293361.3,"end_time":1478293361.31,"namespace":"aws","aws":{"operation":"SendMessage",
    "queue_url":"https://sqs.eu-west-1.amazonaws.com/123456789012/orders","message_id":"m-1","region":"eu-west-1","request_id":"r-1","retries":1}},
    {"name":"SNS","id":"53995c3f42cd8ad2","start_time":1478293361.3,"end_time":1478293361.31,"namespace":"aws","aws":{"operation":"publish",
    "topic_arn":"arn:aws:sns:eu-west-1:123456789012:news"},"subsegments":[{"name":"inner","id":"53995c3f42cd8ad3","start_time":1478293361.3,
    "end_time":1478293361.31,"precursor_ids":["53995c3f42cd8ad1"],"cause":"53995c3f42cd8ad7"}]},
    {"name":"sqs","id":"53995c3f42cd8ad4","start_time":1478293361.3,"end_time":1478293361.31,"namespace":"aws","aws":{"operation":"receive_message",
    "queue_url":"https://q/1/orders","message_count":3}},
    {"name":"DynamoDB","id":"53995c3f42cd8ad5","start_time":1478293361.3,"end_time":1478293361.31,"namespace":"aws","throttle":true,
    "aws":{"operation":"PutItem","table_name":"orders","table_names":["orders"]}},
    {"name":"Lambda","id":"53995c3f42cd8ae1","start_time":1478293361.3,"end_time":1478293361.31,"namespace":"aws",
    "aws":{"operation":"Invoke","function_name":"mail","invocation_type":"Event"}},
    {"name":"orders@db","id":"53995c3f42cd8ae2","start_time":1478293361.3,"end_time":1478293361.31,"namespace":"remote","sql":{"url":"jdbc:x",
    "database_type":"PostgreSQL","database_version":"9.5","driver_version":"42","user":"app","preparation":"call","sanitized_query":"SELECT ?"}},
    {"name":"api.bank","id":"53995c3f42cd8ae3","start_time":1478293361.3,"in_progress":true,"namespace":"remote","traced":true}]}"#;

/// X-Ray's datagrams: a segment, and a subsegment by itself.
pub(crate) fn xray_datagram() -> Vec<Vec<u8>> {
    let head = "{\"format\": \"json\", \"version\": 1}\n";
    let subsegment = r#"{"type":"subsegment","name":"step","id":"53995c3f42cd8ae4","parent_id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979",
        "start_time":1478293361.3,"end_time":1478293361.4}"#;
    vec![format!("{head}{XRAY_SEGMENT}").into(), format!("{head}{subsegment}").into()]
}

/// The body of X-Ray's `PutTraceSegments`.
pub(crate) fn xray_documents() -> Vec<Vec<u8>> {
    let quoted = format!("\"{}\"", XRAY_SEGMENT.replace('"', "\\\"").replace('\n', " "));
    vec![format!("{{\"TraceSegmentDocuments\":[{quoted},{quoted}],\"Other\":1}}").into(), b"{}".to_vec()]
}
