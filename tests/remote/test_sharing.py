"""A team shares one store: what a second clone gets, what it runs, and what it does not download (SeaweedFS)."""

import shutil
import stat
import subprocess

import pytest
import team
from servers import SECRET, SeaweedFS
from standin import POOL_BYTES, POOL_SHARDS

SERVER = SeaweedFS
FROM_GEOMETRY = {"train_lora@geometry", "mix@mixture", "evaluate@geometry", "evaluate@mixture", "compare", "report"}


@pytest.fixture(scope="module")
def pushed(lead):
    """The lead, after `make push`."""
    lead.make("push")
    return lead


def shards(clone):
    return team.members(clone.cache, clone.locked()["data/images"])


def fetched(wire):
    """Names of the objects that were downloaded since the wire was reset."""
    return {"".join(key.split("/")[-2:]) for key in wire.objects("GET")}


def test_a_remote_is_an_address_without_a_secret_whose_objects_are_verified(lead, wire):
    config = (lead.root / ".dvc/config").read_text()
    assert "remote = team" in config and f"url = {team.url()}" in config
    assert f"endpointurl = {wire.endpoint}" in config and "verify = true" in config
    assert SECRET not in config and "access_key_id" not in config


def test_a_remote_without_an_address_is_one_clear_line(lead):
    done = subprocess.run(["make", "-o", "setup", "remote"], cwd=lead.root, capture_output=True, text=True)
    assert done.returncode and "say where: make remote URL=" in done.stdout


def test_a_second_clone_gets_every_artifact_and_has_nothing_to_run(pushed, clone):
    second = clone()
    second.make("pull")
    assert second.files() == pushed.files()
    assert team.wrong(second.cache) == []
    assert team.ran(second.dvc("repro", "--pull")) == set()


def test_a_new_rank_runs_its_expert_and_what_is_made_from_it_and_never_downloads_the_pool(pushed, clone, wire):
    second = clone()
    second.change("params.yaml", "train_lora", "geometry", "rank", to=4)
    wire.reset()
    output = second.dvc("repro", "--pull", "--allow-missing")
    assert team.ran(output) == FROM_GEOMETRY
    assert not fetched(wire) & shards(pushed)
    assert wire.down < POOL_SHARDS * POOL_BYTES / 2
    assert not (second.root / "data/images").exists()


def test_another_repository_gets_the_mixture_by_path_and_by_name(pushed, wire, tmp_path):
    pushed.run(*team.GIT, "tag", "-a", "mixture@v1.0.0", "-m", "the first mixture")
    outside = team.Clone(tmp_path)
    wire.reset()
    outside.dvc("get", str(pushed.root), "data/adapters/mixture", "-o", "by_path")
    outside.dvc("artifacts", "get", str(pushed.root), "mixture", "-o", "by_name")
    expected = {path.name: path.read_bytes() for path in (pushed.root / "data/adapters/mixture").iterdir()}
    for folder in ("by_path", "by_name"):
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} == expected
    assert fetched(wire) <= set(team.objects(pushed.cache)) - shards(pushed)


def test_a_group_keeps_one_copy_of_each_object_on_a_shared_disk(pushed, clone, tmp_path):
    cache = tmp_path / "cache"
    first, second = clone("first"), clone("second")
    for arguments in (["cache.dir", str(cache)], ["cache.shared", "group"], ["cache.type", "hardlink,symlink,copy"]):
        first.dvc("config", "--local", *arguments)
    shutil.copy(first.root / ".dvc/config.local", second.root / ".dvc/config.local")
    first.dvc("pull")
    second.dvc("checkout")
    assert second.files() == first.files() == pushed.files()
    inodes = {path.stat().st_ino for path in team.objects(cache).values()}
    for user in (first, second):
        assert {(user.root / name).stat().st_ino for name in user.files()} <= inodes
        assert not user.cache.exists()
    folders = [path for path in cache.joinpath("files").rglob("*") if path.is_dir()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o2775 for path in folders), "another of the group may add objects"
    assert not any(path.stat().st_mode & 0o222 for path in team.objects(cache).values())
