"""A team shares one store: what a second clone gets, what it runs, and what it does not download (SeaweedFS)."""

import re
import shutil
import stat
import subprocess
import time

import pytest
import team
from servers import BUCKET, SECRET, SeaweedFS, rclone
from standin import POOL_BYTES, POOL_SHARDS

SERVER = SeaweedFS
LINKS = "reflink,hardlink,symlink,copy"  # as docs/team.md has it
ALIVE = 20  # seconds that short-lived keys are good for; the tests before the one that waits take longer


@pytest.fixture(scope="module")
def pushed(lead):
    """The lead, after `make push`."""
    lead.make("push")
    return lead


@pytest.fixture(scope="module")
def short_lived(pushed, wire):
    """Keys that were good for a while."""
    keys = wire.server.short_lived_keys(ALIVE)
    end = time.monotonic() + ALIVE
    while not works(wire, keys):  # the server's own console does not wait until its gateway knows them
        assert time.monotonic() < end
    return keys


def works(wire, keys):
    return rclone(wire.server, *keys, "lsf", f":s3:{BUCKET}")


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


def test_a_second_clone_gets_every_artifact_and_has_nothing_to_run(pushed, clone, short_lived):
    second = clone()
    second.make("pull")
    assert second.files() == pushed.files()
    assert team.wrong(second.cache) == []
    assert team.ran(second.dvc("repro", "--pull")) == set()


def test_a_new_rank_runs_its_expert_and_what_is_made_from_it_and_never_downloads_the_pool(pushed, clone, wire, counts):
    second = clone()
    second.change("params.yaml", "train_lora", "geometry", "rank", to=4)
    wire.reset()
    output = second.dvc("repro", "--pull", "--allow-missing")
    assert team.ran(output) == team.FROM_GEOMETRY
    assert not fetched(wire) & shards(pushed)
    assert wire.down < POOL_SHARDS * POOL_BYTES / 2
    counts["bytes that came down in a partial pull"] = wire.down
    counts["bytes of the pool, which stayed"] = POOL_SHARDS * POOL_BYTES
    assert not (second.root / "data/images").exists()
    second.make("push")
    third = clone("third")
    third.make("pull")
    third.change("params.yaml", "train_lora", "geometry", "rank", to=4)
    assert team.ran(third.dvc("repro", "--pull")) == set(), "the run cache has what a colleague tried and pushed"
    assert third.locked() == second.locked()


def test_images_and_models_go_to_buckets_of_their_own(first_run, wire, tmp_path):
    root = shutil.copytree(first_run.root, tmp_path / "lead", symlinks=True)
    lead = team.Clone(root)
    for remote, arguments in {"team": [], "bulk": ["REMOTE=bulk"]}.items():
        lead.make("remote", f"URL={team.url(f'apart/{remote}')}", f"ENDPOINT={wire.endpoint}", *arguments)
    lead.change("dvc.yaml", "stages", "generate", "outs", to=[{"data/images": {"remote": "bulk"}}])
    lead.commit("the pool in a bucket of its own")
    wire.reset()
    lead.make("push")
    sent = {remote: set(re.findall(rf"apart/{remote}/files/md5/(\S\S/\S+)", put(wire))) for remote in ("team", "bulk")}
    pool = {f"{md5[:2]}/{md5[2:]}" for md5 in {lead.locked()["data/images"], *shards(lead)}}
    assert sent["bulk"] == pool and sent["team"] and not sent["team"] & pool
    lead.run("git", "clone", "-q", str(root), str(tmp_path / "second"))
    second = team.Clone(tmp_path / "second")
    second.make("pull")
    assert second.files() == lead.files()
    assert team.ran(second.dvc("repro", "--pull")) == set(), "where it is kept changes no result"


def put(wire):
    return "\n".join(wire.objects("PUT"))


def test_another_repository_gets_the_mixture_by_path_and_by_name(pushed, wire, tmp_path):
    pushed.run(*team.GIT, "tag", "-a", "mixture@v1.0.0", "-m", "the first mixture")
    outside = team.Clone(tmp_path)
    wire.reset()
    outside.dvc("get", str(pushed.root), "data/adapters/mixture", "-o", "by_path")
    outside.dvc("artifacts", "get", str(pushed.root), "mixture", "-o", "by_name")
    outside.dvc("artifacts", "get", str(pushed.root), "mixture", "--rev", "v1.0.0", "-o", "by_version")
    expected = {path.name: path.read_bytes() for path in (pushed.root / "data/adapters/mixture").iterdir()}
    for folder in ("by_path", "by_name", "by_version"):
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} == expected
    assert fetched(wire) <= set(team.objects(pushed.cache)) - shards(pushed)


def test_a_group_keeps_one_copy_of_each_object_on_a_shared_disk(pushed, clone, tmp_path):
    cache = tmp_path / "cache"
    first, second = clone("first"), clone("second")
    for arguments in (["cache.dir", str(cache)], ["cache.shared", "group"], ["cache.type", LINKS]):
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


def test_keys_that_have_expired_are_an_error_and_new_ones_complete(pushed, clone, wire, short_lived):
    end = time.monotonic() + 2 * ALIVE
    while works(wire, short_lived) and time.monotonic() < end:
        time.sleep(0.5)
    key, secret = short_lived
    second = clone(keys={"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret})
    assert "Forbidden" in second.make("pull", fails=True)
    assert team.objects(second.cache) == {} and not (second.root / "data").exists()
    second.keys = team.KEYS
    second.make("pull")
    assert second.files() == pushed.files()
