"""The lake of one loop: numbered, immutable, time-bounded spans of labelled rows.

Below `<url>/<loop>/`:

```
spans/000007/data-1a2b3c4d.parquet   the rows
spans/000007/manifest.json           written last; without it there is no span 7
verdicts/000007/000001.json          may it be learned from? all verdicts are kept
runs/<run id>/<station>.json         what each station of a run wrote down
```
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from pyarrow import parquet
from pydantic import ValidationError

from kontinual.errors import DataRejected, LakeError
from kontinual.lake.held import Held
from kontinual.lake.holdout import is_holdout
from kontinual.lake.journal import RunJournal
from kontinual.lake.manifest import Cursor, Source, SpanManifest, Verdict
from kontinual.lake.picked import PickedRows, Positions, sample
from kontinual.lake.spanfile import Frames, SpanFile, digest_of, read_parts
from kontinual.lake.store import Store, open_store
from kontinual.lake.table import fingerprint, to_frame
from kontinual.spec import Loop, RunRecord

__all__ = ["Lake"]

MANIFEST = "manifest.json"
ENOUGH_BLOCKS = 4  # of time, to tell how much a model's quality varies from one to another
_MAX_RACES = 100


class Lake:
    """Spans, verdicts and run journals of one loop."""

    def __init__(
        self,
        url: str,
        loop: Loop,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        store: Store | None = None,
    ) -> None:
        """Open the lake; nothing is read or written yet.

        Args:
            url: any fsspec URL or local path; the loop's part is `<url>/<loop.name>/`.
            loop: whose data it holds.
            clock: tells when a span was made, in UTC.
            store: used in place of the one at `url`.
        """
        self.loop = loop
        self.store = store or open_store(f"{url.rstrip('/')}/{loop.name}")
        self._clock = clock

    def path(self, *parts: str) -> str:
        """Full URL (or local path) of something below the loop's root."""
        return self.store.url("/".join(parts))

    def open(self, *parts: str, mode: str = "rb") -> IO[Any]:
        """Open a file below the loop's root; `store.write` is the way to write one at once."""
        file: IO[Any] = fsspec.open(self.path(*parts), mode).open()
        return file

    def exists(self, *parts: str) -> bool:
        """Is there such a file or folder below the loop's root?"""
        return self.store.exists("/".join(parts))

    # Spans ---------------------------------------------------------------

    def spans(self) -> list[SpanManifest]:
        """The manifests of all spans by number; half-written ones are not among them."""
        return [self.span(n) for n in self._numbers()]

    def span(self, number: int) -> SpanManifest:
        """The manifest of one span.

        Raises:
            LakeError: there is no such span, or its manifest is damaged.
        """
        path = f"{_folder(number)}/{MANIFEST}"
        if not self.store.exists(path):
            known = ", ".join(map(str, self._numbers())) or "none"
            raise LakeError(f"loop {self.loop.name} has no span {number}; there are: {known}")
        try:
            return SpanManifest.model_validate_json(self.store.read(path))
        except ValidationError as exc:
            raise LakeError(f"{self.store.url(path)}: no span manifest: {exc}") from exc

    def next_number(self) -> int:
        """The number that the next span gets."""
        return max(self._numbers(), default=0) + 1

    def write(
        self,
        rows: pd.DataFrame | Frames,
        *,
        source: Source,
        cursor: Cursor | None = None,
        number: int | None = None,
        origin: str | None = None,
        once: bool = False,
    ) -> SpanManifest:
        """Write rows as the next span.

        Args:
            rows: id, time, label and features under their declared names; where they are too
                many for memory, a function that gives them part by part in order of time.
            source: which way the rows came.
            cursor: how far the span reaches into the collector's rows.
            number: the number it has to get; refused when another writer took it meanwhile.
            origin: file or address of the rows, for messages.
            once: where a span holds these very rows already, write nothing and return that one.

        Raises:
            LakeError: rows are unusable, or the number is taken. Nothing was written then.
        """
        frames: Frames = (lambda: [rows]) if isinstance(rows, pd.DataFrame) else rows
        with tempfile.TemporaryDirectory(prefix="kontinual-lake-") as folder:
            path = Path(folder) / "span.parquet"
            file = SpanFile.write(path, frames, self.loop.data, source=origin or source)
            known = {s.digest: s for s in self.spans()} if once else {}
            if file.digest in known:
                return known[file.digest]
            return self._number(file, number, source=source, cursor=cursor)

    def read(self, number: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of a span, in order of time.

        Raises:
            LakeError: there is no such span or column, or its data is not what was written.
        """
        with self._data(self._checked(number, columns)) as path:
            table = parquet.read_table(path, columns=list(columns) if columns else None)
        return to_frame(table)

    def parts(self, number: int, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """The rows of a span part by part, in order of time; the index counts through.

        Raises:
            LakeError: as `read`, before the first part.
        """
        with self._data(self._checked(number, columns)) as path:
            yield from read_parts(path, columns)

    def data_url(self, number: int) -> str:
        """Full URL (or local path) of a span's parquet file.

        Raises:
            LakeError: there is no such span, or its data is not what was written.
        """
        manifest = self.span(number)
        with self._data(manifest):
            return self.path(_folder(number), manifest.data_file)

    # Verdicts ------------------------------------------------------------

    def judge(self, verdict: Verdict) -> None:
        """Keep a verdict on a span, beside all earlier ones."""
        self.span(verdict.span)
        folder, content = _verdicts(verdict.span), verdict.model_dump_json(indent=2).encode()
        for _ in range(_MAX_RACES):
            last = max((int(n.removesuffix(".json")) for n in self.store.names(folder)), default=0)
            try:
                return self.store.create(f"{folder}/{last + 1:06d}.json", content)
            except FileExistsError:
                continue  # another judge was faster
        raise LakeError(f"span {verdict.span}: other judges took {_MAX_RACES} numbers in a row")

    def verdicts(self, number: int) -> list[Verdict]:
        """All verdicts on a span, the oldest first."""
        folder = _verdicts(number)
        paths = [f"{folder}/{name}" for name in self.store.names(folder)]
        try:
            return [Verdict.model_validate_json(self.store.read(path)) for path in paths]
        except ValidationError as exc:
            raise LakeError(f"{self.path(folder)}: no verdict: {exc}") from exc

    def verdict(self, number: int) -> Verdict | None:
        """The verdict that counts: a person's last one, else validation's last one."""
        said = self.verdicts(number)
        by_people = [v for v in said if v.by_person]
        return next(reversed(by_people or said), None)

    def accepted(self) -> list[SpanManifest]:
        """The spans that may be learned from, by number."""
        return [s for s in self.spans() if (v := self.verdict(s.number)) and v.accepted]

    # Rows to learn from and to evaluate on -------------------------------

    def training_rows(self, newest: int, *, seed: int, at_most: int | None = None) -> PickedRows:
        """What to train on: the newest span, and a replay of all older accepted ones.

        Args:
            newest: number of the newest span; it need not be judged yet.
            seed: of the sample of `replay_rows` among the older rows.
            at_most: a sample of so many of these rows; all when left out.

        Raises:
            DataRejected: the newest span was rejected.
            LakeError: a span is missing or damaged.
        """
        verdict = self.verdict(newest)
        if verdict and not verdict.accepted:
            raise DataRejected(
                f"span {newest} was rejected by {verdict.by}: {'; '.join(verdict.reasons)}"
            )
        older = [s.number for s in self.accepted() if s.number < newest]
        rng = np.random.default_rng(seed)
        free = {n: self._free(n) for n in older}
        picked = {newest: self._free(newest)} | sample(free, self.loop.data.replay_rows, rng)
        if at_most is not None:
            picked = sample(picked, at_most, rng)
        return self._picked(picked)

    def holdout_rows(self, number: int) -> PickedRows:
        """The rows of a span that no model ever trains on."""
        return self._picked({number: np.flatnonzero(self._holdout(number))})

    def recent_holdout(self, newest: int) -> tuple[list[int], PickedRows]:
        """What new data is judged by: rows that no model ever trains on, the newest there are.

        Those of the newest span. Where they are too few to judge by, because spans are short or
        small, a label is rare or chance held out few, those of the accepted spans before it as
        well, as far as these have every column that is declared now. Enough are as many as the
        gates on new rows ask for, with either label in ENOUGH_BLOCKS blocks of time.

        Args:
            newest: number of the newest span; it need not be judged yet.

        Returns:
            The numbers of the spans, rising, and their held-out rows.

        Raises:
            LakeError: a span is missing or damaged, or there is no held-out row.
        """
        data = self.loop.data
        declared = {data.id, data.time, data.label.name, *data.feature_names}
        earlier = [s for s in reversed(self.accepted()) if s.number < newest]
        picked, held = dict[int, Positions](), Held(data)
        asked = max((gate.min_rows for gate in self.loop.gates if gate.on == "new"), default=0)
        for span in (self.span(newest), *earlier):
            complete = span.number == newest or declared <= span.columns.keys()
            if held.enough(rows=asked, blocks=ENOUGH_BLOCKS) or not complete:
                break
            rows = self.holdout_rows(span.number)
            for part in rows.parts([data.time, data.label.name]):
                held.add(part)
            picked = {s.number: positions for s, positions in rows.picked} | picked
        if not held.rows:
            raise LakeError(
                f"span {newest} and those before it hold no held-out row to judge a model by; "
                "shorten data.holdout_block, or wait for more rows"
            )
        return list(picked), self._picked(picked)

    def _holdout(self, number: int) -> npt.NDArray[np.bool_]:
        data = self.loop.data
        parts = self.parts(number, [data.time])
        return np.concatenate(
            [is_holdout(part[data.time], data.holdout, data.holdout_block) for part in parts]
        )

    def _free(self, number: int) -> Positions:
        return np.flatnonzero(~self._holdout(number))

    def _picked(self, picked: dict[int, Positions]) -> PickedRows:
        return PickedRows([(self.span(n), rows) for n, rows in picked.items()], self._data)

    # Runs ----------------------------------------------------------------

    def journal(self, run_id: str) -> RunJournal:
        """The journal of one run."""
        return RunJournal(self.store, run_id)

    def records(self) -> list[RunRecord]:
        """The records of all runs that ended, the oldest first."""
        records = [self.journal(name).record() for name in self.store.names("runs")]
        return sorted((r for r in records if r), key=lambda r: (r.started_at, r.id))

    # How a span is written -----------------------------------------------

    def _numbers(self) -> list[int]:
        names = [n for n in self.store.names("spans") if n.isdigit()]
        return sorted(int(n) for n in names if self.store.exists(f"spans/{n}/{MANIFEST}"))

    def _number(
        self, file: SpanFile, number: int | None, *, source: Source, cursor: Cursor | None
    ) -> SpanManifest:
        """Make a file the span of this number, or of the next free one."""
        for _ in range(_MAX_RACES):
            taken = number or self.next_number()
            manifest = self._manifest(file, number=taken, source=source, cursor=cursor)
            try:
                return self._place(manifest, file.path)
            except FileExistsError as exc:
                if number is not None:
                    raise LakeError(
                        f"{self.path(_folder(taken))}: span {taken} is there already and "
                        "never changes; look at it, then ingest again"
                    ) from exc
        raise LakeError(f"loop {self.loop.name}: other writers took {_MAX_RACES} numbers in a row")

    def _manifest(
        self, file: SpanFile, *, number: int, source: Source, cursor: Cursor | None
    ) -> SpanManifest:
        return SpanManifest(
            number=number,
            rows=file.rows,
            start=file.start,
            end=file.end,
            schema_fingerprint=fingerprint(file.kinds),
            digest=file.digest,
            columns=file.kinds,
            source=source,
            cursor=cursor,
            created_at=self._clock(),
        )

    def _checked(self, number: int, columns: Sequence[str] | None) -> SpanManifest:
        """The manifest of a span that has these columns."""
        manifest = self.span(number)
        unknown = [c for c in columns or () if c not in manifest.columns]
        if unknown:
            raise LakeError(
                f"span {number} has no column {', '.join(map(repr, unknown))}; "
                f"its columns are {', '.join(manifest.columns)}"
            )
        return manifest

    @contextmanager
    def _data(self, manifest: SpanManifest) -> Iterator[Path]:
        """A span's file, here and undamaged."""
        path = f"{_folder(manifest.number)}/{manifest.data_file}"
        with self.store.local(path) as file:
            digest = digest_of(file)
            if digest != manifest.digest:
                raise LakeError(
                    f"{self.store.url(path)}: damaged, sha256 {digest} is not the manifest's "
                    f"{manifest.digest}; restore the file, or reject span {manifest.number}"
                )
            yield file

    def _place(self, manifest: SpanManifest, file: Path) -> SpanManifest:
        """Data first, manifest last and only if the number is free."""
        folder = _folder(manifest.number)
        if self.store.exists(f"{folder}/{MANIFEST}"):
            raise FileExistsError(folder)
        self.store.upload(f"{folder}/{manifest.data_file}", file)
        self.store.create(f"{folder}/{MANIFEST}", manifest.model_dump_json(indent=2).encode())
        return manifest


def _folder(number: int) -> str:
    return f"spans/{number:06d}"


def _verdicts(number: int) -> str:
    return f"verdicts/{number:06d}"
