//! The twenty services of the shop: names, languages, replicas, and what their senders say about themselves.

use crate::protobuf::Fields;
use crate::rng::Rng;

/// A service, as its place in [`SERVICES`].
pub(super) type Service = usize;

/// What is fixed about a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    /// `service.name`.
    pub(super) name: &'static str,
    pub(super) language: Language,
    pub(super) replicas: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Dotnet,
    Go,
    Java,
    Node,
    Python,
}

const fn service(name: &'static str, language: Language, replicas: u64) -> Profile {
    Profile { name, language, replicas }
}

pub(super) const STOREFRONT: Service = 0;
pub(super) const AUTH: Service = 1;
pub(super) const CATALOG: Service = 2;
pub(super) const SEARCH: Service = 3;
pub(super) const RECOMMENDATION: Service = 4;
pub(super) const CART: Service = 5;
pub(super) const PRICING: Service = 6;
pub(super) const ORDER: Service = 7;
pub(super) const PAYMENT: Service = 8;
pub(super) const FRAUD: Service = 9;
pub(super) const INVENTORY: Service = 10;
pub(super) const WAREHOUSE: Service = 11;
pub(super) const SHIPPING: Service = 12;
pub(super) const EMAIL: Service = 13;
pub(super) const NOTIFICATION: Service = 14;
pub(super) const LOYALTY: Service = 15;
pub(super) const INVOICE: Service = 16;
pub(super) const ANALYTICS: Service = 17;
pub(super) const SUPPORT: Service = 18;
pub(super) const PROFILE: Service = 19;

/// All services.
pub(super) const SERVICES: [Profile; 20] = [
    service("storefront", Language::Node, 4),
    service("auth", Language::Go, 2),
    service("catalog", Language::Java, 3),
    service("search", Language::Java, 2),
    service("recommendation", Language::Python, 2),
    service("cart", Language::Go, 3),
    service("pricing", Language::Go, 2),
    service("order", Language::Java, 3),
    service("payment", Language::Java, 3),
    service("fraud", Language::Python, 2),
    service("inventory", Language::Java, 3),
    service("warehouse", Language::Dotnet, 2),
    service("shipping", Language::Go, 2),
    service("email", Language::Node, 2),
    service("notification", Language::Node, 2),
    service("loyalty", Language::Java, 1),
    service("invoice", Language::Dotnet, 1),
    service("analytics", Language::Java, 2),
    service("support", Language::Python, 1),
    service("user-profile", Language::Go, 2),
];

/// What made a span: one scope of each service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    HttpServer,
    HttpClient,
    Database,
    Messaging,
    Own,
}

pub(super) const LIBRARIES: [Library; 5] =
    [Library::HttpServer, Library::HttpClient, Library::Database, Library::Messaging, Library::Own];

impl Library {
    /// The scope's name, as the instrumentation of that language calls itself.
    pub(super) fn scope_name(self, language: Language) -> &'static str {
        use Language as L;
        match (language, self) {
            (L::Node, Library::HttpServer) => "@opentelemetry/instrumentation-http",
            (L::Node, Library::HttpClient) => "@opentelemetry/instrumentation-undici",
            (L::Node, Library::Database) => "@opentelemetry/instrumentation-redis-4",
            (L::Node, Library::Messaging) => "@opentelemetry/instrumentation-amqplib",
            (L::Go, Library::HttpServer | Library::HttpClient) => {
                "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
            }
            (L::Go, Library::Database) => "github.com/exaring/otelpgx",
            (L::Go, Library::Messaging) => "github.com/twmb/franz-go/plugin/kotel",
            (L::Java, Library::HttpServer) => "io.opentelemetry.tomcat-10.0",
            (L::Java, Library::HttpClient) => "io.opentelemetry.java-http-client",
            (L::Java, Library::Database) => "io.opentelemetry.jdbc",
            (L::Java, Library::Messaging) => "io.opentelemetry.kafka-clients-2.6",
            (L::Python, Library::HttpServer) => "opentelemetry.instrumentation.asgi",
            (L::Python, Library::HttpClient) => "opentelemetry.instrumentation.httpx",
            (L::Python, Library::Database) => "opentelemetry.instrumentation.psycopg",
            (L::Python, Library::Messaging) => "opentelemetry.instrumentation.pika",
            (L::Dotnet, Library::HttpServer) => "Microsoft.AspNetCore",
            (L::Dotnet, Library::HttpClient) => "System.Net.Http",
            (L::Dotnet, Library::Database) => "Npgsql",
            (L::Dotnet, Library::Messaging) => "Confluent.Kafka",
            (_, Library::Own) => "shop",
        }
    }
}

impl Language {
    fn sdk_name(self) -> &'static str {
        match self {
            Language::Dotnet => "dotnet",
            Language::Go => "go",
            Language::Java => "java",
            Language::Node => "nodejs",
            Language::Python => "python",
        }
    }
}

/// The fields of an instance's `Resource`, about twenty attributes as detectors and a Kubernetes operator make them.
pub(super) fn resource(service: Service, replica: u64, rng: &mut Rng) -> Fields {
    let Profile { name, language, .. } = SERVICES[service];
    let pod = format!("{name}-{:08x}-{:05x}", rng.next_u64() as u32, rng.below(1 << 20));
    let node = format!("ip-10-0-{}-17.eu-central-1.compute.internal", (service as u64 * 3 + replica) % 6);
    let mut quarter = || rng.next_u64();
    let container = format!("{:016x}{:016x}{:016x}{:016x}", quarter(), quarter(), quarter(), quarter());
    let mut fields = Fields::new();
    let mut text = |key: &str, value: &str| {
        fields.text_pair(1, key, value);
    };
    text("service.name", name);
    text("service.namespace", "shop");
    text("service.version", &format!("{}.{}.0", 1 + service % 4, service));
    text("service.instance.id", &pod);
    text("deployment.environment.name", "production");
    text("telemetry.sdk.name", "opentelemetry");
    text("telemetry.sdk.language", language.sdk_name());
    text("telemetry.sdk.version", "1.57.0");
    text("host.name", &node);
    text("host.arch", "arm64");
    text("os.type", "linux");
    text("k8s.cluster.name", "shop-production");
    text("k8s.namespace.name", "shop");
    text("k8s.deployment.name", name);
    text("k8s.pod.name", &pod);
    text("k8s.node.name", &node);
    text("container.id", &container);
    text("cloud.provider", "aws");
    text("cloud.region", "eu-central-1");
    text("cloud.availability_zone", ["eu-central-1a", "eu-central-1b", "eu-central-1c"][replica as usize % 3]);
    fields.number_pair(1, "process.pid", 1 + rng.below(40));
    fields
}
