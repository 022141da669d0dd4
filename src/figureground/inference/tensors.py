"""Read tensors as data: safetensors, and torch's .bin by an unpickler that can build nothing else.

`read` gives a mapping that reads a tensor when it is asked for. To admit another file format: a mapping class here, its
suffix in `read`, and its hostile files in tests/inference/test_tensors.py.
"""

import math
import pickle  # only for the subclass below, which refuses whatever it does not know
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground.errors import WeightsError

Array = NDArray[Any]


def read(path: Path) -> Mapping[str, Array]:
    """Return the tensors of a .safetensors or .bin file by name, each read when it is asked for.

    Raises WeightsError, here or when asked for a tensor, where the file is damaged, of another format, or holds anything
    but tensors; nothing of what it holds is ever run.
    """
    try:
        return _Safetensors(path) if path.suffix == ".safetensors" else _Bin(path)
    except Exception as error:  # whatever a damaged file makes the readers stumble over is the file's fault
        raise _corrupt(path, error) from error


def _corrupt(path: Path, error: object) -> WeightsError:
    return WeightsError(
        f"'{path}' is not a valid file of weights ({error}); remove it and fetch it again, or name another checkpoint",
        code="model_corrupt",
    )


class _TensorFile(Mapping[str, Array]):
    """The base of both formats: names, and errors that name the file."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self.path, self.names = path, names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> Array:
        if name not in self.names:
            raise KeyError(name)
        try:
            return self.load(name)
        except Exception as error:  # as in `read`
            raise _corrupt(self.path, error) from error

    def load(self, name: str) -> Array:
        """Return a tensor that the file names."""
        raise NotImplementedError


class _Safetensors(_TensorFile):
    """A safetensors file; its library checks bounds, overlaps and sizes."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        opened: Any = safe_open  # the library has no types
        self.file = opened(path, framework="numpy")
        super().__init__(path, list(self.file.keys()))

    def load(self, name: str) -> Array:
        kind = self.file.get_slice(name).get_dtype()
        if kind not in _SAFE_KINDS:
            raise ValueError(f"'{name}' has numbers of kind {kind}, but only {', '.join(_SAFE_KINDS)} are read")
        tensor: Array = self.file.get_tensor(name)
        return tensor


_SAFE_KINDS = ["F16", "F32", "F64", "I64"]
_BIN_KINDS = {"HalfStorage": "<f2", "FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8"}
_MOST = 1 << 24  # bytes of the pickled part, which has only names and shapes: a few hundred kilobytes


class _Bin(_TensorFile):
    """torch.save's zip archive of a state dict: names and shapes pickled, each storage a stored file of plain numbers."""

    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)
        pickled = [name for name in self.file.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise ValueError(f"expected one data.pkl, but got {len(pickled)}")
        self.folder = pickled[0].removesuffix("data.pkl")
        if f"{self.folder}byteorder" in self.file.namelist() and self._bytes("byteorder", 6) != b"little":
            raise ValueError("its numbers are big-endian")
        with self.file.open(self._entry("data.pkl", _MOST)) as stream:
            content = _Unpickler(stream).load()
        if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
            raise ValueError("expected tensors by name")
        self.tensors = {name: tensor for name, tensor in content.items() if isinstance(tensor, _Tensor)}
        if len(self.tensors) != len(content) or not content:
            raise ValueError("expected tensors by name and nothing else")
        super().__init__(path, list(self.tensors))

    def load(self, name: str) -> Array:
        storage, offset, shape, strides = self.tensors[name].checked()
        dtype = np.dtype(_BIN_KINDS[storage.kind])
        numbers = np.frombuffer(self._bytes(f"data/{storage.key}", storage.numbers * dtype.itemsize), dtype)
        if len(numbers) != storage.numbers:
            raise ValueError(f"'{name}' should have {storage.numbers} numbers, but {len(numbers)} are stored")
        steps = [step * dtype.itemsize for step in strides]
        return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps).copy()

    def _bytes(self, name: str, most: int) -> bytes:
        return self.file.read(self._entry(name, most))

    def _entry(self, name: str, most: int) -> zipfile.ZipInfo:
        """Return a file of the archive, neither compressed (torch never does) nor larger than `most` bytes."""
        entry = self.file.getinfo(self.folder + name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > most:
            raise ValueError(f"its part '{name}' is compressed, or larger than {most} bytes")
        return entry


class _Kind(NamedTuple):
    """A stand-in for a storage class; it is never called."""

    name: str


class _Storage(NamedTuple):
    kind: str
    key: str
    numbers: int


class _Tensor(NamedTuple):
    """The arguments of torch._utils._rebuild_tensor_v2; they are checked before an array is made."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any

    def checked(self) -> tuple[_Storage, int, tuple[int, ...], tuple[int, ...]]:
        """Check the four for their types and for staying within the storage, and return them; raises ValueError."""
        storage, offset, shape, strides = self
        whole = [offset, *shape, *strides]
        if not isinstance(storage, _Storage) or not all(type(n) is int and 0 <= n < 1 << 40 for n in whole):
            raise ValueError("a tensor's storage, offset, shape or strides are invalid")
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if math.prod(shape) > storage.numbers or last >= max(storage.numbers, 1):
            raise ValueError("a tensor reaches beyond its storage")
        return storage, offset, tuple(shape), tuple(strides)


class _Names(dict[str, Any]):
    """A dict whose keys must be names, because hashing nested pickled data could take forever."""

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise pickle.UnpicklingError("it has a dict whose keys are not names")
        super().__setitem__(key, value)


class _New:
    """A stand-in for collections.OrderedDict, as torch calls it, without attributes that a pickle could set."""

    __slots__ = ()

    def __call__(self) -> _Names:
        return _Names()


class _Rebuild:
    """A stand-in for torch._utils._rebuild_tensor_v2, without attributes that a pickle could set."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        return _Tensor(storage, offset, shape, strides)


_OPCODES = re.findall(
    r"\S+",
    "PROTO STOP MARK GLOBAL REDUCE BUILD BINPERSID SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 BINUNICODE"
    " BININT BININT1 BININT2 LONG1 NONE NEWTRUE NEWFALSE BINPUT BINGET LONG_BINPUT LONG_BINGET",
)  # protocol 2 as torch writes it, and EMPTY_DICT


class _Unpickler(pickle._Unpickler):
    """An unpickler that allows only the names and opcodes of a state dict of tensors.

    In Python, since C's would make room for 2³² memo entries at a file's word.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _New()
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Rebuild()
        if module == "torch" and name in _BIN_KINDS:
            return _Kind(name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no file of weights needs")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return a storage by its kind, the name of its file and how many numbers it holds."""
        word, kind, key, _, count = pid
        if word != "storage" or not isinstance(kind, _Kind) or not str(key).isalnum() or type(count) is not int:
            raise pickle.UnpicklingError("it names an invalid storage")
        return _Storage(kind.name, str(key), count)

    def _new_names(self) -> None:
        self.append(_Names())  # type: ignore[attr-defined]

    dispatch: ClassVar = {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES}
    dispatch[pickle.EMPTY_DICT[0]] = _new_names  # type: ignore[assignment]
