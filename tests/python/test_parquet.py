"""Sealed files open in DuckDB and pandas as they lie: what was sent is in them, and the examples of docs/format.md work as they stand."""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import duckdb
import pandas
import pytest

import odd_spans
import parquet_views
from longspan_server import LongspanServer, binary

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs/format.md"
DEMO_SPANS = 6000
FREE_PORTS = ["--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--api", "127.0.0.1:0", "--zipkin", "off", "--jaeger", "off"]
# So little that a few megabytes are sealed.
LITTLE_MEMORY = ["--memory-limit", "16MiB"]
SEAL_LIMIT_SECONDS = 60
READERS = {
    "DuckDB": lambda segment: parquet_views.by_duckdb(duckdb.connect(), segment),
    "pandas": parquet_views.by_pandas,
}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A directory with every odd span sealed by a server at work, and what was sent: spans by key."""
    folder = tmp_path_factory.mktemp("parquet")
    seed = int(os.environ.get("LONGSPAN_TEST_SEED", time.time_ns() % 2**32))
    print(f"LONGSPAN_TEST_SEED={seed}")
    maker = odd_spans.Maker(seed)
    sent = {}
    with LongspanServer(folder, LITTLE_MEMORY) as server:
        for request in [maker.request(40), maker.request(40)]:
            send(server, request)
            sent |= odd_spans.expected(request, maker.now)
        last = next(reversed(sent.values()))
        fill_until_sealed(server, maker, folder / "data", bytes.fromhex(last["trace_id"]), last["name"])
        server.stop()
    return folder / "data", sent


def fill_until_sealed(server, maker, data: pathlib.Path, trace_id: bytes, name: str):
    """Sends what makes memtables full until a span of this trace and name lies in a segment."""
    deadline = time.monotonic() + SEAL_LIMIT_SECONDS
    while (trace_id, name) not in sealed_names(data, trace_id):
        assert time.monotonic() < deadline, f"{name} is never sealed"
        send(server, maker.filler())


def sealed_names(data: pathlib.Path, trace_id: bytes) -> set:
    paths = [str(segment / "spans.parquet") for segment in parquet_views.segments(data)]
    query = "SELECT trace_id, name FROM read_parquet($paths, union_by_name = true) WHERE trace_id = $trace_id"
    try:
        return set(duckdb.execute(query, {"paths": paths, "trace_id": trace_id}).fetchall()) if paths else set()
    except duckdb.IOException:
        # Merged into another segment and removed meanwhile.
        return set()


def send(server, request):
    headers = {"content-type": "application/x-protobuf"}
    while True:
        answer = server.http.post(server.url("otlp_http", "/v1/traces"), request.SerializeToString(), headers=headers, timeout=30)
        if answer.status_code != 503:
            break
        time.sleep(float(answer.headers["retry-after"]))
    assert answer.status_code == 200 and answer.content == b"", (answer.status_code, answer.content)


@pytest.mark.parametrize("reader", READERS)
def test_every_column_says_what_was_sent(sealed, reader):
    # Each span is there once, with every field and every attribute with its type, as it was sent: today's, yesterday's, and those
    # whose times are not believed.
    data, sent = sealed
    segments = parquet_views.segments(data)
    assert {segment.parent.name for segment in segments} >= {"unplaced"} and len(segments) >= 3
    found = {}
    for segment in segments:
        for span in READERS[reader](segment):
            assert (segment.parent.name == "unplaced") == (span["notes"] == 1)
            key = span["trace_id"], span["span_id"], span["kind"]
            assert key not in found, f"{key} is there twice"
            found[key] = span
    assert sent.keys() <= found.keys()
    others = [span for key, span in found.items() if key not in sent]
    assert all([key for key, _ in span["attributes"]] == ["filler"] for span in others)
    for field in next(iter(sent.values())):
        wrong = {key: (found[key][field], span[field]) for key, span in sent.items() if found[key][field] != span[field]}
        assert not wrong, f"{field}: {len(wrong)} of {len(sent)} differ; found and sent: {next(iter(wrong.values()))}"


def test_every_kind_of_column_is_among_them(sealed):
    # The comparison above has seen columns of every type that an attribute can have, and rare keys beside them.
    data, _ = sealed
    types = set()
    for segment in parquet_views.segments(data):
        types |= {column["type"] for column in json.loads((segment / "segment.json").read_text())["columns"]}
    assert types == {"string", "int", "double", "bool", "json"}
    rare = duckdb.sql(f"SELECT count(*) FROM '{data}/days/*/*[0-9]/spans.parquet' WHERE attributes IS NOT NULL").fetchall()
    assert rare[0][0] > 50


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder with what the demo leaves behind, where the document says it is."""
    folder = tmp_path_factory.mktemp("demo")
    command = [binary(), "demo", "--data", "longspan-data", "--spans", str(DEMO_SPANS), "--exit", *FREE_PORTS]
    subprocess.run(command, cwd=folder, check=True, timeout=120, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def views(demo):
    """DuckDB in that folder, with the views of the document's first example."""
    connection = duckdb.connect()
    connection.execute(f"SET file_search_path = '{demo}'")
    connection.execute(examples("sql")[0])
    yield connection
    connection.close()


def examples(language: str) -> list:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


QUERIES = examples("sql")[1:]


def test_the_document_has_examples():
    # What follows looks at all of them: there are three useful queries at least, and one for Python.
    assert len(QUERIES) >= 3 and len(examples("python")) == 1


def test_the_views_hold_everything(views):
    # The two views are what the document says: each span, and each scope of each segment; with pytz there, instants can be fetched.
    ((spans,),) = views.execute("SELECT count(*) FROM spans").fetchall()
    assert spans >= DEMO_SPANS
    ((orphans,),) = views.execute("SELECT count(*) FROM spans ANTI JOIN scopes USING (segment, scope_id)").fetchall()
    assert orphans == 0
    ((first, last),) = views.execute("SELECT min(start_time), max(start_time) FROM spans").fetchall()
    assert datetime.timedelta(0) < last - first < datetime.timedelta(hours=3), (first, last)


@pytest.mark.parametrize("query", QUERIES)
def test_every_sql_example_answers(views, query):
    # Run as it stands against the demo's data, each gives at most as many rows as it asks for, and no column of nothing.
    found = views.execute(query)
    columns = [column[0] for column in found.description]
    rows = found.fetchall()
    assert 3 <= len(rows) <= 20, rows
    for place, column in enumerate(columns):
        assert any(row[place] is not None for row in rows), f"{column} is empty"


def test_the_operations_of_the_document_are_counted_right(views, demo):
    # The first query's figures are those that pandas computes from the same files.
    frames = [pandas.read_parquet(path / "spans.parquet", columns=["service", "name", "kind", "duration_ns", "status"])
              for path in parquet_views.segments(demo / "longspan-data")]
    groups = pandas.concat(frames).groupby(["service", "name", "kind"])
    rows = views.execute(QUERIES[0]).fetchall()
    for service, name, kind, spans, errors, p50_ms, p99_ms in rows:
        group = groups.get_group((service, name, kind))
        assert (spans, errors) == (len(group), (group["status"] == "error").sum())
        for quantile, shown in [(0.5, p50_ms), (0.99, p99_ms)]:
            assert shown == pytest.approx(group["duration_ns"].quantile(quantile) / 1e6, abs=0.006)


def test_messages_of_the_document_waited(views):
    # The query over links finds the demo's queues, and what it says of how long messages waited is no less than nothing.
    (query,) = [query for query in QUERIES if "links" in query]
    rows = views.execute(query).fetchall()
    assert len({row[0] for row in rows}) >= 3
    assert all(number >= 0 for row in rows for number in row if isinstance(number, (int, float))), rows


def test_the_last_record_is_chosen_as_the_document_says(tmp_path):
    # A span that was sent again after the first one had been sealed is in two segments; the document's QUALIFY gives the newer one.
    (qualify,) = re.findall(r"`(QUALIFY [^`]*)`", DOCUMENT.read_text())
    maker, request = odd_spans.Maker(1), odd_spans.ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=maker.now, end_time_unix_nano=maker.now)
    with LongspanServer(tmp_path, LITTLE_MEMORY) as server:
        for name in ["first", "last"]:
            span.name = name
            send(server, request)
            fill_until_sealed(server, maker, tmp_path / "data", span.trace_id, name)
        server.stop()
    connection = duckdb.connect()
    connection.execute(examples("sql")[0].replace("longspan-data", str(tmp_path / "data")))
    only = "WHERE hex(trace_id) = '" + (b"t" * 16).hex().upper() + "'"
    both = connection.execute(f"SELECT name FROM spans {only} ORDER BY name").fetchall()
    assert both in ([("first",), ("last",)], [("last",)])
    assert connection.execute(f"SELECT name FROM spans {only} {qualify}").fetchall() == [("last",)]


def test_the_python_example_answers(demo):
    # Run as it stands in a program of its own, it prints a line for each service.
    (program,) = examples("python")
    ran = subprocess.run([sys.executable, "-c", program], cwd=demo, capture_output=True, text=True, timeout=120, check=True)
    lines = {words[0]: words[1:] for words in map(str.split, ran.stdout.splitlines())}
    assert {"storefront", "order-service", "payment-service", "warehouse-service"} <= lines.keys(), ran.stdout
    assert all(0 < float(median) <= float(longest) for median, longest in [lines["storefront"], lines["order-service"]])
