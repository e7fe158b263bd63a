"""The Parquet files of a segment, read by DuckDB or by pandas as docs/format.md says, as neutral spans (see `odd_spans`)."""

import json
import pathlib
import base64

import pandas
import pyarrow.parquet

from odd_spans import as_sorted

ATTRIBUTE_PREFIX = "attr."
SAME_NAME_AND_MEANING = ["duration_ns", "service", "name", "kind", "status", "flags", "dropped_attributes_count",
                         "dropped_events_count", "dropped_links_count", "notes"]
# Python's own instants have no nanoseconds, and its dictionaries no key twice: asked for as numbers and as lists.
DUCKDB_SPANS = """
    * REPLACE (
        epoch_ns(start_time) AS start_time,
        map_entries(attributes) AS attributes,
        list_transform(events, lambda e: {
            'time': epoch_ns(e.time), 'name': e.name, 'attributes': map_entries(e.attributes),
            'dropped_attributes_count': e.dropped_attributes_count}) AS events,
        list_transform(links, lambda l: {
            'trace_id': l.trace_id, 'span_id': l.span_id, 'trace_state': l.trace_state, 'flags': l.flags,
            'attributes': map_entries(l.attributes), 'dropped_attributes_count': l.dropped_attributes_count}) AS links)"""
DUCKDB_SCOPES = """
    * REPLACE (map_entries(scope_attributes) AS scope_attributes, map_entries(resource_attributes) AS resource_attributes)"""


def segments(data: pathlib.Path) -> list:
    """The directories of finished segments, in the order in which they were written."""
    return sorted((path.parent for path in data.glob("days/*/*[0-9]/spans.parquet")), key=lambda path: path.name)


def by_duckdb(duckdb, segment: pathlib.Path) -> list:
    """Every row of a segment as a neutral span, read by DuckDB."""
    def table(file: str, columns: str) -> list:
        found = duckdb.execute(f"SELECT {columns} FROM read_parquet(?)", [str(segment / file)])
        names = names_in_file(segment / file, [column[0] for column in found.description])
        return [dict(zip(names, row)) for row in found.fetchall()]

    return neutral_spans(segment, table("spans.parquet", DUCKDB_SPANS), table("scopes.parquet", DUCKDB_SCOPES))


def names_in_file(path: pathlib.Path, shown: list) -> list:
    """The names of columns as they are written. DuckDB compares them without case and gives the second of two a suffix."""
    names = pyarrow.parquet.read_schema(path).names
    for name, seen in zip(names, shown, strict=True):
        assert seen in (name, f"{name}_1"), f"{name} is shown as {seen}"
    return names


def by_pandas(segment: pathlib.Path) -> list:
    """Every row of a segment as a neutral span, read by pandas. Its own types have no nulls among integers: Arrow's do."""
    def table(file: str) -> list:
        frame = pandas.read_parquet(segment / file, dtype_backend="pyarrow")
        if "start_time" in frame:
            frame["start_time"] = frame["start_time"].astype("int64[pyarrow]")
        return [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]

    return neutral_spans(segment, table("spans.parquet"), table("scopes.parquet"))


def plain(value):
    """A value of pandas as DuckDB gives it: entries of maps as dictionaries, instants as numbers, nothing as None."""
    match value:
        case list():
            return [plain(item) for item in value]
        case tuple():
            return {"key": value[0], "value": value[1]}
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case pandas.Timestamp():
            return value.value
        case _:
            return None if value is pandas.NA else value


def neutral_spans(segment: pathlib.Path, rows: list, scopes: list) -> list:
    types = {column["key"]: column["type"] for column in json.loads((segment / "segment.json").read_text())["columns"]}
    by_id = {scope["scope_id"]: scope for scope in scopes}
    return [neutral(rows, place, by_id[row["scope_id"]], types) for place, row in enumerate(rows)]


def neutral(rows: list, place: int, scope: dict, types: dict) -> dict:
    row = rows[place]
    assert row["service"] == scope["service"]
    form = {name: row[name] for name in SAME_NAME_AND_MEANING}
    return form | {
        "trace_id": row["trace_id"].hex(),
        "span_id": row["span_id"].hex(),
        "parent_span_id": parent(rows, place),
        "start": row["start_time"] % 2**64,
        "status_message": row["status_message"] or "",
        "trace_state": row["trace_state"] or "",
        "attributes": as_sorted([*own_columns(row, types), *entries(row["attributes"])]),
        "events": [(event["time"] % 2**64, event["name"], entries(event["attributes"]), event["dropped_attributes_count"])
                   for event in row["events"] or []],
        "links": [(link["trace_id"].hex(), link["span_id"].hex(), link["trace_state"] or "", link["flags"],
                   entries(link["attributes"]), link["dropped_attributes_count"]) for link in row["links"] or []],
        "scope": (scope["scope_name"], scope["scope_version"], entries(scope["scope_attributes"]),
                  scope["scope_dropped_attributes_count"], scope["scope_schema_url"]),
        "resource": (entries(scope["resource_attributes"]), scope["resource_dropped_attributes_count"],
                     scope["resource_schema_url"]),
    }


def parent(rows: list, place: int):
    """The parent's id: in the row that lies so many rows above, or beside it when it is not in the file."""
    row = rows[place]
    distance = row["parent_distance"]
    if distance is None:
        return row["parent_span_id"].hex() if row["parent_span_id"] is not None else None
    assert row["parent_span_id"] is None
    above = rows[place - distance]
    assert above["trace_id"] == row["trace_id"]
    return above["span_id"].hex()


def own_columns(row: dict, types: dict) -> list:
    """Attributes that have a column of their own, in the type of the column."""
    found = []
    for name, value in row.items():
        if not name.startswith(ATTRIBUTE_PREFIX) or value is None:
            continue
        key = name.removeprefix(ATTRIBUTE_PREFIX)
        match types[key]:
            case "json":
                found.append((key, from_json(value)))
            case "double":
                found.append((key, ("double", repr(value))))
            case kind:
                found.append((key, (kind, value)))
    return found


def entries(attributes) -> list:
    return [(entry["key"], from_json(entry["value"])) for entry in attributes or []]


class Pairs(list):
    """A JSON object with its order and its repeated keys."""


def from_json(text: str):
    """A typed value from canonical JSON."""
    def refuse(word):
        raise ValueError(f"{word} in {text}")

    return typed(json.loads(
        text,
        parse_int=lambda digits: ("int", int(digits)),
        parse_float=lambda digits: ("double", repr(float(digits))),
        parse_constant=refuse,
        object_pairs_hook=Pairs,
    ))


def typed(value):
    match value:
        case None:
            return "empty", None
        case bool():
            return "bool", value
        case str():
            return "string", value
        case tuple():
            return value
        case Pairs():
            return typed_object(value)
        case list():
            return "array", [typed(item) for item in value]
    raise TypeError(value)


def typed_object(pairs: Pairs):
    match pairs:
        case [("$bytes", text)]:
            return "bytes", base64.b64decode(text, validate=True)
        case [("$double", text)]:
            return "double", {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}[text]
    assert all(not key.startswith("$") or key.startswith("$$") for key, _ in pairs), pairs
    return "map", [(key.removeprefix("$") if key.startswith("$$") else key, typed(value)) for key, value in pairs]
