"""Shards hold what was put in, in the same bytes each time; a damaged one names the member."""

import io
import re
import tarfile
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from versat2i.formats import shards, tables

steady = settings(derandomize=True, max_examples=15, deadline=None)

KEYS = [("a", 0), ("a", 1), ("b", 0)]


def candidate(prompt_id, k, height=5, width=7, channels=2):
    random = np.random.default_rng([k, *prompt_id.encode()])
    image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    latents = random.standard_normal((channels, 3, 2), dtype=np.float32)
    return shards.Candidate(prompt_id, k, 1000 + k, image, latents)


def same(one, other):
    return (
        (one.prompt_id, one.k, one.seed) == (other.prompt_id, other.k, other.seed)
        and np.array_equal(one.image, other.image)
        and np.array_equal(one.latents, other.latents)
    )


def content(path):
    return path.with_suffix(".tar").read_bytes() + path.with_suffix(".parquet").read_bytes()


def rewrite(path, change):
    """Write a tar file again, each member changed by ``change(name, info, data)`` or dropped by None."""
    with tarfile.open(path) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar.getmembers()]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in members:
            changed = change(info, data)
            if changed is not None:
                info.size = len(changed)
                tar.addfile(info, io.BytesIO(changed))


def refused(path):
    """The one line that refuses the shard."""
    with pytest.raises(ValueError) as error:
        list(shards.read(path))
    line = str(error.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line


@pytest.fixture
def shard(tmp_path):
    shards.write(tmp_path / "shard", [candidate(*key) for key in KEYS])
    return tmp_path / "shard.tar"


@steady
@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.integers(0, 12)), st.tuples(st.integers(1, 9), st.integers(1, 9))
    ),
    st.integers(1, 3),
)
def test_candidates_of_any_size_come_back_sorted(tmp_path_factory, sizes, channels):
    path = tmp_path_factory.mktemp("shards") / "shard"
    items = [candidate(*key, *size, channels) for key, size in sizes.items()]
    shards.write(path, items)
    found = list(shards.read(path.with_suffix(".tar")))
    expected = sorted(items, key=lambda item: (item.prompt_id, item.k))
    assert len(found) == len(expected)
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_latents_keep_their_precision_and_shape_when_not_contiguous(tmp_path, dtype):
    latents = np.arange(24.0).reshape(4, 3, 2).transpose(2, 1, 0).astype(dtype)
    shards.write(tmp_path / "s", [shards.Candidate("a", 0, 1, np.zeros((2, 2, 3), np.uint8), latents)])
    (found,) = shards.read(tmp_path / "s.tar")
    assert found.latents.dtype == dtype
    assert np.array_equal(found.latents, latents)


@steady
@given(st.permutations(KEYS))
def test_the_order_given_does_not_change_a_byte(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("shards")
    shards.write(folder / "one", [candidate(*key) for key in KEYS])
    shards.write(folder / "other", iter([candidate(*key) for key in order]))
    assert content(folder / "one") == content(folder / "other")


def test_members_have_no_owner_and_no_date(shard):
    with tarfile.open(shard) as tar:
        for info in tar.getmembers():
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode) == (0, 0, 0, "", "", 0o644)


def test_the_index_says_where_the_bytes_of_each_png_lie(shard):
    index = tables.read("index", shard.with_suffix(".parquet"))
    whole = shard.read_bytes()
    for row in index.itertuples():
        with Image.open(io.BytesIO(whole[row.offset : row.offset + row.size])) as image:
            assert image.size == (row.width, row.height) == (7, 5)
            assert np.array_equal(np.asarray(image), candidate(row.prompt_id, row.k).image)


def test_any_reader_of_tar_files_finds_the_images_and_latents(shard):
    with tarfile.open(shard) as tar:
        expected = [f"{p}.{k}.{end}" for p, k in KEYS for end in ("png", "latent.safetensors")]
        assert tar.getnames() == expected


def test_only_what_is_wanted_is_read(shard):
    found = [(item.prompt_id, item.k) for item in shards.read(shard, {("b", 0), ("a", 1), ("not", 7)})]
    assert found == [("a", 1), ("b", 0)]
    assert list(shards.read(shard, set())) == []


def test_images_are_decoded_before_they_are_asked_for(shard, monkeypatch):
    decoded, decode, all_there = [], shards._decode, threading.Event()

    def noted(data, size, where):
        decoded.append(where)
        if len(decoded) == len(KEYS):
            all_there.set()
        return decode(data, size, where)

    monkeypatch.setattr(shards, "_decode", noted)
    found = shards.read(shard, ahead=len(KEYS))
    assert same(next(found), candidate(*KEYS[0])) and all_there.wait(60)
    assert all(same(one, candidate(*key)) for one, key in zip(found, KEYS[1:], strict=True))


def test_damage_to_what_is_not_wanted_does_no_harm(shard):
    rewrite(shard, lambda info, data: b"" if info.name.startswith("b.") else data)
    assert len(list(shards.read(shard, {("a", 0), ("a", 1)}))) == 2
    assert "b.0.png" in refused(shard)


def test_a_folder_is_read_shard_by_shard_in_order(tmp_path):
    shards.write(tmp_path / "00001-000", [candidate("a", 0)])
    shards.write(tmp_path / "00000-000", [candidate("b", 0)])
    assert [item.prompt_id for item in shards.read_all(tmp_path)] == ["b", "a"]
    assert [item.prompt_id for item in shards.read_all(tmp_path, {("a", 0)})] == ["a"]


def test_a_folder_without_shards_says_what_to_run(tmp_path):
    with pytest.raises(ValueError, match=re.escape(str(tmp_path)) + r": no shard .*dvc repro generate"):
        shards.paths(tmp_path)


def test_a_missing_shard_is_named(shard):
    shard.unlink()
    assert "damaged or missing" in refused(shard)


def test_a_missing_index_is_named(shard):
    shard.with_suffix(".parquet").unlink()
    with pytest.raises(ValueError, match=r"shard\.parquet: there is no such table"):
        list(shards.read(shard))


def test_a_shard_cut_off_anywhere_is_refused_or_whole(shard):
    whole = shard.read_bytes()
    with tarfile.open(shard) as tar:
        last = tar.getmembers()[-1]
    end = last.offset_data + last.size
    for length in range(0, end, 301):
        shard.write_bytes(whole[:length])
        refused(shard)
    shard.write_bytes(whole[: end + 512])
    assert len(list(shards.read(shard))) == len(KEYS)


def test_a_flipped_byte_in_an_image_is_named_or_changes_no_pixel(shard):
    index = tables.read("index", shard.with_suffix(".parquet")).set_index("member")
    offset, size = (int(index.loc["a.1.png", name]) for name in ("offset", "size"))
    whole, before = shard.read_bytes(), list(shards.read(shard))
    named = 0
    for place in range(offset, offset + size, 4):
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert all(same(one, other) for one, other in zip(shards.read(shard), before, strict=True))
        except ValueError:
            assert "a.1.png" in refused(shard)
            named += 1
    assert named > size / 4 / 2


def test_a_flipped_byte_in_a_header_is_refused(shard):
    whole = shard.read_bytes()
    for place in (0, 50, 124, 148, 156):  # name, name, size, checksum, type
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        refused(shard)


@pytest.mark.parametrize("name", ["a.1.png", "a.1.latent.safetensors"])
def test_a_missing_member_is_named(shard, name):
    rewrite(shard, lambda info, data: None if info.name == name else data)
    assert f"{name} is in the index but not in the shard" in refused(shard)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("name", ["a.0.png", "b.0.latent.safetensors"])
def test_a_link_or_folder_in_place_of_a_member_is_not_followed(shard, kind, name):
    def link(info, data):
        if info.name == name:
            info.type, info.linkname = kind, "a.1.png"
            return b""
        return data

    rewrite(shard, link)
    assert f"{name} is cut off or no plain file" in refused(shard)


def picture(format, size=(7, 5)):
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", picture("JPEG"), picture("PNG")[:-30], bytes(1000)])
def test_a_member_that_is_no_png_is_named(shard, data):
    rewrite(shard, lambda info, old: data if info.name == "a.1.png" else old)
    assert "a.1.png: not a readable PNG" in refused(shard)


def test_an_image_of_absurd_size_is_not_decoded(shard, monkeypatch):
    monkeypatch.setattr(shards, "MAX_PIXELS", 34)
    assert "a.0.png: not a readable PNG (7x5 pixels are more than 34)" in refused(shard)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 64,
        save({"other": torch.zeros(2)}),
        save({"latents": torch.tensor([1.0, float("nan")])}),
        save({"latents": torch.tensor([1.0, float("inf")])}),
    ],
)
def test_latents_that_are_missing_damaged_or_not_finite_are_named(shard, data):
    rewrite(shard, lambda info, old: data if info.name == "a.1.latent.safetensors" else old)
    assert "a.1.latent.safetensors holds" in refused(shard)


def test_candidates_are_read_where_the_index_says_without_a_search(shard, monkeypatch):
    monkeypatch.setattr(tarfile, "open", None)
    assert [item.member for item in shards.read(shard, {("b", 0)})] == ["b.0"]


def test_candidates_are_found_by_name_where_the_index_is_wrong(shard):
    index = shard.with_suffix(".parquet")
    for wrong in (0, 7, 512, 10**15):
        tables.write("index", tables.read("index", index).assign(offset=wrong), index)
        assert all(same(one, candidate(*key)) for one, key in zip(shards.read(shard), KEYS, strict=True))


def test_what_is_copied_is_what_was_written(shard, tmp_path):
    """Shards of several pools go into one, byte for byte what it would be if the candidates were written anew."""
    shards.write(tmp_path / "other", [candidate("0", 3), candidate("c", 1)])
    (tmp_path / "new").mkdir()
    wanted = {"one": {("c", 1), ("a", 1), ("b", 0), ("not", 0)}, "two": {("a", 1)}, "none": set()}
    shards.copy([shard, tmp_path / "other.tar"], {tmp_path / "new" / name: keys for name, keys in wanted.items()})
    for name, keys in (("one", [("a", 1), ("b", 0), ("c", 1)]), ("two", [("a", 1)])):
        shards.write(tmp_path / name, [candidate(*key) for key in keys])
        assert content(tmp_path / "new" / name) == content(tmp_path / name)
    assert not list((tmp_path / "new").glob("none*"))


def test_what_is_damaged_is_not_copied(shard, tmp_path):
    rewrite(shard, lambda info, data: data[:-30] if info.name == "a.1.png" else data)
    with pytest.raises(ValueError, match=r"a\.1\.png: not a readable PNG"):
        shards.copy([shard], {tmp_path / "new": {("a", 1)}})
    assert not list(tmp_path.glob("new*"))
