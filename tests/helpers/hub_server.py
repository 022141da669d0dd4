"""A server shaped like the hub, on this machine, with faults to order; and a small SegFormer for it to serve.

To add a fault: a word in `FAULTS`, what the server does then, and a row in the tables of test_hub.py.
"""

import contextlib
import functools
import hashlib
import http.server
import json
import threading
import types
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np

FAULTS = ("altered", "cut", "gated", "status 500", "silent", "no hash", "not a hub", "dies after the config", "no discussions")

Files = dict[str, bytes]


@dataclass
class Hub:
    """What is served: `models[id][revision][file]`; `bots[id]` are the pull requests of the hub's bot, `asked` the log."""

    models: dict[str, dict[str, Files]]
    fault: str = ""
    bots: dict[str, list[int]] = field(default_factory=dict)
    strangers: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)

    def blob(self, digest: str) -> bytes | None:
        files = [body for revisions in self.models.values() for kept in revisions.values() for body in kept.values()]
        return next((body for body in files if hashlib.sha256(body).hexdigest() == digest), None)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *args: object) -> None:
        self.hub = hub
        super().__init__(*args)

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        path = urllib.parse.urlsplit(self.path).path
        if self.hub.fault == "silent":
            self.hub.stopped.wait(30)
            self.close_connection = True
        elif self.hub.fault == "status 500" or (self.hub.fault == "dies after the config" and "config" not in path):
            self._answer(500, b"broken")
        elif self.hub.fault == "not a hub":
            self._answer(200, b"<html>Please log in to this network</html>")
        elif path.startswith("/cdn/"):
            self._blob(path.removeprefix("/cdn/"))
        elif path.startswith("/api/models/"):
            self._api(*path.removeprefix("/api/models/").split("/", 2))
        elif path.startswith("/api/"):  # huggingface_hub asks for things of its own
            self._answer(404, b"")
        else:
            owner, name, _, revision, file = path.lstrip("/").split("/", 4)
            self._file(f"{owner}/{name}", urllib.parse.unquote(revision), file)

    def _file(self, model: str, revision: str, file: str) -> None:
        revisions = self.hub.models.get(model)
        if self.hub.fault == "gated":
            self._answer(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": f"Access to {model} is restricted"})
        elif revisions is None:
            self._answer(401, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif revision not in revisions:
            self._answer(404, b"", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        elif file not in revisions[revision]:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": _commit(model, revision)})
        else:
            self._found(revisions[revision][file], file, _commit(model, revision))

    def _found(self, body: bytes, file: str, commit: str) -> None:
        """A small file itself; a large one by the address of its content, with its SHA-256."""
        large = file.endswith((".safetensors", ".bin", ".onnx"))
        digest = hashlib.sha256(body).hexdigest()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(body).hexdigest()}"'}  # noqa: S324  (git's own)
        if not large:
            self._answer(200, body, headers)
            return
        other = self.hub.url.replace("127.0.0.1", "localhost")  # contents lie on another host than the hub itself
        tag = "d41d8cd98f00b204" if self.hub.fault == "no hash" else digest
        headers |= {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(body)), "Location": f"{other}/cdn/{digest}"}
        self._answer(302, b"", headers)

    def _blob(self, digest: str) -> None:
        body = self.hub.blob(digest) or b""
        if self.hub.fault == "altered":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.hub.fault == "cut":
            self.close_connection = True
            self._answer(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
            return
        self._answer(200, body)

    def _api(self, owner: str, name: str, rest: str = "") -> None:
        model = f"{owner}/{name}"
        if rest != "discussions" or self.hub.fault == "no discussions":
            self._answer(404, b"")
            return
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        wrote = [(number, "SFconvertbot") for number in self.hub.bots.get(model, [])]
        wrote += [(number, "stranger") for number in self.hub.strangers.get(model, [])]
        found = [_discussion(model, *one) for one in wrote if one[1] == query.get("author", [one[1]])[0]]
        self._answer(200, json.dumps({"discussions": found, "count": len(found), "start": 0}).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _commit(model: str, revision: str) -> str:
    return hashlib.sha1(f"{model} {revision}".encode()).hexdigest()  # noqa: S324


def _discussion(model: str, number: int, author: str) -> dict[str, object]:
    return {
        "title": "Adding `safetensors` variant of this model",
        "num": number,
        "author": {"name": author},
        "createdAt": "2023-01-01T00:00:00.000Z",
        "status": "open",
        "repo": {"name": model, "type": "model"},
        "isPullRequest": True,
    }


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at `hub.url` for as long as the block lasts. Its client does not wait before it tries again."""
    from huggingface_hub import file_download

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, hub))
    server.daemon_threads, server.block_on_close = True, False
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with mock.patch.object(file_download, "time", types.SimpleNamespace(sleep=lambda seconds: None)):
            yield hub
    finally:
        hub.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


COLORS = {"wall": (90, 90, 90), "sky": (40, 120, 250), "grass": (30, 160, 40), "person": (220, 60, 60)}
"""What the small SegFormer knows: plain colours."""


def drawn(seed: int, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A picture of rectangles in the four colours, with noise, (S, S, 3) uint8, and the index of each pixel's colour."""
    random = np.random.default_rng(seed)
    labels = np.full((side, side), random.integers(4))
    for kind in random.permutation(4):
        y, x = random.integers(0, side // 2, 2)
        labels[y : y + side // 2, x : x + side // 2] = kind
    colors = np.array(list(COLORS.values()))[labels] + random.normal(0, 8, (side, side, 3))
    return np.clip(colors, 0, 255).astype(np.uint8), labels


@functools.cache
def tiny(names: tuple[str, ...], steps: int = 40):
    """A small SegFormer of these classes, trained for a moment to tell the four colours (a transformers model)."""
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    config = SegformerConfig(
        depths=[1, 1, 2, 1], hidden_sizes=[16, 16, 24, 32], num_attention_heads=[1, 2, 3, 4], decoder_hidden_size=32,
        mlp_ratios=[2, 2, 2, 2], drop_path_rate=0.0, classifier_dropout_prob=0.0, id2label=dict(enumerate(names)),
    )  # fmt: skip
    model = SegformerForSemanticSegmentation(config).train()
    index = np.array([names.index(name) for name in COLORS])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network only waits for a second one
    labeled_images = [drawn(number) for number in range(64)]
    pictures = torch.stack([_normal(torch.from_numpy(rgb)) for rgb, _ in labeled_images])
    labels = torch.from_numpy(index[np.stack([kinds[2::4, 2::4] for _, kinds in labeled_images])])  # at the size of the logits
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(steps):
        batch = slice(step * 8 % 64, step * 8 % 64 + 8)
        loss = torch.nn.functional.cross_entropy(model(pictures[batch]).logits, labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return model.eval()


def _normal(rgb):
    import torch

    return ((rgb / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])).permute(2, 0, 1)


def save(folder: Path, names: tuple[str, ...], *, binary: bool = False, steps: int = 40) -> Files:
    """The small SegFormer as a checkpoint in `folder`, with safetensors or torch's .bin; also its files by name."""
    import torch

    model = tiny(names, steps)
    model.save_pretrained(folder)
    if binary:
        from safetensors.torch import load_file

        weights = folder / "model.safetensors"
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": 64, "reduce_labels": True, "resample": 2}))
    (folder / "README.md").write_text("---\nlicense: mit\ntags: [vision]\n---\n# A small SegFormer\n")
    return {path.name: path.read_bytes() for path in folder.iterdir()}
