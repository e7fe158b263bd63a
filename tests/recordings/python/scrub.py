"""Takes out of a recording what tells of the machine it was made on, and nothing else: python scrub.py FILE."""

import pathlib
import sys

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

PREFIXES = ("host.", "os.", "process.", "service.instance.id", "exception.stacktrace", "celery.hostname")


def scrub(attributes):
    kept = [each for each in attributes if not each.key.startswith(PREFIXES)]
    del attributes[:]
    attributes.extend(kept)


def main(path):
    traces = TracesData.FromString(path.read_bytes())
    for resource_spans in traces.resource_spans:
        scrub(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                scrub(span.attributes)
                for event in span.events:
                    scrub(event.attributes)
    path.write_bytes(traces.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
