"""Ways to spoil a file, each a name and a function from its bytes to others; None: no file, `FOLDER`: a folder.

Only damage that must be refused is listed: what a reader may take as it stands is no case.
"""

import copy
import functools
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

FOLDER = object()  # in place of the file

Damage = tuple[str, Callable[[bytes], Any]]

MEGABYTE = "x" * 2**20
OUTSIDE = ("../../up", "/etc/passwd", "a/b", "..", "", "a\0b", "a\nb", "\u202eb", "a b", "x" * 65)
"""Names that a file name may not be made of."""

KINDS = {
    ".parquet": "tables",
    ".tar": "shards",
    ".safetensors": "weights",
    ".json": "JSON",
    ".csv": "CSV",
    ".yaml": "YAML",
    ".txt": "prompt files",
}
"""What files are called when they are counted, by ending."""

NO_PROMPTS = ("", "a\0b", "a\x1bb", "x" * 2001, MEGABYTE)


def of_any_file() -> Iterator[Damage]:
    yield "missing", lambda data: None
    yield "a folder", lambda data: FOLDER
    yield "empty", lambda data: b""
    yield "cut off", lambda data: data[: len(data) // 2]
    yield "one byte", lambda data: data[:1]
    yield "zeros", lambda data: bytes(len(data))
    yield "garbage", lambda data: b"\x81\xff\x00\x80" * 64  # no text in UTF-8, nor with a mark of UTF-16
    yield "plain text", lambda data: b"hello\n"
    yield "a pickle", lambda data: b"cos\nsystem\n(S'touch pickled'\ntR."


# --------------------------------------------------------------------------- tables


def _written(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _table(change: Callable[[pa.Table], pa.Table]) -> Callable[[bytes], bytes]:
    return lambda data: _written(change(pq.read_table(io.BytesIO(data))))


def _column(name: str, change: Callable[[list], list], kind: pa.DataType | None = None) -> Callable[[bytes], bytes]:
    def changed(table: pa.Table) -> pa.Table:
        place = table.column_names.index(name)
        values = change(table.column(name).to_pylist())
        return table.set_column(place, name, pa.array(values, kind or table.column(name).type))

    return _table(changed)


def _first(value: object) -> Callable[[list], list]:
    return lambda values: [value, *values[1:]]


def of_a_table(schema: pa.Schema, nullable: set[str]) -> Iterator[Damage]:
    """Every column missing, of another type, empty, and with values that it must not have; rows twice."""
    for field in schema:
        name, text = field.name, pa.types.is_string(field.type)
        yield f"{name} missing", _table(lambda table, name=name: table.drop_columns([name]))
        yield f"{name} twice", _table(lambda table, name=name: table.append_column(name, table.column(name)))
        kind, value = (pa.int64(), 1) if text else (pa.string(), "1")
        yield f"{name} of another type", _column(name, lambda values, value=value: [value for _ in values], kind)
        yield f"{name} a list", _column(name, lambda values: [[[1]] for _ in values], pa.list_(pa.list_(pa.int64())))
        if name not in nullable:
            yield f"{name} empty", _column(name, _first(None))
        if pa.types.is_floating(field.type):
            for value in ("inf", "-inf", *(() if name in nullable else ("nan",))):
                yield f"{name} {value}", _column(name, _first(float(value)))
        if pa.types.is_integer(field.type) and name != "seed":
            yield f"{name} negative", _column(name, _first(-1))
            yield f"{name} beyond 64 bits", _column(name, lambda values: [2**64 - 1 for _ in values], pa.uint64())
        if name == "prompt_id":
            for value in OUTSIDE:
                yield f"{name} {value!r:.20}", _column(name, _first(value))
        if name == "text":
            for value in NO_PROMPTS:
                yield f"{name} {value!r:.20}", _column(name, _first(value))
        if text and name not in ("prompt_id", "text"):
            yield f"{name} of a megabyte", _column(name, _first(MEGABYTE))
            yield f"{name} not UTF-8", _table(lambda table, name=name: _not_utf8(table, name))
    if "score" in schema.names and "abstained" in schema.names:
        yield "a score neither there nor explained", _table(_unexplained)
    yield "rows twice", _table(lambda table: pa.concat_tables([table, table]))


def of_an_index() -> Iterator[Damage]:
    """An index that is a sound table and says other things than the shard."""
    for name in ("../../up.png", "/etc/passwd", "p1.0.png", "p0.0.latent.safetensors", "p0.0.PNG"):
        yield f"member {name}", _column("member", _first(name))
    for name in ("width", "height"):
        for value in (1, 63, 2**31, 2**62):
            yield f"{name} {value}", _column(name, _first(value))
    yield "another prompt", _column("prompt_id", _first("stranger"))
    yield "another k", _column("k", _first(77))


def _unexplained(table: pa.Table) -> pa.Table:
    for name in ("score", "abstained"):
        empty = pa.array([None] * len(table), table.column(name).type)
        table = table.set_column(table.column_names.index(name), name, empty)
    return table


def _not_utf8(table: pa.Table, name: str) -> pa.Table:
    raw = pa.array([b"\xff\xfe"] * len(table), pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    return table.set_column(table.column_names.index(name), name, text)


# --------------------------------------------------------------------------- JSON and CSV


def _places(content: Any, place: tuple = ()) -> Iterator[tuple]:
    if place:
        yield place
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from _places(value, (*place, key))


def _put(content: Any, place: tuple, value: Any) -> Any:
    changed = copy.deepcopy(content)
    *above, last = place
    section = changed
    for key in above:
        section = section[key]
    if value is FOLDER:
        del section[last]
    else:
        section[last] = value
    return changed


WRONG = {"deleted": FOLDER, "null": None, "text": "x", "list": [[]], "nan": float("nan")}


def of_json(data: bytes, spare: Collection[str], optional: Collection[str]) -> Iterator[Damage]:
    """Every value deleted or of another type; numbers that are none; too deep.

    Args:
        data: the file.
        spare: names that nothing is done to, nor to what lies below them.
        optional: names that are not deleted, and with a dot behind it those below which nothing is.
    """
    content = json.loads(data)
    for place in _places(content):
        if set(place) & set(spare):
            continue
        above = f"{place[-2]}." if len(place) > 1 else "."
        for title, value in WRONG.items():
            if value is not FOLDER or not {place[-1], above} & set(optional):
                spoilt = json.dumps(_put(content, place, value)).encode()
                yield f"{'.'.join(map(str, place))} {title}", lambda data, spoilt=spoilt: spoilt
    yield "a list", lambda data: b"[]"
    yield "a number", lambda data: b"3"
    if "." not in optional:
        yield "an empty object", lambda data: b"{}"
    yield "nested too deeply", lambda data: b'{"a":' * 50_000 + b"1" + b"}" * 50_000


def of_losses() -> Iterator[Damage]:
    yield "another header", lambda data: data.replace(b"loss", b"lost", 1)
    yield "no header", lambda data: data.split(b"\n", 1)[1]
    for value in (b"nan", b"inf", b"-inf", b"x", b"", b'"', b"0x10", b"1e999", b"<script>"):
        yield f"loss {value!r}", lambda data, value=value: data.rstrip().rsplit(b",", 1)[0] + b"," + value + b"\n"
    yield "a row too long", lambda data: data + b"5,0.5,0.5\n"


# --------------------------------------------------------------------------- tensors


def _safetensors(change: Callable[[dict, bytes], tuple[dict, bytes]]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        length = int.from_bytes(data[:8], "little")
        header, rest = change(json.loads(data[8 : 8 + length]), data[8 + length :])
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + rest

    return changed


def _tensor(header: dict) -> str:
    return next(name for name in header if name != "__metadata__")


def _without(header: dict, name: str) -> dict:
    return {key: value for key, value in header.items() if key != name}


def _value(number: float) -> Callable[[bytes], bytes]:
    return lambda data: data[:-4] + struct.pack("<f", number)


def _retyped(header: dict, dtype: str) -> dict:
    name = _tensor(header)
    return header | {name: header[name] | {"dtype": dtype}}


def _reshaped(header: dict) -> dict:
    name = _tensor(header)
    shape = header[name]["shape"]
    return header | {name: header[name] | {"shape": [*shape[:-1], shape[-1] // 2, 2]}}


def of_tensors() -> Iterator[Damage]:
    yield "nan", _value(float("nan"))
    yield "inf", _value(float("inf"))
    yield (
        "a tensor missing",
        _safetensors(lambda header, rest: ({k: v for k, v in header.items() if k != _tensor(header)}, rest)),
    )
    yield "a tensor reshaped", _safetensors(lambda header, rest: (_reshaped(header), rest))
    yield (
        "a tensor renamed",
        _safetensors(lambda header, rest: ({("x" if k == _tensor(header) else k): v for k, v in header.items()}, rest)),
    )
    yield "of an unknown type", _safetensors(lambda header, rest: (_retyped(header, "F7"), rest))
    yield (
        "offsets beyond the end",
        _safetensors(
            lambda header, rest: (
                header | {_tensor(header): header[_tensor(header)] | {"data_offsets": [0, 2**40]}},
                rest,
            )
        ),
    )
    yield "a header of 2^60 bytes", lambda data: (2**60).to_bytes(8, "little") + data[8:]


def of_an_adapter() -> Iterator[Damage]:
    for title, value in {
        "nan": "NaN",
        "inf": "Infinity",
        "zero": "0",
        "negative": "-1",
        "text": '"x"',
        "null": "null",
    }.items():
        yield f"alpha {title}", _safetensors(lambda header, rest, value=value: (_alpha(header, value), rest))
    yield (
        "no metadata",
        _safetensors(lambda header, rest: ({k: v for k, v in header.items() if k != "__metadata__"}, rest)),
    )
    yield (
        "of another base model",
        _safetensors(
            lambda header, rest: (header | {"__metadata__": header["__metadata__"] | {"revision": "0"}}, rest)
        ),
    )


def _alpha(header: dict, value: str) -> dict:
    metadata = dict(header["__metadata__"])
    config = json.loads(metadata["lora_adapter_metadata"])
    config["unet.lora_alpha"] = json.loads(value)
    return header | {"__metadata__": metadata | {"lora_adapter_metadata": json.dumps(config)}}


# --------------------------------------------------------------------------- shards


def _rewritten(change: Callable[[tarfile.TarInfo, bytes], bytes | None]) -> Callable[[bytes], bytes]:
    """A shard in which the first member for which `change` gives other bytes has those; None drops it."""

    def changed(data: bytes) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=out, mode="w") as new:
            for info in old.getmembers():
                content = change(info, old.extractfile(info).read())
                if content is not None:
                    info.size = len(content)
                    new.addfile(info, io.BytesIO(content))
        return out.getvalue()

    return changed


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 64), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


def _bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge."""
    data = bytearray(picture())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def _for(ending: str, content: bytes | None) -> Callable[[tarfile.TarInfo, bytes], bytes | None]:
    return lambda info, data: content if info.name.endswith(ending) else data


def _linked(kind: bytes, target: str, ending: str) -> Callable[[tarfile.TarInfo, bytes], bytes]:
    def link(info: tarfile.TarInfo, data: bytes) -> bytes:
        if info.name.endswith(ending):
            info.type, info.linkname = kind, target
            return b""
        return data

    return link


def _renamed(name: str) -> Callable[[tarfile.TarInfo, bytes], bytes]:
    def rename(info: tarfile.TarInfo, data: bytes) -> bytes:
        info.name = name + info.name
        return data

    return rename


def _sparse(data: bytes) -> bytes:
    """A shard whose first member is a GNU sparse file that says it has a terabyte."""
    header = bytearray(data[:512])
    header[156:157] = b"S"
    header[257:265] = b"ustar  \0"
    header[483:495] = b"\x80" + (2**40).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def _huge(data: bytes) -> bytes:
    """A shard whose first member says that it has 2^60 bytes."""
    header = bytearray(data[:512])
    header[124:136] = b"\x80" + (2**60).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


@functools.cache
def _swollen() -> bytes:
    """A PNG with a text of 64 MB in it, packed into 64 kB."""
    data = picture()
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    return data[:33] + _chunk(b"zTXt", b"Comment\0\0" + packed) + data[33:]


def of_a_shard() -> Iterator[Damage]:
    for ending in (".png", ".latent.safetensors"):
        yield f"{ending} missing", _rewritten(_for(ending, None))
        yield f"{ending} empty", _rewritten(_for(ending, b""))
        yield f"{ending} garbage", _rewritten(_for(ending, b"\xff" * 100))
        for title, kind in {"symlink": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE}.items():
            yield f"{ending} a {title}", _rewritten(_linked(kind, "/etc/passwd", ending))
    for prefix in ("../../", "/tmp/", "./"):
        yield f"members of {prefix}", _rewritten(_renamed(prefix))
    for title, content in {
        "a JPEG": picture("JPEG"),
        "a GIF": picture("GIF"),
        "of another size": picture(size=(65, 64)),
        "of absurd size": _bomb(2**30, 2**30),
        "of no width": _bomb(0, 64),
        "cut off": picture()[:-20],
        "of a text of 64 MB": _swollen(),
    }.items():
        yield f"a picture that is {title}", _rewritten(_for(".png", content))
    yield "a terabyte of zeros", _sparse
    yield "a member of 2^60 bytes", _huge
