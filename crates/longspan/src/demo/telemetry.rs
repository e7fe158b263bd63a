//! Each service's own OpenTelemetry set-up: a tracer provider with its own resource, tracers per instrumentation scope, the
//! W3C propagator, and the OTLP exporter over gRPC.
//!
//! All spans of the shop are made through [`Telemetry::start`]. How a provider exports is injected ([`ProviderFactory`]),
//! so that tests keep the spans in memory. Trace and span ids are the SDK's own, random ones: two runs with one seed
//! must not look like one run sent twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanBuilder, SpanContext, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};

const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.40.0";
const SCHEDULE_DELAY: Duration = Duration::from_millis(500);
/// Spans one service's exporter holds before the SDK drops; the fast shop flushes well before.
const EXPORT_QUEUE_SPANS: usize = 8_192;
const EXPORT_BATCH_SPANS: usize = 1_024;
/// One flush attempt gives up after five seconds inside the SDK; a server under load gets this many.
const FLUSH_ATTEMPTS: usize = 6;

/// The services of the shop, in the order of [`SERVICES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Storefront,
    Order,
    Payment,
    Inventory,
    Warehouse,
    Shipping,
    Email,
    Analytics,
    Loyalty,
    Support,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceSpec {
    pub(crate) service: Service,
    pub(crate) name: &'static str,
    version: &'static str,
    host: &'static str,
    /// The instrumentation scope of the service's own code.
    scope: &'static str,
}

pub(crate) const SERVICES: [ServiceSpec; 10] = [
    spec(Service::Storefront, "storefront", "3.14.0", "web-1", "storefront"),
    spec(Service::Order, "order-service", "2.8.1", "app-1", "order_service"),
    spec(Service::Payment, "payment-service", "1.22.4", "app-2", "payment_service"),
    spec(Service::Inventory, "inventory-service", "4.0.2", "app-1", "inventory_service"),
    spec(Service::Warehouse, "warehouse-service", "0.9.7", "depot-1", "warehouse_service"),
    spec(Service::Shipping, "shipping-service", "1.3.0", "depot-1", "shipping_service"),
    spec(Service::Email, "email-service", "2.1.5", "app-3", "email_service"),
    spec(Service::Analytics, "analytics", "5.6.0", "data-1", "analytics"),
    spec(Service::Loyalty, "loyalty-service", "1.0.3", "app-2", "loyalty_service"),
    spec(Service::Support, "support-desk", "0.4.2", "app-3", "support_desk"),
];

const fn spec(
    service: Service,
    name: &'static str,
    version: &'static str,
    host: &'static str,
    scope: &'static str,
) -> ServiceSpec {
    ServiceSpec { service, name, version, host, scope }
}

/// Which library's instrumentation makes a span: its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    HttpServer,
    HttpClient,
    Kafka,
    Amqp,
    Sql,
    Redis,
    Smtp,
    /// The service's own code.
    Own,
}

const LIBRARY_SCOPES: [(&str, &str); 7] = [
    ("shop::http::server", "0.8.4"),
    ("shop::http::client", "0.12.2"),
    ("shop::kafka", "0.38.0"),
    ("shop::amqp", "3.0.1"),
    ("shop::sql", "0.8.6"),
    ("shop::redis", "0.32.7"),
    ("shop::smtp", "0.11.19"),
];

/// Makes the provider of one service from its resource.
pub(crate) type ProviderFactory<'a> = dyn Fn(&ServiceSpec, Resource) -> anyhow::Result<SdkTracerProvider> + 'a;

pub(crate) struct Telemetry {
    services: Vec<ServiceTelemetry>,
    propagator: TraceContextPropagator,
    started: AtomicU64,
}

struct ServiceTelemetry {
    provider: SdkTracerProvider,
    tracers: Vec<SdkTracer>,
}

impl Telemetry {
    pub(crate) fn new(run_tag: u64, factory: &ProviderFactory<'_>) -> anyhow::Result<Self> {
        let mut services = Vec::with_capacity(SERVICES.len());
        for spec in &SERVICES {
            debug_assert_eq!(spec.service as usize, services.len(), "SERVICES is in the order of Service");
            let provider = factory(spec, resource(spec, run_tag))?;
            let tracers = tracers(spec, &provider);
            services.push(ServiceTelemetry { provider, tracers });
        }
        Ok(Self { services, propagator: TraceContextPropagator::new(), started: AtomicU64::new(0) })
    }

    /// Starts a span at the given instant; an empty parent context makes it a root.
    pub(crate) fn start(
        &self,
        origin: (Service, Library),
        parent: &Context,
        span: SpanBuilder,
        at: SystemTime,
    ) -> OpenSpan {
        self.started.fetch_add(1, Ordering::Relaxed);
        let (service, library) = origin;
        let tracer = &self.services[service as usize].tracers[library as usize];
        let span = tracer.build_with_context(span.with_start_time(at), parent);
        OpenSpan { context: parent.with_span(span) }
    }

    pub(crate) fn inject(&self, context: &Context) -> HashMap<String, String> {
        let mut headers = HashMap::new();
        self.propagator.inject_context(context, &mut headers);
        headers
    }

    /// The sender's context, as a remote parent.
    pub(crate) fn extract(&self, headers: &HashMap<String, String>) -> Context {
        self.propagator.extract_with_context(&Context::new(), headers)
    }

    /// Spans started so far.
    pub(crate) fn spans(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Waits until every service's finished spans have been exported.
    pub(crate) async fn flush(&self) -> anyhow::Result<()> {
        let flushes: Vec<_> = self
            .services
            .iter()
            .map(|service| service.provider.clone())
            .map(|provider| tokio::task::spawn_blocking(move || flush_patiently(&provider)))
            .collect();
        for (flush, spec) in flushes.into_iter().zip(&SERVICES) {
            flush.await?.with_context(|| format!("{} could not export its spans", spec.name))?;
        }
        Ok(())
    }

    /// Exports what is left and closes the exporters. What could not be exported shows in the tally, not here.
    pub(crate) async fn shut_down(&self) -> anyhow::Result<()> {
        let shutdowns: Vec<_> = self
            .services
            .iter()
            .map(|service| service.provider.clone())
            .map(|provider| {
                tokio::task::spawn_blocking(move || flush_patiently(&provider).and_then(|()| provider.shutdown()))
            })
            .collect();
        for shutdown in shutdowns {
            let _tallied = shutdown.await?;
        }
        Ok(())
    }
}

/// Flushes again while the receiver is only slow. After any other failure the spans are gone, and asking again is no use.
fn flush_patiently(provider: &SdkTracerProvider) -> OTelSdkResult {
    let mut result = provider.force_flush();
    for _ in 1..FLUSH_ATTEMPTS {
        if !matches!(result, Err(OTelSdkError::Timeout(_))) {
            break;
        }
        result = provider.force_flush();
    }
    result
}

fn resource(spec: &ServiceSpec, run_tag: u64) -> Resource {
    let attributes = [
        KeyValue::new("service.namespace", "shop"),
        KeyValue::new("service.version", spec.version),
        KeyValue::new("service.instance.id", format!("{}-{:06x}", spec.name, run_tag & 0x00ff_ffff)),
        KeyValue::new("host.name", spec.host),
        KeyValue::new("deployment.environment.name", "demo"),
    ];
    Resource::builder().with_service_name(spec.name).with_schema_url(attributes, SCHEMA_URL).build()
}

fn tracers(spec: &ServiceSpec, provider: &SdkTracerProvider) -> Vec<SdkTracer> {
    let scopes = LIBRARY_SCOPES.into_iter().chain([(spec.scope, spec.version)]);
    scopes
        .map(|(name, version)| {
            let scope = InstrumentationScope::builder(name).with_version(version).with_schema_url(SCHEMA_URL);
            provider.tracer_with_scope(scope.build())
        })
        .collect()
}

/// A span that has begun. Ends when told to; a task that is dropped half-way ends it then.
#[derive(Debug, Clone)]
pub(crate) struct OpenSpan {
    context: Context,
}

impl OpenSpan {
    /// What children and messages of this span inherit.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn set(&self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    pub(crate) fn set_all(&self, attributes: Vec<KeyValue>) {
        self.context.span().set_attributes(attributes);
    }

    pub(crate) fn event(&self, name: &'static str, at: SystemTime, attributes: Vec<KeyValue>) {
        self.context.span().add_event_with_timestamp(name, at, attributes);
    }

    /// Records the failure as an exception event, as the status, and as `error.type`.
    pub(crate) fn fail(&self, failure: &Failure, at: SystemTime) {
        let stacktrace = format!("{}: {}\n{}", failure.exception, failure.message, failure.stacktrace);
        self.event(
            "exception",
            at,
            vec![
                KeyValue::new("exception.type", failure.exception),
                KeyValue::new("exception.message", failure.message.clone()),
                KeyValue::new("exception.stacktrace", stacktrace),
            ],
        );
        self.set("error.type", failure.error_type);
        self.context.span().set_status(Status::error(failure.message.clone()));
    }

    /// Marks an error that needs no exception.
    pub(crate) fn refuse(&self, error_type: String) {
        self.set("error.type", error_type);
        self.context.span().set_status(Status::error(""));
    }

    pub(crate) fn end(&self, at: SystemTime) {
        self.context.span().end_with_timestamp(at);
    }
}

/// The context a message or request was sent with.
pub(crate) fn remote_span(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}

/// Why a call or a message could not be handled.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Low-cardinality, for `error.type`.
    pub(crate) error_type: &'static str,
    pub(crate) exception: &'static str,
    pub(crate) message: String,
    pub(crate) stacktrace: &'static str,
}

/// What the exporters have handed over and what was refused.
#[derive(Debug, Default)]
pub(crate) struct ExportTally {
    pub(crate) exported: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// A provider that sends OTLP over gRPC. Needs a running tokio runtime.
pub(crate) fn otlp_provider(
    endpoint: &str,
    resource: Resource,
    tally: Arc<ExportTally>,
) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .with_context(|| format!("no OTLP exporter for {endpoint}"))?;
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(SCHEDULE_DELAY)
        .with_max_queue_size(EXPORT_QUEUE_SPANS)
        .with_max_export_batch_size(EXPORT_BATCH_SPANS)
        .build();
    let processor = BatchSpanProcessor::builder(CountingExporter { exporter, tally }).with_batch_config(config).build();
    Ok(SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build())
}

/// The SDK tells nobody what it failed to export; the demo's report has to know.
#[derive(Debug)]
struct CountingExporter<E> {
    exporter: E,
    tally: Arc<ExportTally>,
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        let counter = if result.is_ok() { &self.tally.exported } else { &self.tally.failed };
        counter.fetch_add(spans, Ordering::Relaxed);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
