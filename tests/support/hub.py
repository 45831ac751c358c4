"""A Hub of datasets in a folder: what `huggingface_hub` asks of the real one, over HTTP on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

MAIN, TOKEN = "main", "hf_of_a_test"


@contextmanager
def local_hub(root: Path, patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """While it lasts `huggingface_hub` talks to this one. `root/owner/name/revision/...` has what is on it."""

    class Handler(_Handler):
        folder = root

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        patch.setattr("huggingface_hub.constants.ENDPOINT", url)
        patch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        patch.setattr("huggingface_hub.hf_api.api.endpoint", url)  # of its functions, from when it was imported
        patch.setenv("HF_TOKEN", TOKEN)
        # A card is sent to huggingface.co itself, whatever the endpoint.
        patch.setattr("huggingface_hub.repocard.RepoCard.validate", lambda *_, **__: None)
        try:
            yield root
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    folder: Path

    def do_POST(self) -> None:  # so the library calls it
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "who are you?"})
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self._parts()
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            (self.folder / name / MAIN).mkdir(parents=True, exist_ok=True)
            (self.folder / name / "visibility").write_text(asked.get("visibility", ""))
            self._answer(200, {"url": f"http://{self.headers['Host']}/datasets/{name}", "name": name})
        elif parts[1] == "validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif parts[4] == "preupload":
            files = [{"path": it["path"], "uploadMode": "regular", "shouldIgnore": False} for it in _files(body)]
            self._answer(200, {"files": files})
        elif parts[4] == "commit":
            for line in body.splitlines():
                self._commit(json.loads(line), self._repo(parts) / MAIN)
            url = f"http://{self.headers['Host']}/datasets/{parts[2]}/{parts[3]}/commit/{'1' * 40}"
            self._answer(200, {"commitUrl": url, "commitOid": "1" * 40})
        else:
            shutil.copytree(self._repo(parts) / MAIN, self._repo(parts) / json.loads(body)["tag"])
            self._answer(200, {})

    def do_DELETE(self) -> None:
        self._answer(404, {"error": "there is no such tag"}, {"X-Error-Code": "RevisionNotFound"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self._parts()
        if parts[0] == "datasets":  # /datasets/owner/name/resolve/revision/path
            path = self.folder.joinpath(parts[1], parts[2], parts[4], *parts[5:])
            self._file(path)
        elif len(parts) < 5:
            self._answer(404, {"error": f"{self.path}: not here"})
        elif parts[4] == "refs":
            names = [path.name for path in self._repo(parts).iterdir() if path.is_dir()]
            refs = [{"name": name, "ref": f"refs/{name}", "targetCommit": "1" * 40} for name in names]
            self._answer(200, {"branches": refs, "tags": [], "converts": []})
        elif parts[4] == "tree":
            self._answer(
                200, [{"type": "file", "size": 1, "oid": "1" * 40, "path": name} for name in self._names(parts)]
            )
        else:
            siblings = [{"rfilename": name} for name in self._names(parts)]
            about = {"id": "/".join(parts[2:4]), "sha": parts[5], "siblings": siblings, "tags": [], "private": True}
            self._answer(200, about | {"downloads": 0, "likes": 0})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Not into the test's output."""

    def _parts(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _repo(self, parts: list[str]) -> Path:
        """/api/datasets/owner/name/..."""
        return self.folder / parts[2] / parts[3]

    def _names(self, parts: list[str]) -> list[str]:
        revision = self._repo(parts) / (parts[5] if len(parts) > 5 else MAIN)
        return [str(path.relative_to(revision)) for path in revision.rglob("*") if path.is_file()]

    @staticmethod
    def _commit(line: dict[str, Any], revision: Path) -> None:
        if line["key"] == "file":
            path = revision / line["value"]["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(line["value"]["content"]))

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._answer(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound"})
            return
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._send(200, content, {"ETag": etag, "X-Repo-Commit": "1" * 40, "Content-Type": "application/octet-stream"})

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _files(body: bytes) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads(body)["files"]
    return files
