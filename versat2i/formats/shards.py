"""Image shards: WebDataset-style tar files with an index beside them, the same bytes every time.

A shard holds ``<prompt_id>.<k>.png`` and ``<prompt_id>.<k>.latent.safetensors`` for some prompts
and some k. ``<name>.tar`` is described by ``<name>.parquet`` (kind `index`).
"""

import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from versat2i.formats import tables
from versat2i.work import overlap

MAX_PIXELS = 8192 * 8192


@dataclass(frozen=True)
class Candidate:
    """One drawn image: uint8 [height, width, 3], and its final latents, float [channels, height, width].

    They are numpy arrays: what only reads shards need not import torch.
    """

    prompt_id: str
    k: int
    seed: int
    image: NDArray[np.uint8]
    latents: NDArray[np.floating]
    flagged: bool = False  # by the model's safety checker: image and latents are zeros

    @property
    def member(self) -> str:
        return f"{self.prompt_id}.{self.k}"


def encoded(image: NDArray[np.uint8]) -> bytes:
    """An image as it lies in a shard: a PNG whose rows are filtered adaptively and then only run-length coded.

    Beside Pillow at level 6 that takes a third to a sixth of the time and no more bytes: `bench.png` measures it.
    """
    import cv2  # whoever only reads needs it not

    level = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # first: it puts the strategy back
    ways = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_ALL_FILTERS, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [*level, *ways])[1]
    return data.tobytes()


def members(candidate: Candidate) -> tuple[bytes, bytes]:
    """An image and its latents as they lie in a shard."""
    return encoded(candidate.image), save_arrays({"latents": np.ascontiguousarray(candidate.latents)})


def _add(tar: tarfile.TarFile, name: str, size: int, data: IO[bytes]) -> int:
    """Append a member without owner or date; returns where its data lies."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    tar.addfile(info, data)
    return tar.offset - -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def write(path: Path, candidates: Iterable[Candidate]) -> None:
    """Write ``<path>.tar`` and its index ``<path>.parquet``, members sorted by prompt and k."""
    write_batches(path, [list(candidates)])


def write_batches(path: Path, batches: Iterable[Sequence[Candidate]]) -> None:
    """Write a shard, as `write` does, from candidates that come some at a time in any order.

    Threads encode a batch, whose images are let go before the next is asked for: encoded candidates wait in a file
    without a name until all are there and can be sorted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent) as waiting, ThreadPoolExecutor(overlap.THREADS) as pool:
        kept = map(partial(_kept, pool, waiting), batches)  # a loop would hold a batch while it waits for the next
        _put_in_order(path, waiting, [row for rows in kept for row in rows])


def write_encoded(path: Path, candidates: Iterable[tuple[Candidate, bytes, bytes]]) -> None:
    """Write a shard, as `write` does, from candidates with what `members` made of them."""
    with tempfile.TemporaryFile(dir=path.parent) as waiting:
        _put_in_order(path, waiting, [_wait(waiting, *each) for each in candidates])


def _put_in_order(path: Path, waiting: IO[bytes], found: Sequence[tuple]) -> None:
    """Write a shard and its index from encoded candidates in a file, by the rows that `_wait` gave."""
    rows = []
    with tarfile.open(path.with_suffix(".tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
        for prompt_id, k, seed, width, height, flagged, start, *sizes in sorted(found):
            waiting.seek(start)
            member = f"{prompt_id}.{k}.png"
            offset = _add(tar, member, sizes[0], waiting)
            _add(tar, _latents_of(prompt_id, k), sizes[1], waiting)
            rows.append((prompt_id, k, seed, member, offset, sizes[0], width, height, flagged))
    frame = pd.DataFrame(rows, columns=tables.SCHEMAS["index"].names)
    tables.write("index", frame, path.with_suffix(".parquet"))


def _kept(pool: ThreadPoolExecutor, file: IO[bytes], batch: Sequence[Candidate]) -> list[tuple]:
    """Append encoded candidates to a file; returns their rows, as `_wait` does."""
    return [_wait(file, item, *data) for item, data in zip(batch, pool.map(members, batch), strict=True)]


def _wait(file: IO[bytes], item: Candidate, image: bytes, latents: bytes) -> tuple:
    """Append an encoded candidate to a file.

    Returns:
        ``prompt_id, k, seed, width, height, flagged``, where its bytes begin, how many are image and latents.
    """
    height, width = item.image.shape[:2]
    place = (file.tell(), len(image), len(latents))
    file.write(image + latents)
    return item.prompt_id, item.k, item.seed, width, height, item.flagged, *place


def copy(sources: Iterable[Path], wanted: Mapping[Path, set[tuple[str, int]]]) -> None:
    """Copy candidates from shards into new ones, their bytes as they are.

    Every source is read once, however many new shards there are; of what nobody wants nothing is read. What is copied
    is decoded, so that a damaged candidate is found here.

    Args:
        sources: the tar files to read.
        wanted: path of a new shard, as for `write` -> its (prompt_id, k) pairs; a shard without any is not written.

    Raises:
        ValueError: as `read`.
    """
    with ExitStack() as stack:
        waiting = {path: stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for path in wanted}
        found: dict[Path, list[tuple]] = {path: [] for path in wanted}
        anybodys = set().union(*wanted.values())
        for source in sources:
            stored = _stored(source, anybodys)
            for item, image, latents in overlap.ahead(partial(_checked, source), stored, overlap.THREADS):
                for path, keys in wanted.items():
                    if (item.prompt_id, item.k) in keys:
                        found[path].append(_wait(waiting[path], item, image, latents))
        for path, rows in found.items():
            if rows:
                _put_in_order(path, waiting[path], rows)


def _decode(data: bytes, size: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """The image of a PNG that has the width and height that its index says."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != size:
                raise ValueError(f"{image.size[0]}x{image.size[1]} pixels, the index says {size[0]}x{size[1]}")
            if size[0] * size[1] > MAX_PIXELS:
                raise ValueError(f"{size[0]}x{size[1]} pixels are more than {MAX_PIXELS}")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where}: not a readable PNG ({error}). Delete the shard and run `dvc repro`") from None


def read(path: Path, wanted: set[tuple[str, int]] | None = None, ahead: int = 1) -> Iterator[Candidate]:
    """The candidates of a shard, or those of them that are wanted, one at a time.

    Args:
        path: the tar file; its index lies beside it.
        wanted: (prompt_id, k) pairs.
        ahead: how many threads decode before they are asked for.

    Raises:
        ValueError: the shard or its index is damaged; the member is named.
    """
    return overlap.ahead(partial(_candidate, path), _stored(path, wanted), ahead)


_Row = tuple[str, int, int, str, int, int, bool]  # prompt_id, k, seed, member, width, height, flagged


def _stored(path: Path, wanted: set[tuple[str, int]] | None) -> Iterator[tuple[_Row, bytes, bytes]]:
    """The (wanted) rows of a shard's index with the bytes of image and latents."""
    index = tables.read("index", path.with_suffix(".parquet"))
    rows = index[["prompt_id", "k", "seed", "member", "width", "height", "flagged"]].itertuples(index=False, name=None)
    try:
        with _Members(path) as members:
            for row, offset in zip(rows, index["offset"], strict=True):
                prompt_id, k, _, member, *_ = row
                if wanted is None or (prompt_id, k) in wanted:
                    if member != f"{prompt_id}.{k}.png":
                        raise ValueError(f"{path}: its index says {member} for {prompt_id}.{k}.png. Run `dvc repro`")
                    image = members.read(member, offset)
                    end = offset + -(-len(image) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                    yield row, image, members.read(_latents_of(prompt_id, k), end + tarfile.BLOCKSIZE)
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{path}: damaged or missing shard ({error}). Delete it and run `dvc repro`") from None


def _latents_of(prompt_id: str, k: int) -> str:
    return f"{prompt_id}.{k}.latent.safetensors"


def _candidate(path: Path, stored: tuple[_Row, bytes, bytes]) -> Candidate:
    """Decode what `_stored` found."""
    (prompt_id, k, seed, member, width, height, flagged), image, latents = stored
    shown = _decode(image, (width, height), f"{path}: {member}")
    return Candidate(prompt_id, k, seed, shown, _latents(latents, f"{path}: {_latents_of(prompt_id, k)}"), flagged)


def _checked(path: Path, stored: tuple[_Row, bytes, bytes]) -> tuple[Candidate, bytes, bytes]:
    """Decode what `_stored` found, and return it with the bytes of image and latents."""
    return _candidate(path, stored), *stored[1:]


class _Members:
    """The members of a tar file: read where they are expected to lie, else found by way of all headers.

    Raises:
        ValueError: a member is missing or no plain file; `tarfile.TarError`, OSError: the file is damaged or missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = ExitStack()
        self.file = self.opened.enter_context(path.open("rb"))
        self.end = path.stat().st_size
        self.tar: tarfile.TarFile | None = None
        self.named: dict[str, tarfile.TarInfo] = {}

    def __enter__(self) -> "_Members":
        return self

    def __exit__(self, *raised: object) -> None:
        self.opened.close()

    def read(self, name: str, place: int) -> bytes:
        """The bytes of a member that should begin at a place."""
        data = self._at(name, place)
        return self._found(name) if data is None else data

    def _at(self, name: str, place: int) -> bytes | None:
        """None if there is another member, or none."""
        if not tarfile.BLOCKSIZE <= place <= self.end:
            return None
        self.file.seek(place - tarfile.BLOCKSIZE)
        try:
            info = tarfile.TarInfo.frombuf(self.file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return None
        plain = info.name == name and info.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        return self.file.read(info.size) if plain and 0 <= info.size <= self.end - place else None

    def _found(self, name: str) -> bytes:
        if self.tar is None:
            self.tar = self.opened.enter_context(tarfile.open(self.path, "r:"))  # noqa: SIM115 - closed by __exit__
            self.named = {info.name: info for info in self.tar.getmembers()}
        info = self.named.get(name)
        if info is None:
            raise ValueError(f"{self.path}: {name} is in the index but not in the shard. Delete both, run `dvc repro`")
        # of a sparse member the header alone says how large it is, and that may be anything
        file = self.tar.extractfile(info) if info.isreg() and not info.issparse() else None
        data = file.read() if file else b""
        if file is None or len(data) != info.size:
            raise ValueError(f"{self.path}: {name} is cut off or no plain file. Delete the shard and run `dvc repro`")
        return data


def _latents(data: bytes, where: str) -> NDArray[np.floating]:
    try:
        latents = load_arrays(data)["latents"]
    except (SafetensorError, KeyError, TypeError) as error:  # TypeError: of a type that numpy has not
        raise ValueError(f"{where} holds no latents ({error!r})") from None
    if latents.dtype.kind != "f":
        raise ValueError(f"{where} holds no latents, but {latents.dtype} {list(latents.shape)}")
    if not np.isfinite(latents).all():
        raise ValueError(f"{where} holds latents that are not finite")
    return latents


def paths(folder: Path) -> list[Path]:
    """The shards of a folder, in order.

    Raises:
        ValueError: there is none, or one that has an index is missing.
    """
    found = sorted(folder.glob("*.tar"))
    if not found:
        raise ValueError(f"{folder}: no shard (*.tar) here. Run `dvc repro generate` or `dvc pull`")
    for index in sorted(folder.glob("*.parquet")):
        if index.with_suffix(".tar") not in found:
            raise ValueError(f"{index.with_suffix('.tar')}: is missing, its index is there. Run `dvc repro`")
    return found


def count(folder: Path) -> dict[str, int]:
    """Count the candidates in the shards of a folder, and those that a safety checker flagged."""
    indexes = [tables.read("index", path.with_suffix(".parquet")) for path in paths(folder)]
    return {"candidates": sum(map(len, indexes)), "flagged": sum(int(index["flagged"].sum()) for index in indexes)}


def read_all(folder: Path, wanted: set[tuple[str, int]] | None = None) -> Iterator[Candidate]:
    """The (wanted) candidates of every shard of a folder, one at a time."""
    for path in paths(folder):
        yield from read(path, wanted, overlap.THREADS)
