//! What every flow is made of: HTTP calls, queries, calls to third parties, messages.

use super::services::{Library, SERVICES, Service};
use super::spans::{Kind, MS, Maker, Open, Parent};

/// The longest a consumer lets a message lie.
const QUEUE_WAIT_MAX_NS: u64 = 150_000 * MS;

/// Who and what a flow is about.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    order: Option<String>,
    followed: bool,
    user: String,
    session: String,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// When it can be received.
    pub(super) sent_ns: u64,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    id: String,
    topic: &'static str,
    broker: Broker,
    partition: u64,
    offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broker {
    Kafka,
    RabbitMq,
}

/// A database and how long a query usually takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Database {
    DynamoDb,
    PostgreSql,
    Redis,
}

/// How a third party can fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) kind: &'static str,
    pub(super) message: &'static str,
    pub(super) status: u64,
}

/// A third party's endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThirdParty {
    pub(super) method: &'static str,
    pub(super) host: &'static str,
    pub(super) path: &'static str,
    pub(super) median_us: u64,
}

const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "shop-app/8.1.0 (iOS 19.1; iPhone17,2)",
];

impl Subject {
    /// Says on a span who and what it is about.
    fn note_on(&self, span: &mut Open) {
        span.text("user.id", &self.user);
        if let Some(order) = &self.order {
            span.text("order.id", order);
            if self.followed {
                span.follows(order);
            }
        }
    }
}

impl Maker {
    pub(super) fn visitor(&mut self) -> Subject {
        let (user, session) = (format!("usr_{:07}", self.rng.below(2_000_000)), self.uuid());
        Subject { order: None, followed: false, user, session }
    }

    pub(super) fn buyer(&mut self) -> Subject {
        let (high, low) = (self.rng.next_u64(), self.rng.below(1 << 16));
        let followed = self.counting.next_order_is_followed();
        Subject { order: Some(format!("ord_{high:016x}{low:04x}")), followed, ..self.visitor() }
    }

    /// The server's side of an HTTP request; its clock stands where its work begins.
    pub(super) fn serve(
        &mut self,
        service: Service,
        (method, route): (&str, &str),
        parent: Parent,
        start_ns: u64,
        subject: &Subject,
    ) -> Open {
        let name = format!("{method} {route}");
        let mut span = self.open((service, Library::HttpServer), Kind::Server, name, parent, start_ns);
        let host = format!("{}.shop.internal", SERVICES[service].name);
        let path = route.replace("{id}", &(10_000 + self.rng.below(90_000)).to_string());
        let client = format!("10.{}.{}.{}", self.rng.below(4), self.rng.below(256), self.rng.below(256));
        let agent = match parent {
            Parent::None => self.word(&USER_AGENTS),
            Parent::Span(_) => "shop-client/5.2",
        };
        span.text("http.request.method", method).text("http.route", route).text("url.path", &path);
        span.text("url.scheme", "https").text("server.address", &host).number("server.port", 8080);
        span.text("network.protocol.version", "1.1").text("client.address", &client);
        span.text("user_agent.original", agent).text("session.id", &subject.session);
        span.number("http.request.body.size", self.rng.below(4_000));
        span.number("http.response.body.size", 100 + self.rng.below(20_000));
        subject.note_on(&mut span);
        span.now_ns += self.takes(300);
        span
    }

    /// Ends what [`Maker::serve`] began.
    pub(super) fn answer(&mut self, mut span: Open) -> u64 {
        span.now_ns += self.takes(400);
        let status = if span.has_failed() { 500 } else { 200 };
        span.number("http.response.status_code", status);
        self.close(span)
    }

    /// A call from one service to another; `work` is done on the other side.
    pub(super) fn call(
        &mut self,
        caller: &mut Open,
        to: Service,
        (method, route): (&str, &str),
        subject: &Subject,
        work: impl FnOnce(&mut Maker, &mut Open),
    ) {
        let host = format!("{}.shop.internal", SERVICES[to].name);
        let name = format!("{method} {}", SERVICES[to].name);
        let parent = Parent::Span(caller.id);
        let mut client = self.open((caller.service, Library::HttpClient), Kind::Client, name, parent, caller.now_ns);
        let peer = format!("10.96.{to}.{}", self.rng.below(256));
        client.text("http.request.method", method).text("url.full", &format!("http://{host}:8080{route}"));
        client.text("server.address", &host).number("server.port", 8080).text("network.peer.address", &peer);
        client.number("network.peer.port", 8080).text("network.protocol.version", "1.1");
        client.number("http.response.status_code", 200);
        client.now_ns += self.takes(400);
        let mut server = self.serve(to, (method, route), Parent::Span(client.id), client.now_ns, subject);
        work(self, &mut server);
        client.now_ns = self.answer(server) + self.takes(400);
        caller.now_ns = self.close(client);
    }

    /// A query.
    pub(super) fn query(&mut self, caller: &mut Open, database: Database, operation: &str, target: &str) {
        let name = match database {
            Database::Redis => operation.to_owned(),
            Database::DynamoDb => format!("DynamoDB.{operation}"),
            Database::PostgreSql => format!("{operation} {target}"),
        };
        let parent = Parent::Span(caller.id);
        let mut span = self.open((caller.service, Library::Database), Kind::Client, name, parent, caller.now_ns);
        let service = SERVICES[caller.service].name;
        let (system, port, median_us) = match database {
            Database::Redis => ("redis", 6379, 350),
            Database::DynamoDb => ("dynamodb", 443, 4_000),
            Database::PostgreSql => ("postgresql", 5432, 2_000),
        };
        span.text("db.system.name", system).text("db.operation.name", operation).text("db.namespace", service);
        span.text("server.address", &format!("{system}-{service}.db.internal")).number("server.port", port);
        span.text("network.peer.address", &format!("10.100.{}.{}", caller.service, 1 + self.rng.below(3)));
        match database {
            Database::Redis => {
                let key = self.rng.below(5_000_000);
                span.text("db.query.text", &format!("{operation} {target}:{key}"));
            }
            Database::DynamoDb => {
                span.text("aws.dynamodb.table_names", target).text("rpc.system", "aws-api");
                span.text("rpc.service", "DynamoDB").text("rpc.method", operation);
                span.text("aws.request_id", &self.uuid()).text("cloud.region", "eu-central-1");
            }
            Database::PostgreSql => {
                span.text("db.collection.name", target).text("db.query.text", &query_text(operation, target));
                span.text("db.query.summary", &format!("{operation} {target}"));
                span.number("db.response.returned_rows", self.rng.below(40));
            }
        }
        let slow = self.happens(2);
        span.now_ns += self.takes(if slow { 400_000 } else { median_us });
        if slow && self.happens(300) {
            span.now_ns += 2_000 * MS;
            self.fail(&mut span, "java.sql.SQLTimeoutException", "canceling statement due to statement timeout");
        }
        caller.now_ns = self.close(span);
    }

    /// A call to somebody else's API.
    pub(super) fn third_party(&mut self, caller: &mut Open, to: &ThirdParty, subject: &Subject, fault: Option<Fault>) {
        let &ThirdParty { method, host, path, median_us } = to;
        let (name, parent) = (format!("{method} {path}"), Parent::Span(caller.id));
        let mut span = self.open((caller.service, Library::HttpClient), Kind::Client, name, parent, caller.now_ns);
        span.text("http.request.method", method).text("url.full", &format!("https://{host}{path}"));
        span.text("server.address", host).number("server.port", 443).text("network.protocol.version", "2");
        span.text("http.request.header.idempotency-key", &self.uuid());
        span.text("http.response.header.request-id", &format!("req_{:014x}", self.rng.next_u64() >> 8));
        span.number("http.response.status_code", fault.map_or(200, |fault| fault.status));
        span.text("tls.protocol.version", "1.3");
        subject.note_on(&mut span);
        let timed_out = fault.is_some_and(|fault| fault.status == 504);
        span.now_ns += self.takes(if timed_out { 2_500_000 } else { median_us });
        if let Some(fault) = fault {
            self.fail(&mut span, fault.kind, fault.message);
        }
        caller.now_ns = self.close(span);
    }

    /// Work inside a service.
    pub(super) fn compute(&mut self, caller: &mut Open, name: &str, subject: &Subject) {
        let parent = Parent::Span(caller.id);
        let mut span =
            self.open((caller.service, Library::Own), Kind::Internal, name.to_owned(), parent, caller.now_ns);
        span.text("code.function.name", &format!("com.shop.{name}")).text("code.file.path", "Service.java");
        span.number("code.line.number", 10 + self.rng.below(800)).text("feature_flag.key", "pricing-v3");
        span.text("feature_flag.result.variant", self.word(&["on", "off"]));
        span.text("session.id", &subject.session).number("items.count", 1 + self.rng.below(8));
        span.now_ns += self.takes(800);
        caller.now_ns = self.close(span);
    }

    /// Sends a message.
    pub(super) fn send(
        &mut self,
        caller: &mut Open,
        broker: Broker,
        topic: &'static str,
        subject: &Subject,
    ) -> Message {
        let (name, parent) = (format!("send {topic}"), Parent::Span(caller.id));
        let mut span = self.open((caller.service, Library::Messaging), Kind::Producer, name, parent, caller.now_ns);
        self.messages += 1;
        let partition = self.rng.below(24);
        let mut message = Message {
            sent_ns: 0,
            trace_id: self.trace_id(),
            span_id: span.id,
            id: self.uuid(),
            topic,
            broker,
            partition,
            offset: 61_000_000 + self.messages * 5 + partition,
        };
        self.messaging(&mut span, &message, "send");
        if broker == Broker::Kafka {
            span.text("messaging.kafka.message.key", subject.order.as_deref().unwrap_or(&subject.user));
        }
        span.text("messaging.client.id", &format!("{}-producer-1", SERVICES[caller.service].name));
        subject.note_on(&mut span);
        span.now_ns += self.takes(2_500);
        caller.now_ns = self.close(span);
        message.sent_ns = caller.now_ns;
        message
    }

    /// Receives a message and works on it: in the sender's trace, or, three times in ten, in one of its own with a link. Returns
    /// when the work ended.
    pub(super) fn process(
        &mut self,
        service: Service,
        message: &Message,
        subject: &Subject,
        work: impl FnOnce(&mut Maker, &mut Open),
    ) -> u64 {
        let wait_ns = self.queue_wait_ns();
        let linked = self.happens(300);
        let parent = if linked { Parent::None } else { Parent::Span(message.span_id) };
        let (name, start_ns) = (format!("process {}", message.topic), message.sent_ns + wait_ns);
        let mut span = self.open((service, Library::Messaging), Kind::Consumer, name, parent, start_ns);
        self.messaging(&mut span, message, "process");
        let service_name = SERVICES[service].name;
        span.text("messaging.client.id", &format!("{service_name}-consumer-{}", message.partition % 4));
        match message.broker {
            Broker::Kafka => {
                span.text("messaging.consumer.group.name", &format!("{service_name}-group"));
                span.number("messaging.kafka.offset", message.offset);
            }
            Broker::RabbitMq => {
                span.number("messaging.rabbitmq.message.delivery_tag", message.offset % 100_000);
            }
        }
        span.number("messaging.queue.wait_ms", wait_ns / MS);
        if linked {
            span.link(message.trace_id, message.span_id);
        }
        subject.note_on(&mut span);
        span.now_ns += self.takes(300);
        work(self, &mut span);
        span.now_ns += self.takes(500);
        self.close(span)
    }

    fn queue_wait_ns(&mut self) -> u64 {
        let median_ms = match self.rng.below(100) {
            0..70 => 15,
            70..93 => 900,
            93..99 => 8_000,
            _ => 45_000,
        };
        self.takes(median_ms * 1000).min(QUEUE_WAIT_MAX_NS)
    }

    fn messaging(&mut self, span: &mut Open, message: &Message, operation: &str) {
        let node = self.rng.below(3);
        let system = if message.broker == Broker::Kafka { "kafka" } else { "rabbitmq" };
        span.text("messaging.system", system).text("messaging.destination.name", message.topic);
        span.text("messaging.operation.name", operation).text("messaging.operation.type", operation);
        span.text("messaging.message.id", &message.id);
        span.number("messaging.message.body.size", 200 + self.rng.below(5_800));
        match message.broker {
            Broker::Kafka => {
                span.text("messaging.destination.partition.id", &message.partition.to_string());
                span.text("server.address", &format!("kafka-{node}.mq.internal")).number("server.port", 9092);
            }
            Broker::RabbitMq => {
                span.text("messaging.rabbitmq.destination.routing_key", message.topic);
                span.text("server.address", "rabbit.mq.internal").number("server.port", 5672);
                span.text("network.peer.address", &format!("10.101.0.{node}"));
            }
        }
    }
}

fn query_text(operation: &str, table: &str) -> String {
    match operation {
        "SELECT" => format!(
            "SELECT id, state, created_at, updated_at, document FROM {table} WHERE customer_id = $1 AND state = $2 \
             ORDER BY created_at DESC LIMIT 50"
        ),
        "INSERT" => format!(
            "INSERT INTO {table} (id, customer_id, state, amount_cents, currency, document, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, now()) RETURNING id"
        ),
        _ => format!(
            "UPDATE {table} SET state = $1, version = version + 1, updated_at = now() WHERE id = $2 AND version = $3"
        ),
    }
}
