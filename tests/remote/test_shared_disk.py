"""One cache on a shared disk, by several real users of one group: each adds objects, none can change another's.

Needs root, to become other users, and `setpriv` (util-linux).
"""

import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import team

from versat2i.work import fingerprint

USERS = sorted({entry.pw_uid for entry in pwd.getpwall()} - {0})[:3]  # DVC wants users that have a name
OWNER, COLLEAGUE, STRANGER = USERS if len(USERS) == 3 else (0, 0, 0)
GROUP, OTHERS = 60_001, 60_002
PLACE = "/shared/versat2i/cache"  # as the page calls it
PAGE = fingerprint.ROOT / "docs/team.md"


def acting_as(user: int, group: int) -> list[str]:
    """Put before a command: it runs as that user, who may read what lies on the way to this Python, but not write."""
    more = "+dac_read_search"
    who = [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--bounding-set=-all,+dac_read_search"]
    return ["setpriv", *who, f"--inh-caps=-all,{more}", f"--ambient-caps=-all,{more}"]


def possible() -> bool:
    if os.geteuid() != 0 or OWNER == 0 or shutil.which("setpriv") is None:
        return False
    return subprocess.run([*acting_as(OWNER, GROUP), "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not possible(), reason="cannot become another user here")


def said(*beginnings: str, **names: str) -> list[list[str]]:
    """The commands of docs/team.md that begin so, with other names in them."""
    lines = [line.split("#")[0] for line in PAGE.read_text().splitlines() if line.startswith(beginnings)]
    assert len(lines) >= len(beginnings)
    for old, new in names.items():
        lines = [line.replace(old, new) for line in lines]
    return [shlex.split(line) for line in lines]


class Member(team.Clone):
    """Somebody of the group, with a home and a clone."""

    def __init__(self, home: Path, user: int, group: int) -> None:
        home.mkdir()
        os.chown(home, user, group)
        (home / ".gitconfig").write_text("[safe]\ndirectory = *\n")  # Git distrusts a repository of another user
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # forks are of our user
        super().__init__(home, {"PATH": path, "HOME": str(home), "DVC_SITE_CACHE_DIR": str(home / "site")})
        self.user, self.group = user, group

    def run(self, *command: str, fails: bool = False) -> str:
        return super().run(*acting_as(self.user, self.group), *command, fails=fails)

    def clone(self, origin: Path) -> None:
        self.run("git", "clone", "-q", str(origin), "clone")
        self.root = self.root / "clone"

    def use(self, cache: Path) -> None:
        for command in said("dvc config --local cache.", **{PLACE: str(cache)}):
            self.run(*command)


@pytest.fixture
def disk():
    """A folder that everybody may reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="disk") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def origin(first_run, disk):
    """The team's repository, where all can read it."""
    first_run.run("git", "clone", "-q", "--bare", str(first_run.root), str(disk / "origin"))
    return disk / "origin"


@pytest.fixture
def cache(disk):
    """The cache, made as docs/team.md says."""
    place = disk / "cache"
    for command in said("mkdir -p /shared", "chgrp", "chmod", **{PLACE: str(place), "OUR_GROUP": str(GROUP)}):
        subprocess.run(command, check=True)
    return place


def test_several_users_share_one_copy_of_each_object_and_none_can_change_it(first_run, origin, disk, cache):
    owner, colleague = (Member(disk / name, user, GROUP) for name, user in (("a", OWNER), ("b", COLLEAGUE)))
    for member in (owner, colleague):
        member.clone(origin)
        member.use(cache)
    owner.dvc("repro")
    assert owner.files() == first_run.files()
    assert team.ran(colleague.dvc("repro")) == set(), "the shared cache has the run cache too"
    assert colleague.files() == first_run.files()
    assert not owner.cache.exists() and not colleague.cache.exists()

    colleague.change("params.yaml", "train_lora", "geometry", "rank", to=3)
    assert team.ran(colleague.dvc("repro")) == team.FROM_GEOMETRY
    shutil.copy(colleague.root / "dvc.lock", owner.root / "dvc.lock")
    owner.dvc("checkout", "--force")
    assert owner.files() == colleague.files() != first_run.files()

    objects = team.objects(cache)
    assert {path.stat().st_uid for path in objects.values()} == {OWNER, COLLEAGUE}
    assert {path.stat().st_gid for path in objects.values()} == {GROUP}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o444 for path in objects.values())
    assert team.wrong(cache) == []
    inodes = {path.stat().st_ino for path in objects.values()}
    for member in (owner, colleague):  # links: nothing is there twice
        (relink,) = said("dvc checkout --relink")
        member.run(*relink)
        assert {(member.root / name).stat().st_ino for name in member.files()} <= inodes
        assert member.files() == owner.files()


def test_who_is_not_of_the_group_can_add_nothing(origin, disk, cache):
    stranger = Member(disk / "c", STRANGER, OTHERS)
    stranger.clone(origin)
    stranger.use(cache)
    assert "Permission denied" in stranger.dvc("repro", fails=True)
    assert list(cache.rglob("*")) == []
