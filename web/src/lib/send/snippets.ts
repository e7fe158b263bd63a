// How each kind of sender is pointed at this Longspan. Only documented settings of each SDK. Pure.

export interface Addresses {
  /** host:port */
  grpc: string;
  http: string;
  zipkin: string;
  jaegerHttp: string;
  jaegerUdp: string;
}

export interface Block {
  caption: string;
  code: string;
}

export interface Sender {
  id: string;
  name: string;
  note: string;
  blocks: Block[];
}

const DEFAULTS = { otlp_grpc: "127.0.0.1:4317", otlp_http: "127.0.0.1:4318", zipkin: "127.0.0.1:9411", jaeger_http: "127.0.0.1:14268", jaeger_compact: "127.0.0.1:6831" };

/** A server that listens on every interface is reached by the name the page was opened with. */
function reachable(address: string, pageHost: string): string {
  return address.replace(/^(?:0\.0\.0\.0|\[::\])(?=:\d+$)/, pageHost);
}

export function addressesFrom(listening: Record<string, string> | undefined, pageHost: string): Addresses {
  const of = (name: keyof typeof DEFAULTS) => reachable(listening?.[name] ?? DEFAULTS[name], pageHost);
  return { grpc: of("otlp_grpc"), http: of("otlp_http"), zipkin: of("zipkin"), jaegerHttp: of("jaeger_http"), jaegerUdp: of("jaeger_compact") };
}

function environment(http: string): string {
  return [
    "export OTEL_SERVICE_NAME=my-service",
    `export OTEL_EXPORTER_OTLP_ENDPOINT=http://${http}`,
    "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
  ].join("\n");
}

const BESIDE_TRACES = "export OTEL_METRICS_EXPORTER=none\nexport OTEL_LOGS_EXPORTER=otlp";
/** Python's SDK sends what goes through its logging only when it is told to. */
const PYTHON_LOGS = "export OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED=true";

function curl(http: string): string {
  return `curl http://${http}/v1/traces -H 'Content-Type: application/json' -d '{
  "resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my-service"}}]},
    "scopeSpans": [{"spans": [{
      "traceId": "'$(openssl rand -hex 16)'", "spanId": "'$(openssl rand -hex 8)'",
      "name": "hello", "kind": 2,
      "startTimeUnixNano": "'$(date +%s)000000000'", "endTimeUnixNano": "'$(date +%s)020000000'"
    }]}]
  }]
}'`;
}

const GO = `exporter, err := otlptracehttp.New(ctx) // reads the environment
if err != nil {
	log.Fatal(err)
}
provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
defer provider.Shutdown(ctx)
otel.SetTracerProvider(provider)
otel.SetTextMapPropagator(propagation.TraceContext{})`;

const RUST = `let exporter = opentelemetry_otlp::SpanExporter::builder()
    .with_http() // reads the environment
    .build()?;
let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
    .with_batch_exporter(exporter)
    .build();
opentelemetry::global::set_tracer_provider(provider.clone());
// … and before the program ends:
provider.shutdown()?;`;

const DOTNET = `builder.Services.AddOpenTelemetry()
    .WithTracing(tracing => tracing
        .AddAspNetCoreInstrumentation()
        .AddHttpClientInstrumentation()
        .AddOtlpExporter()); // reads the environment`;

function collector(grpc: string): string {
  return `receivers:
  otlp:
    protocols:
      grpc:
      http:
exporters:
  otlp/longspan:
    endpoint: ${grpc}
    tls:
      insecure: true
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [otlp/longspan]`;
}

function zipkinCurl(zipkin: string): string {
  return `curl http://${zipkin}/api/v2/spans -H 'Content-Type: application/json' -d '[{
  "traceId": "'$(openssl rand -hex 16)'", "id": "'$(openssl rand -hex 8)'",
  "name": "hello", "kind": "SERVER",
  "timestamp": '$(date +%s)000000', "duration": 20000,
  "localEndpoint": {"serviceName": "my-service"}
}]'`;
}

/** An address is host:port, the host perhaps in brackets. */
function jaegerAgent(udp: string): string {
  const at = udp.lastIndexOf(":");
  return ["export JAEGER_SERVICE_NAME=my-service", `export JAEGER_AGENT_HOST=${udp.slice(0, at)}`, `export JAEGER_AGENT_PORT=${udp.slice(at + 1)}`].join("\n");
}

function jaegerCollector(grpc: string): string {
  return `exporters:
  otlp/longspan:
    endpoint: ${grpc}
    tls:
      insecure: true
service:
  pipelines:
    traces:
      exporters: [otlp/longspan] # beside those you have`;
}

function scripted({ http }: Addresses): Sender[] {
  const settings = { caption: "Settings", code: environment(http) };
  const both = { caption: "Settings, traces and logs", code: `${environment(http)}\n${BESIDE_TRACES}` };
  const python = { ...both, code: `${both.code}\n${PYTHON_LOGS}` };
  return [
    {
      id: "python",
      name: "Python",
      note: "Instruments the libraries it finds, without a change to the code.",
      blocks: [
        { caption: "Once", code: "pip install opentelemetry-distro opentelemetry-exporter-otlp\nopentelemetry-bootstrap -a install" },
        python,
        { caption: "Run", code: "opentelemetry-instrument python app.py" },
      ],
    },
    {
      id: "node",
      name: "Node.js",
      note: "Instruments the libraries it finds, without a change to the code.",
      blocks: [
        { caption: "Once", code: "npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node" },
        both,
        { caption: "Run", code: "node --require @opentelemetry/auto-instrumentations-node/register app.js" },
      ],
    },
    {
      id: "java",
      name: "Java",
      note: "The agent instruments the libraries it finds, without a change to the code.",
      blocks: [
        {
          caption: "Once",
          code: "curl -LO https://github.com/open-telemetry/opentelemetry-java-instrumentation/releases/latest/download/opentelemetry-javaagent.jar",
        },
        both,
        { caption: "Run", code: "java -javaagent:opentelemetry-javaagent.jar -jar app.jar" },
      ],
    },
    {
      id: "go",
      name: "Go",
      note: "The SDK in the program; instrumentation is added per library.",
      blocks: [
        {
          caption: "Once",
          code: "go get go.opentelemetry.io/otel go.opentelemetry.io/otel/sdk \\\n  go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp",
        },
        settings,
        { caption: "In main", code: GO },
      ],
    },
    {
      id: "rust",
      name: "Rust",
      note: "The SDK in the program. With the tracing crate, add tracing-opentelemetry.",
      blocks: [{ caption: "Once", code: "cargo add opentelemetry opentelemetry_sdk opentelemetry-otlp" }, settings, { caption: "In main", code: RUST }],
    },
    {
      id: "dotnet",
      name: ".NET",
      note: "For an ASP.NET Core service.",
      blocks: [
        {
          caption: "Once",
          code: [
            "dotnet add package OpenTelemetry.Extensions.Hosting",
            "dotnet add package OpenTelemetry.Exporter.OpenTelemetryProtocol",
            "dotnet add package OpenTelemetry.Instrumentation.AspNetCore",
            "dotnet add package OpenTelemetry.Instrumentation.Http",
          ].join("\n"),
        },
        settings,
        { caption: "In Program.cs", code: DOTNET },
      ],
    },
  ];
}

export function senders(addresses: Addresses): Sender[] {
  return [
    {
      id: "curl",
      name: "curl",
      note: "One span by hand, to see that everything is in place.",
      blocks: [{ caption: "OTLP over HTTP, JSON", code: curl(addresses.http) }],
    },
    ...scripted(addresses),
    {
      id: "collector",
      name: "Collector",
      note: "Add the exporter to the OpenTelemetry Collector you already run.",
      blocks: [{ caption: "config.yaml", code: collector(addresses.grpc) }],
    },
    {
      id: "zipkin",
      name: "Zipkin",
      note: "Any Zipkin v2 reporter, JSON or protobuf: only its address changes.",
      blocks: [
        { caption: "One span by hand", code: zipkinCurl(addresses.zipkin) },
        { caption: "Spring Boot, application.properties", code: `management.zipkin.tracing.endpoint=http://${addresses.zipkin}/api/v2/spans` },
      ],
    },
    {
      id: "jaeger",
      name: "Jaeger",
      note: "Programs with Jaeger's own clients keep them: only the address changes. What speaks OTLP is better pointed at OTLP.",
      blocks: [
        { caption: "Clients that send to a collector", code: `export JAEGER_SERVICE_NAME=my-service\nexport JAEGER_ENDPOINT=http://${addresses.jaegerHttp}/api/traces\nexport JAEGER_SAMPLER_TYPE=const\nexport JAEGER_SAMPLER_PARAM=1` },
        { caption: "Clients that send to an agent, over UDP", code: jaegerAgent(addresses.jaegerUdp) },
        { caption: "Jaeger 2 as a collector in front: config.yaml", code: jaegerCollector(addresses.grpc) },
      ],
    },
  ];
}
