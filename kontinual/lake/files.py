"""A table's parquet and CSV files, as what stands behind FROM in a query of DuckDB.

DuckDB guesses types; here ids and categories stay as they are written, and what people's tools
write for no value is null.
"""
# ruff: noqa: S608  names and texts in queries are quoted, all else is a number of ours

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from kontinual.errors import LakeError

__all__ = [
    "as_name",
    "below",
    "column_names",
    "column_types",
    "files_of",
    "is_exact",
    "relation_of",
    "select_column",
]

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".csv.gz", ".csv.zip")
_NULLS = ["", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
"""What pandas, and so most people's tools, write for no value; where a vocabulary holds one of
them, it is a value of that column."""


def below(base: str, table: str) -> str:
    """A path or URL that may count from a folder or URL."""
    is_absolute = "://" in table or Path(table).is_absolute()
    return table if is_absolute else f"{base.rstrip('/')}/{table}"


def files_of(url: str, folder: Path) -> list[str]:
    """The files of a table, where DuckDB can open them.

    Args:
        url: path or URL of a file, or a glob of them.
        folder: for copies of those that it can not open where they are.

    Raises:
        LakeError: there is none, or it is neither parquet nor CSV, or can not be read.
    """
    try:
        return _local_files(url, folder)
    except (OSError, ValueError, ImportError) as exc:
        raise LakeError(f"{url}: the table can not be read: {exc}") from exc


def _local_files(url: str, folder: Path) -> list[str]:
    """The files of a table, in order; those that DuckDB can not open itself as copies."""
    fs, pattern = url_to_fs(url)
    paths = sorted(fs.glob(pattern)) if fsspec.core.has_magic(pattern) else [pattern]
    if not paths:
        raise LakeError(f"{url}: no file matches")
    for path in paths:
        if not path.lower().endswith(_PARQUET + _CSV):
            raise LakeError(f"{path}: a table is a .parquet or .csv file")
        if not fs.exists(path):
            raise LakeError(f"{url}: there is no such file")
    return [_local_file(fs, path, folder / str(i)) for i, path in enumerate(paths)]


def _local_file(fs: Any, path: str, copy: Path) -> str:
    zipped = path.lower().endswith(".zip")
    if "file" in fs.protocol and not zipped:
        return path
    target = copy.with_name(f"{copy.name}-{Path(path).name}".removesuffix(".zip"))
    compression = "zip" if zipped else None
    with fs.open(path, "rb", compression=compression) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return str(target)


def relation_of(
    connection: Any, paths: Sequence[str], vocabularies: Mapping[str, Collection[str]]
) -> str:
    """What stands behind FROM for these files; columns that are texts are read as written."""
    parquet = [p for p in paths if p.lower().endswith(_PARQUET)]
    csv = [p for p in paths if p not in parquet]
    parts = []
    if parquet:
        parts.append(f"SELECT * FROM {_read_parquet(parquet)}")
    if csv:
        parts.append(_csv(connection, csv, vocabularies))
    return "(" + " UNION ALL BY NAME ".join(parts) + ")"


def _csv(connection: Any, paths: Sequence[str], vocabularies: Mapping[str, Collection[str]]) -> str:
    """The query for CSV files. DuckDB knows nulls of the whole file only, not of a column."""
    for path in paths:
        _refuse_other_separators(path)
    names = column_types(connection, _read_csv(paths, all_varchar="true"))
    # As they are written: an id 007 is not 7.
    texts = {name: set(values) for name, values in vocabularies.items() if name in names}
    kinds = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in texts)
    options = {"sample_size": "-1"}  # a column's type is known when all of it has been seen
    options |= {"types": f"{{{kinds}}}"} if kinds else {}
    relation = _read_csv(paths, nullstr=_list(_NULLS), **options)
    kept = set(_NULLS).intersection(set[str]().union(*texts.values()))
    if not kept:
        return f"SELECT * FROM {relation}"
    types = column_types(connection, relation)
    nulls = [text for text in _NULLS if text not in kept]
    relation = _read_csv(paths, nullstr=_list(nulls), **options)
    columns = [
        _nulled(name, kept - texts.get(name, set()), types[name])
        for name, kind in column_types(connection, relation).items()
        if kind == "VARCHAR"
    ]
    return f"SELECT * REPLACE ({', '.join(columns)}) FROM {relation}"


def _refuse_other_separators(path: str) -> None:
    """Tables of many countries separate columns by semicolons, for a comma is in their numbers."""
    with fsspec.open(path, "rt", compression="infer", encoding="utf-8", errors="replace") as file:
        head = file.readline()
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if mark in head and "," not in head:
            delim = mark.replace("\t", "\\t")
            raise LakeError(
                f"{path}: its columns are separated by {name}, and commas are expected; write it "
                "with commas or as parquet, or read it by data.history.query: SELECT * FROM "
                f"read_csv('{Path(path).name}', delim='{delim}', decimal_separator=',')"
            )


def _read_parquet(paths: Sequence[str]) -> str:
    return f"read_parquet({_list(paths)}, union_by_name = true)"


def _read_csv(paths: Sequence[str], **options: str) -> str:
    dialect = {"union_by_name": "true", "header": "true", "delim": "','", "quote": "'\"'"}
    given = [f"{name} = {value}" for name, value in (dialect | options).items()]
    return f"read_csv({_list(paths)}, {', '.join(given)})"


def _nulled(name: str, nulls: Collection[str], kind: str) -> str:
    """A column of texts as one of its type, these of them as null."""
    # Of times DuckDB alone knows the format; a time that is null is refused, null or text.
    kind = "VARCHAR" if kind.startswith(("DATE", "TIME")) else kind
    is_null = f"list_contains({_list(sorted(nulls))}, {as_name(name)})"
    return (
        f"CAST(CASE WHEN {is_null} THEN NULL ELSE {as_name(name)} END AS {kind}) AS {as_name(name)}"
    )


def column_names(connection: Any, paths: Sequence[str]) -> list[str]:
    """The columns of these files; where those of CSV begin is all that is read."""
    csv = [p for p in paths if not p.lower().endswith(_PARQUET)]
    for path in csv:
        _refuse_other_separators(path)
    parquet = [p for p in paths if p not in csv]
    relations = [_read_parquet(parquet)] if parquet else []
    relations += [_read_csv(csv, all_varchar="true")] if csv else []
    return list(dict.fromkeys(n for r in relations for n in column_types(connection, r)))


def select_column(name: str, kind: str, *, is_text: bool) -> str:
    """A column to select. Pandas would make floats of some numbers that are texts, such as ids."""
    quoted = as_name(name)
    return f"CAST({quoted} AS VARCHAR) AS {quoted}" if is_text and is_exact(kind) else quoted


def is_exact(kind: str) -> bool:
    """Is it DuckDB's type of whole numbers or decimals?"""
    return kind.startswith("DECIMAL") or kind.endswith(("INT", "INTEGER"))


def column_types(connection: Any, relation: str) -> dict[str, str]:
    """DuckDB's type of each column."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {name: kind for name, kind, *_ in described}


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, texts))}]"


def _text(text: str) -> str:
    """As a text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def as_name(name: str) -> str:
    """As a name in SQL."""
    return '"' + name.replace('"', '""') + '"'
