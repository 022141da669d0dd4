"""Files of weights: what safetensors and torch wrote is read to the bit, and whatever is hostile or damaged runs nothing.

To add a hostile file: a function that writes it and its name in `BAD_SAFETENSORS`, `BAD_BINS` or `CALLS`.
"""

import collections
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from figureground.errors import WeightsError
from figureground.inference.tensors import read

ARRAYS = {
    "plain": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "double": np.linspace(0, 1, 7),
    "half": np.array([1.5, -2], np.float16),
    "count": np.array(3, np.int64),
    "none": np.zeros((0, 4), np.float32),
}


def same(found, wanted):
    assert set(found) == set(wanted)
    assert len(found) == len(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(found[name], array)


def test_safetensors(tmp_path):
    save_file(ARRAYS, tmp_path / "model.safetensors")
    same(read(tmp_path / "model.safetensors"), ARRAYS)


def test_a_bin_of_torchs(tmp_path):
    state = collections.OrderedDict((name, torch.from_numpy(array.copy())) for name, array in ARRAYS.items())
    torch.save(state, tmp_path / "pytorch_model.bin")
    same(read(tmp_path / "pytorch_model.bin"), ARRAYS)


def test_a_bin_of_views(tmp_path):
    whole = torch.arange(60.0).reshape(5, 12)
    state = {"turned": whole.T, "row": whole[2], "every other": whole[1:, ::2], "again": whole}
    torch.save(state, tmp_path / "pytorch_model.bin")
    same(read(tmp_path / "pytorch_model.bin"), {name: tensor.numpy() for name, tensor in state.items()})


def test_a_modules_state_with_its_metadata(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    same(read(tmp_path / "pytorch_model.bin"), {name: tensor.numpy() for name, tensor in module.state_dict().items()})


def test_unknown_names_are_a_key_error(tmp_path):
    save_file(ARRAYS, tmp_path / "model.safetensors")
    with pytest.raises(KeyError):
        read(tmp_path / "model.safetensors")["other"]


def safetensors(header, data=b"", length=None):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin, end, kind="F32", shape=(2,)):
    return {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}


BAD_SAFETENSORS = {
    "empty": b"",
    "a header of 2^63 bytes": safetensors({}, length=1 << 63),
    "a header beyond the end": safetensors({}, length=1 << 20),
    "no JSON": struct.pack("<Q", 4) + b"{{{{",
    "overlapping": safetensors({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "beyond the end": safetensors({"a": entry(0, 8)}, bytes(4)),
    "a shape of another size": safetensors({"a": entry(0, 8, shape=(3,))}, bytes(8)),
    "a huge shape": safetensors({"a": entry(0, 8, shape=(1 << 62, 8))}, bytes(8)),
    "an unknown kind": safetensors({"a": entry(0, 8, "X9")}, bytes(8)),
    "a kind that is not read": safetensors({"a": entry(0, 4, "BF16")}, bytes(4)),
    "something appended": safetensors({"a": entry(0, 8)}, bytes(8) + pickle.dumps([1])),
}


@pytest.mark.parametrize("name", BAD_SAFETENSORS)
def test_damaged_safetensors_are_refused_at_once(tmp_path, name):
    refused(tmp_path / "model.safetensors", BAD_SAFETENSORS[name])


def refused(path, body):
    path.write_bytes(body)
    start = time.monotonic()
    with pytest.raises(WeightsError) as error:
        dict(read(path))
    assert time.monotonic() - start < 5  # a header of 2^63 bytes is not read
    assert error.value.code == "model_corrupt"
    assert str(path) in str(error.value)
    assert "fetch it again" in str(error.value)


class Run:
    """Pickles as a call."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


class Kept:
    """Pickles as torch does what lies in a file of its own."""

    def __init__(self, *pid):
        self.pid = pid


class Pickler(pickle.Pickler):
    def persistent_id(self, what):
        return what.pid if isinstance(what, Kept) else None


def archive(pickled, compression=zipfile.ZIP_STORED, **parts):
    """torch's archive of `pickled` (bytes, or what shall be pickled) and other parts, `data_0=b""`."""
    if not isinstance(pickled, bytes):
        out = io.BytesIO()
        Pickler(out, 2).dump(pickled)
        pickled = out.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, body in ({"data.pkl": pickled} | parts).items():
            file.writestr(f"archive/{name.replace('_', '/')}", body)
    return out.getvalue()


def tensor(offset=0, shape=(2,), strides=(1,), count=2, kind=torch.FloatStorage, key="0"):
    return Run(torch._utils._rebuild_tensor_v2, Kept("storage", kind, key, "cpu", count), offset, shape, strides, False, None)


NESTED = b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"K\x01s."
"""A dict whose key is a tuple of tuples that hold one another twice: hashing it takes 2^60 steps."""


def other_archive():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("holiday/photo.txt", "not a photo")
    return out.getvalue()


TWO = bytes(8)
BAD_BINS = {
    "empty": b"",
    "no archive": pickle.dumps({"a": 1}),
    "an archive that is no checkpoint": other_archive(),
    "a pickle cut short": archive(pickle.dumps({"a": 1}, 2)[:-4]),
    "another pickle protocol": archive(pickle.dumps({"a": [1, {2}]}, 4)),
    "no dict": archive(b"\x80\x02K\x01."),
    "no tensors": archive({"a": 1}),
    "no names": archive({1: tensor()}, data_0=TWO),
    "nothing": archive({}),
    "names that take for ever to hash": archive(NESTED),
    "a storage that is missing": archive({"a": tensor()}),
    "a storage that is too short": archive({"a": tensor()}, data_0=bytes(4)),
    "a storage that is too long": archive({"a": tensor()}, data_0=bytes(12)),
    "a compressed storage": archive({"a": tensor()}, zipfile.ZIP_DEFLATED, data_0=TWO),
    "beyond its storage": archive({"a": tensor(offset=1)}, data_0=TWO),
    "strides beyond its storage": archive({"a": tensor(strides=(2,))}, data_0=TWO),
    "a shape without end": archive({"a": tensor(shape=(1 << 39,), strides=(0,))}, data_0=TWO),
    "a negative offset": archive({"a": tensor(offset=-1)}, data_0=TWO),
    "a shape of words": archive({"a": tensor(shape=("two",))}, data_0=TWO),
    "fewer strides than dimensions": archive({"a": tensor(strides=())}, data_0=TWO),
    "no storage": archive({"a": Run(torch._utils._rebuild_tensor_v2, 7, 0, (2,), (1,), False, None)}),
    "a storage of an unknown kind": archive({"a": tensor(kind=torch.BoolStorage)}, data_0=TWO),
    "a storage that is no class": archive({"a": tensor(kind="Float")}, data_0=TWO),
    "a storage elsewhere": archive({"a": tensor(key="../data.pkl")}, data_0=TWO),
    "room for 2^32 notes": archive(b"\x80\x02}r\xff\xff\xff\xffK\x01" + b"."),
    "big-endian numbers": archive({"a": tensor()}, data_0=TWO, byteorder=b"big"),
    "a class that is called": archive(b"\x80\x02ctorch\nFloatStorage\n)R."),
}


@pytest.mark.parametrize("name", BAD_BINS)
def test_damaged_bins_are_refused_at_once(tmp_path, name):
    refused(tmp_path / "pytorch_model.bin", BAD_BINS[name])


def canary(path):
    return f"{sys.executable} -c \"open(r'{path}', 'w')\""


CALLS = {
    "a shell": lambda path: Run(os.system, canary(path)),
    "a process": lambda path: Run(subprocess.check_call, [sys.executable, "-c", f"open(r'{path}', 'w')"]),
    "eval": lambda path: Run(eval, f"open(r'{path}', 'w')"),
    "open": lambda path: Run(open, str(path), "w"),
    "torch.load": lambda path: Run(torch.load, str(path)),
    "another of torch's names": lambda path: Run(torch._utils._rebuild_parameter, None, True, None),
    "getattr": lambda path: Run(getattr, collections.OrderedDict, "__init__"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_hostile_pickle_runs_nothing(tmp_path, name, wrapped):
    path = tmp_path / "canary"
    hostile = CALLS[name](path)
    refused(tmp_path / "pytorch_model.bin", archive({"a": tensor(), "b": hostile} if wrapped else hostile, data_0=TWO))
    assert not path.exists()


def test_the_canary_sings(tmp_path):
    """The same pickle does run where nothing refuses it."""
    pickle.loads(pickle.dumps(CALLS["a shell"](tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def test_a_pickle_cannot_change_what_stands_for_torchs_names(tmp_path):
    for name in (b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"):
        body = b"\x80\x02" + name + b"(N}X\x08\x00\x00\x00__call__K\x01stb."
        refused(tmp_path / "pytorch_model.bin", archive(body))
    test_a_bin_of_views(tmp_path)


def test_one_flipped_bit_is_noticed(tmp_path):
    torch.save({"a": torch.ones(1000)}, tmp_path / "whole.bin")
    body = bytearray((tmp_path / "whole.bin").read_bytes())
    body[body.index(np.ones(1000, np.float32).tobytes()) + 500] ^= 1
    refused(tmp_path / "pytorch_model.bin", bytes(body))
