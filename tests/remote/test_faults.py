"""Faults of a remote: each is a clear error, nothing wrong enters a cache, and the same command completes (rclone)."""

from contextlib import contextmanager

import pytest
import team
from servers import BUCKET, KEY, SECRET, Rclone, rclone
from standin import POOL_BYTES

SERVER = Rclone
NOWHERE = """
['remote "nowhere"']
    url = s3://no-such-bucket/team
    endpointurl = {endpoint}
"""


@pytest.fixture(scope="module")
def store(wire):
    """The remote as plain files."""
    return wire.server.folder / BUCKET / "team"


@pytest.fixture(scope="module")
def broken_push(lead, wire, store):
    """What a push says whose server is killed at the second shard, and what it left on the remote."""
    wire.reset(cut_up=POOL_BYTES * 3 // 2)
    output = lead.make("push", fails=True)
    left = set(team.objects(store)), team.wrong(store)
    wire.server.start()
    wire.reset()
    return output, *left


@pytest.fixture(scope="module")
def pushed(lead, broken_push):
    """The lead, after the same command once more."""
    lead.make("push")
    return lead


def clear(output, *words):
    """An error says what went wrong in its own words."""
    return "ERROR" in output and any(word.lower() in output.lower() for word in words)


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, ["SignatureDoesNotMatch", "Forbidden", "signature"]),
        ({"AWS_ACCESS_KEY_ID": "withdrawn"}, ["InvalidAccessKeyId", "Forbidden"]),
    ],
    ids=["wrong secret", "key that the server no longer knows"],
)
def test_wrong_credentials_are_named_and_nothing_is_sent(lead, store, keys, words):
    stranger = team.Clone(lead.root, team.KEYS | keys)
    assert clear(stranger.make("push", fails=True), *words)
    assert not store.exists()


def test_a_missing_bucket_is_named_and_the_same_push_completes_once_it_is_there(lead, wire):
    (lead.root / ".dvc/config.local").write_text(NOWHERE.format(endpoint=wire.endpoint))
    push = ("push", "-r", "nowhere", "mix@mixture")
    assert clear(lead.dvc(*push, fails=True), "bucket does not exist", "NoSuchBucket")
    assert rclone(wire.server, KEY, SECRET, "mkdir", ":s3:no-such-bucket")
    lead.dvc(*push)
    (lead.root / ".dvc/config.local").unlink()
    mixture = lead.locked()["data/adapters/mixture"]
    sent = team.objects(wire.server.folder / "no-such-bucket" / "team")
    assert set(sent) == {mixture, *team.members(lead.cache, mixture)}


def test_a_push_whose_server_dies_fails_and_leaves_only_whole_objects(lead, broken_push):
    output, arrived, wrong = broken_push
    assert clear(output, "failed to push", "connection was closed")
    assert arrived < lead.shared()
    assert wrong == []


def test_the_same_push_again_completes(pushed, store):
    assert set(team.objects(store)) == pushed.shared()
    assert team.wrong(store) == []


def test_a_pull_whose_server_dies_brings_only_whole_objects_and_completes_when_repeated(pushed, clone, wire):
    second = clone()
    wire.reset(cut_down=POOL_BYTES * 3 // 2)
    output = second.dvc("pull", fails=True)
    wire.server.start()
    wire.reset()
    assert clear(output, "failed to pull", "connection was closed")
    assert set(team.objects(second.cache)) < pushed.shared()
    assert team.wrong(second.cache) == []
    second.dvc("pull")
    assert second.files() == pushed.files()


def flip(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def cut(data):
    return data[: len(data) // 2]


@contextmanager
def damaged(wire, places, damages):
    """Objects of the remote are other than their names say, until the end."""
    whole = {place: place.read_bytes() for place in places}
    for place, damage in zip(places, damages, strict=True):
        place.write_bytes(damage(whole[place]))
    wire.server.restart()
    yield
    for place, data in whole.items():
        place.write_bytes(data)
    wire.server.restart()


@pytest.mark.parametrize(
    "paths, damages, words",
    [
        (["data/scores/geometry.parquet", "data/scores/aesthetic.parquet"], [flip, cut], "failed to pull"),
        (["data/adapters/mixture"], [cut], "is corrupted"),  # the list of a folder's files
    ],
    ids=["files", "folder"],
)
def test_damaged_objects_are_refused_and_come_once_the_remote_is_mended(
    pushed, clone, store, wire, paths, damages, words
):
    second = clone()
    places = [team.objects(store)[pushed.locked()[path]] for path in paths]
    with damaged(wire, places, damages):
        assert clear(second.dvc("pull", *paths, fails=True), words)
        assert team.wrong(second.cache) == []
        assert not any((second.root / path).exists() for path in paths)
    second.dvc("pull", *paths)
    mine = second.files()
    assert mine == {name: data for name, data in pushed.files().items() if name.startswith(tuple(paths))}
