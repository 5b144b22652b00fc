"""A model hub on loopback: enough of the API for huggingface_hub to list and download folders, and to be refused."""

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from versat2i.work import fingerprint

REVISION = "0123456789abcdef0123456789abcdef01234567"  # of every repository
API = re.compile(r"^/api/models/(?P<repo>[^/]+/[^/]+)/(?P<what>revision|tree)/(?P<revision>[^/]+)$")
FILE = re.compile(r"^/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)$")


class Hub(http.server.ThreadingHTTPServer):
    """``with Hub({"owner/name": folder}) as hub``: clients are told `environment`.

    Attributes:
        repos: folders by repository.
        gated: repositories whose licence must be accepted.
        broken: repositories that are answered with 503.
        silent: repositories about which the connection is dropped.
        files: (repository, file) of each download.
    """

    daemon_threads = True

    def __init__(
        self,
        repos: dict[str, Path],
        gated: tuple[str, ...] = (),
        broken: tuple[str, ...] = (),
        silent: tuple[str, ...] = (),
    ) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.repos, self.gated, self.broken, self.silent = repos, gated, broken, silent
        self.files: list[tuple[str, str]] = []

    def __enter__(self) -> "Hub":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def environment(self, home: Path) -> dict[str, str]:
        """Of a process that uses this hub, and keeps what it downloads in a folder of its own."""
        off = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0"}
        # stages that tests run in this process switch progress bars off in its environment
        inherited = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_PROGRESS_BARS"}
        return inherited | off | {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *words: object) -> None:
        pass

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/octet-stream"} | headers
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, message.encode(), X_Error_Code=code, X_Error_Message=message)

    def _allowed(self, repo: str, revision: str) -> bool:
        """Whether a repository may be read; else the refusal is sent."""
        if repo in self.server.silent:
            self.close_connection = True
        elif repo in self.server.broken:
            self._refuse(503, "", "Service Unavailable")
        elif repo not in self.server.repos:
            self._refuse(401, "RepoNotFound", "Repository not found")
        elif repo in self.server.gated:
            self._refuse(403, "GatedRepo", f"Access to model {repo} is restricted")
        elif revision != REVISION:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return True
        return False

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := API.match(path):
            if self._allowed(found["repo"], found["revision"]):
                listed = getattr(self, f"_{found['what']}")(found["repo"])
                self._send(200, json.dumps(listed).encode(), Content_Type="application/json")
        elif found := FILE.match(path):
            if self._allowed(found["repo"], found["revision"]):
                self._file(found["repo"], found["file"])
        else:
            self._refuse(404, "", f"no such page: {path}")

    do_HEAD = do_GET

    def _paths(self, repo: str) -> dict[str, Path]:
        folder = self.server.repos[repo]
        return {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}

    def _revision(self, repo: str) -> dict:
        siblings = [{"rfilename": name} for name in self._paths(repo)]
        return {"id": repo, "modelId": repo, "sha": REVISION, "private": False, "tags": [], "siblings": siblings}

    def _tree(self, repo: str) -> list[dict]:
        return [
            {"type": "file", "path": name, "size": path.stat().st_size, "oid": _hash(path.read_bytes())}
            for name, path in self._paths(repo).items()
        ]

    def _file(self, repo: str, name: str) -> None:
        path = self._paths(repo).get(name)
        if path is None:
            self._refuse(404, "EntryNotFound", f"{name} does not exist")
            return
        data = path.read_bytes()
        if self.command == "GET":
            self.server.files.append((repo, name))
        self._send(200, data, ETag=f'"{_hash(data)}"', X_Repo_Commit=REVISION)


def _hash(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def run(program: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess:
    """Run Python code in a process of its own: hub libraries read their environment when they are imported."""
    paths = os.pathsep.join([str(fingerprint.ROOT), str(fingerprint.ROOT / "tests")])
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=environment | {"PYTHONPATH": paths}, cwd=folder, capture_output=True, text=True, check=False
    )
