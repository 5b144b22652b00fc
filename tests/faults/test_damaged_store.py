"""Every file of the work store spoilt in every way: it is found, made again, and never used."""

import shutil

import pytest
import small_run
from interference import Killed, interfering
from test_every_write import OUTS, WHOLE, remove, visible

pytestmark = pytest.mark.usefixtures("computed")

STAGES = ("generate", "score aesthetic", "train_lora aesthetic", "mix mixture", "evaluate base")
TRAINED = ("train_lora aesthetic", "mix mixture")
EVERY = 1 if WHOLE else 9


def truncate(path, others):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path, others):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lengthen(path, others):
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path, others):
    path.write_bytes(b"")


def garbage(path, others):
    path.write_bytes(b"\xff\xfe\x00\x80" * 64)


def pickled(path, others):
    path.write_bytes(b"cos\nsystem\n(S'touch pickled'\ntR.")


def delete(path, others):
    path.unlink()


def make_folder(path, others):
    path.unlink()
    path.mkdir()


def link(path, others):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def rename(path, others):
    path.rename(path.with_name(f"x{path.name}"))


def take_another(path, others):
    """What is sound, but belongs elsewhere."""
    shutil.copyfile(next((other for other in others if other.suffix == path.suffix), others[0]), path)


WAYS = (truncate, flip, lengthen, empty, garbage, pickled, delete, make_folder, link, rename, take_another)


def stored(root):
    """Hash of each file of a piece of work, by path; times and errors are only told."""
    files = small_run.contents(root, ".work")
    return {name: digest for name, digest in files.items() if name.count("/") > 2}


@pytest.mark.parametrize("stage", STAGES)
def test_a_damaged_piece_is_made_again_to_the_same_bytes(root, counts, stage):
    command, outs = tuple(stage.split()), OUTS[stage]
    with small_run.inside(root):
        remove(root, ".work")
        assert small_run.run(command).exit_code == 0
        whole, sound = visible(root, outs), stored(root)
        assert sound
        cases = [(name, way) for name in sound for way in WAYS]
        for name, way in cases[len(stage) % EVERY :: EVERY]:
            path = root / name
            others = [root / other for other in sound if other != name]
            data = path.read_bytes()
            path.unlink()  # the outputs may share it
            path.write_bytes(data)
            way(path, others)
            remove(root, *outs)
            counts[f"store files spoilt, {stage.split()[0]}: tried"] += 1
            done = small_run.run(command)
            assert done.exit_code == 0, (name, way, done.stderr)
            assert visible(root, outs) == whole, (name, way)
            assert stored(root) == sound, (name, way)
            counts[f"store files spoilt, {stage.split()[0]}: made again"] += 1


def test_pieces_that_changed_places_are_made_again(root, counts):
    """All their checksums hold."""
    with small_run.inside(root):
        remove(root, ".work")
        assert small_run.run(("generate",)).exit_code == 0
        whole, sound = visible(root, OUTS["generate"]), stored(root)
        one, other = sorted((root / ".work/generate").iterdir())[:2]
        one.rename(root / ".work/third")
        other.rename(one)
        (root / ".work/third").rename(other)
        done = small_run.run(("generate",))
        assert done.exit_code == 0 and visible(root, OUTS["generate"]) == whole
        assert stored(root) == sound


def stopped_after_a_checkpoint(root, command, outs):
    """Leave a checkpoint as a kill does."""
    for at in range(200):
        remove(root, ".work", *outs)
        try:
            with interfering(root, at, "killed"):
                small_run.run(command)
        except Killed:
            found = [path for path in (root / ".work").glob("*/*.pt") if not path.name.startswith(".")]
            if found:
                return found[0]
    raise AssertionError("no checkpoint was left")


@pytest.mark.parametrize("stage", TRAINED)
def test_a_damaged_checkpoint_is_not_gone_on_from(root, computed, counts, stage):
    command, outs = tuple(stage.split()), OUTS[stage]
    with small_run.inside(root):
        whole = visible(root, outs)
        path = stopped_after_a_checkpoint(root, command, outs)
        sound = path.read_bytes()
        other = root / ".work" / "other.pt"
        other.write_bytes(sound[:-1] + b"\0")
        computed.clear()
        assert small_run.run(command).exit_code == 0
        resumed = computed["steps"]
        for way in WAYS:
            remove(root, ".work", *outs)
            path.parent.mkdir(parents=True)
            path.write_bytes(sound)
            other.write_bytes(sound[::-1])
            way(path, [other])
            computed.clear()
            counts[f"store files spoilt, {stage.split()[0]}: tried"] += 1
            done = small_run.run(command)
            assert done.exit_code == 0, (way, done.stderr)
            assert visible(root, outs) == whole, way
            if way is not link:
                assert computed["steps"] == resumed + 1, way  # the step that it held is trained again
            counts[f"store files spoilt, {stage.split()[0]}: made again"] += 1
