"""Runtimes, precisions and devices: the same answers, nothing replaced in silence, and no word to the network."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from figureground import _machine
from figureground._machine import cores
from figureground.errors import MissingExtra, UsageError, WeightsError
from figureground.inference import onnxruntime
from figureground.inference import session as session_module
from figureground.inference.onnxruntime import weight_bits
from figureground.inference.session import LARGE, QUICK, Choice, choose, devices, session
from figureground.settings import Settings

SMALL = Path(str(files("figureground").joinpath("assets/saliency.onnx")))
X = np.random.default_rng(0).random((1, 3, 256, 256), np.float32)
BOTH = pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])


def of(tmp_path, **changes):
    return Settings(cache=tmp_path / "cache", **changes)


@pytest.fixture
def without_openvino(monkeypatch):
    real = session_module.find_spec
    monkeypatch.setattr(session_module, "find_spec", lambda name: None if name == "openvino" else real(name))


def test_auto_takes_what_pays_and_what_is_there(tmp_path):
    assert choose(of(tmp_path, threads=3), QUICK) == Choice("onnxruntime", "CPUExecutionProvider", "fp32", 3)
    assert choose(of(tmp_path), LARGE) == Choice("openvino", "CPU", "fp32", cores())
    assert choose(of(tmp_path, runtime="onnxruntime"), LARGE).runtime == "onnxruntime"
    assert choose(of(tmp_path, runtime="openvino"), QUICK).runtime == "openvino"


def test_without_openvino_auto_takes_onnxruntime(tmp_path, without_openvino):
    assert choose(of(tmp_path), LARGE).runtime == "onnxruntime"


@pytest.mark.parametrize("wanted", [{"runtime": "openvino"}, {"precision": "bf16"}])
def test_without_openvino_asking_for_it_is_an_error(tmp_path, without_openvino, wanted):
    with pytest.raises(MissingExtra, match=r"(openvino|bf16).*figureground\[fast\]") as error:
        choose(of(tmp_path, **wanted))
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"device": "cuda"}, "device 'cuda' is not available: onnxruntime has cpu; openvino has cpu"),
        ({"device": "GPU.7"}, "device 'GPU.7' is not available"),
        ({"device": ""}, "device '' is not available"),
        ({"device": "azure"}, "device 'azure' is not available"),
        ({"device": "cuda", "runtime": "onnxruntime"}, "onnxruntime has cpu; name one"),
        ({"runtime": "onnxruntime", "precision": "bf16"}, "'onnxruntime' does not compute in bf16"),
        ({"runtime": "openvino", "precision": "int8"}, "'openvino' does not compute in int8"),
        ({"precision": "int8"}, "int8 gains nothing in so small a network"),
    ],
)
def test_what_is_not_here_is_refused(tmp_path, wanted, words):
    with pytest.raises(UsageError, match=words):
        session(SMALL, of(tmp_path, **wanted))


def test_bf16_is_refused_where_the_processor_has_none(tmp_path, monkeypatch):
    class Core:
        available_devices = ("CPU",)

        def get_property(self, *_):
            return ["FP32", "INT8"]

    monkeypatch.setattr("figureground.inference.openvino._core", Core)
    with pytest.raises(UsageError, match=r"CPU has no bf16 \(it has FP32, INT8\)"):
        choose(of(tmp_path, precision="bf16"))
    assert choose(of(tmp_path, runtime="openvino")).precision == "fp32"


def test_int8_is_refused_on_another_device(tmp_path, monkeypatch):
    monkeypatch.setattr(onnxruntime, "devices", lambda: {"cuda": "CUDAExecutionProvider"})
    assert choose(of(tmp_path, device="CUDA", runtime="onnxruntime")).device == "CUDAExecutionProvider"
    assert choose(of(tmp_path, device="cudaexecutionprovider", runtime="onnxruntime")).device == "CUDAExecutionProvider"
    with pytest.raises(UsageError, match="int8 is for the processor"):
        choose(of(tmp_path, device="cuda", precision="int8"), LARGE)


def test_a_device_that_does_not_open_is_an_error(tmp_path, monkeypatch):
    real = onnxruntime._session
    monkeypatch.setattr(onnxruntime, "devices", lambda: {"cuda": "CUDAExecutionProvider"})
    monkeypatch.setattr(onnxruntime, "_session", lambda graph, threads, _: real(graph, threads, "CPUExecutionProvider"))
    with pytest.raises(UsageError, match="CUDAExecutionProvider cannot be opened"):
        session(SMALL, of(tmp_path, device="cuda"))


def test_short_names_of_providers(monkeypatch):
    class Fake:
        @staticmethod
        def get_available_providers():
            return ["CUDAExecutionProvider", "CoreMLExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "_runtime", Fake)
    assert devices("onnxruntime") == {
        "cpu": "CPUExecutionProvider", "coreml": "CoreMLExecutionProvider", "cuda": "CUDAExecutionProvider",
    }  # fmt: skip


def test_the_runtimes_agree(tmp_path):
    one, other = (session(SMALL, of(tmp_path, runtime=name)) for name in ("onnxruntime", "openvino"))
    assert one.shape == other.shape == (1, 3, -1, -1)
    assert np.abs(one(X) - other(X)).max() < 1e-4


def test_openvino_computes_in_fp32_unless_told_otherwise(tmp_path):
    """Where the processor has bf16, openvino takes it by itself: the answers would be a hundred times further apart."""
    exact = session(SMALL, of(tmp_path, runtime="onnxruntime"))(X)
    try:
        coarse = session(SMALL, of(tmp_path, precision="bf16"))(X)
    except UsageError:
        pytest.skip("this processor has no bf16")
    assert 1e-4 < np.abs(coarse - exact).max() < 0.2
    assert np.abs(coarse - exact).mean() < 0.01


def products():
    """relu(x · A) · B of random matrices, as an ONNX graph: (4, 64) → (4, 32)."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    matrices = [random.normal(size=(64, n)).astype(np.float32) for n in (64, 32)]
    steps = [("MatMul", ["x", "a"], ["p"]), ("Relu", ["p"], ["q"]), ("MatMul", ["q", "b"], ["y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, n]) for name, n in (("x", 64), ("y", 32))]
    weights = [numpy_helper.from_array(matrix, name) for matrix, name in zip(matrices, "ab", strict=True)]
    graph = helper.make_graph([helper.make_node(*step) for step in steps], "g", values[:1], values[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


def test_int8_is_near_and_kept(tmp_path, caplog):
    settings, graph, x = of(tmp_path, precision="int8"), products(), np.random.default_rng(1).random((4, 64), np.float32)
    coarse, exact = session(graph, settings, LARGE)(x), session(graph)(x)
    assert 0.0005 < np.linalg.norm(coarse - exact) / np.linalg.norm(exact) < 0.03
    assert not caplog.records
    [kept] = (settings.cache / "int8").glob("*.onnx")
    assert kept.stat().st_size < len(graph) / 2
    first = kept.stat().st_mtime_ns
    (tmp_path / "g.onnx").write_bytes(graph)
    assert np.array_equal(session(tmp_path / "g.onnx", settings, LARGE)(x), coarse)
    assert kept.stat().st_mtime_ns == first
    elsewhere = Settings(cache=tmp_path / "g.onnx", precision="int8")  # a file, where nothing can be kept
    assert np.array_equal(session(graph, elsewhere, LARGE)(x), coarse)


@pytest.mark.parametrize(
    ("features", "bits"),
    [
        (("avx2",), 7),
        (("avx2", "avx512f"), 7),
        (("avx2", "avx_vnni"), 8),
        (("avx2", "avx512_vnni"), 8),
        (("asimddp",), 8),
        ((), 8),
    ],
)
def test_weights_have_a_bit_less_where_products_would_overflow(features, bits):
    assert weight_bits(features) == bits


@BOTH
def test_several_threads_at_once(tmp_path, runtime):
    run = session(SMALL, of(tmp_path, runtime=runtime, threads=1))
    pictures = [X * (n / 8) for n in range(8)]
    wanted = [run(x) for x in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, pictures))
    assert all(np.array_equal(*pair) for pair in zip(found, wanted, strict=True))


@BOTH
@pytest.mark.parametrize("graph", [b"", b"no graph", Path("nowhere.onnx")])
def test_what_is_no_graph_is_an_error(tmp_path, runtime, graph):
    with pytest.raises(WeightsError, match="is no ONNX graph that can be run") as error:
        session(graph, of(tmp_path, runtime=runtime))
    assert error.value.code == "model_corrupt"


@BOTH
def test_open_sides_are_minus_one(tmp_path, runtime):
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "h", "w"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    run = session(model.SerializeToString(), of(tmp_path, runtime=runtime))
    assert run.shape == (1, 3, -1, -1)
    for side in (2, 3):
        assert run(np.full((1, 3, side, side), -1, np.float32)).sum() == 0


def test_what_openvino_compiled_is_kept_and_mended(tmp_path):
    settings = of(tmp_path, runtime="openvino")
    wanted = session(SMALL, settings)(X)
    [kept] = (settings.cache / "openvino").rglob("*.blob")
    before = kept.stat().st_mtime_ns
    assert np.array_equal(session(SMALL, settings)(X), wanted)
    assert kept.stat().st_mtime_ns == before
    kept.chmod(0o600)
    os.truncate(kept, kept.stat().st_size // 2)
    assert np.array_equal(session(SMALL, settings)(X), wanted)


def test_what_openvino_compiled_is_kept_for_each_precision_apart(tmp_path):
    """Its own key for what it keeps knows nothing of precision: one file would be taken for both."""
    exact = session(SMALL, of(tmp_path, runtime="openvino"))(X)
    try:
        session(SMALL, of(tmp_path, runtime="openvino", precision="bf16"))(X)
    except UsageError:
        pytest.skip("this processor has no bf16")
    assert len(list((of(tmp_path).cache / "openvino").rglob("*.blob"))) == 2
    assert np.array_equal(session(SMALL, of(tmp_path, runtime="openvino"))(X), exact)


def test_openvino_needs_no_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    wanted = session(SMALL, of(tmp_path, runtime="openvino"))(X)
    assert np.array_equal(session(SMALL, Settings(cache=tmp_path / "file", runtime="openvino"))(X), wanted)
    monkeypatch.setattr("figureground.inference.openvino._writable", lambda _: True)  # and it fills up while being written
    assert np.array_equal(session(SMALL, Settings(cache=tmp_path / "file", runtime="openvino"))(X), wanted)


SILENT = """
import socket, subprocess, sys, time
import numpy as np
from pathlib import Path
from figureground.inference.session import session
from figureground.settings import Settings
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event.startswith(("socket.", "subprocess.", "os.fork")) else None)
run = session(Path(sys.argv[1]), Settings(cache=Path(sys.argv[3]), runtime=sys.argv[2]))
for _ in range(3):
    run(np.zeros((1, 3, 256, 256), np.float32))
    time.sleep(0.2)
assert not opened, opened
assert not [name for name in sys.modules if "telemetry" in name]
print(sorted(str(path.relative_to(Path.home())) for path in Path.home().rglob("*")))
"""


@BOTH
def test_nothing_is_told_to_anybody(tmp_path, runtime):
    """No socket by Python's audit hooks; and in an empty home neither runtime leaves the identity it reports itself with."""
    (tmp_path / "home").mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"}
    words = [sys.executable, "-c", SILENT, str(SMALL), runtime, str(tmp_path / "cache")]
    end = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (end.returncode, end.stdout, end.stderr) == (0, "[]\n", "")


def test_openvinos_converter_can_still_be_imported():
    code = "from figureground.inference.openvino import _core; _core(); import sys; print('openvino.tools.ovc' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    end = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert end.stdout == "False\n"


def cgroup(root, line, **written):
    """A drawn machine: /proc/self/cgroup and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(line)
    for path, text in written.items():
        file = root / "sys/fs/cgroup" / path.replace("__", "/").replace("_at_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("line", "written", "wanted"),
    [
        ("0::/", {}, None),
        ("0::/", {"cpu_at_max": "max 100000\n"}, None),
        ("0::/", {"cpu_at_max": "50000 100000\n"}, 0.5),
        ("0::/a/b", {"a__b__cpu_at_max": "max 100000", "a__cpu_at_max": "150000 100000"}, 1.5),
        ("0::/a/b", {"a__b__cpu_at_max": "100000 100000", "a__cpu_at_max": "150000 100000"}, 1.0),
        ("0::/../elsewhere", {"cpu_at_max": "200000 100000"}, 2.0),
        ("0::/", {"cpu_at_max": "100000 0"}, None),
        ("0::/", {"cpu_at_max": "broken"}, None),
        (
            "5:memory:/m\n4:cpu,cpuacct:/d/x\n",
            {"cpu,cpuacct__d__cpu_at_cfs_quota_us": "-1", "cpu__d__x__cpu_at_cfs_quota_us": "75000",
             "cpu__d__x__cpu_at_cfs_period_us": "50000", "memory__m__cpu_at_max": "1 1"},
            1.5,
        ),
        ("4:cpu:/d\n", {"cpu__cpu_at_cfs_quota_us": "-1\n", "cpu__cpu_at_cfs_period_us": "100000\n"}, None),
        ("no such line", {}, None),
    ],
)  # fmt: skip
def test_limits_of_cgroups(tmp_path, line, written, wanted):
    assert _machine.quota(cgroup(tmp_path, line, **written)) == wanted


def test_cores_are_the_least_of_affinity_and_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert cores(tmp_path / "nothing") == 4
    for quota, wanted in (("50000", 1), ("150000", 2), ("300000", 3), ("900000", 4)):
        root = cgroup(tmp_path / quota, "0::/", cpu_at_max=f"{quota} 100000")
        assert cores(root) == wanted
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores(tmp_path / "nothing") == 1


def test_threads_reach_the_runtimes(tmp_path, monkeypatch):
    seen = []
    real = onnxruntime._session
    monkeypatch.setattr(
        onnxruntime, "_session", lambda graph, threads, provider: seen.append(threads) or real(graph, 1, provider)
    )
    session(SMALL, of(tmp_path, threads=7))
    session(SMALL, of(tmp_path))
    assert seen == [7, cores()]


def test_the_processor_as_linux_tells_of_it(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        "processor: 0\nmodel name\t: A Chip @ 2: fast\nflags\t: fpu avx2 amx_bf16 avx512f\n\n"
    )
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    assert _machine.processor(tmp_path) == ("A Chip @ 2: fast", ("avx2", "avx512f", "amx_bf16"))
    assert _machine.memory(tmp_path) == 2 << 20
    (tmp_path / "proc/cpuinfo").write_text("processor: 0\nFeatures\t: fp asimd asimddp bf16 i8mm\n")
    assert _machine.processor(tmp_path)[1] == ("asimddp", "bf16", "i8mm")
    assert _machine.processor(tmp_path / "nothing")[1] == ()
    assert _machine.memory(tmp_path / "nothing") is None


def test_the_processor_as_macos_tells_of_it(monkeypatch):
    said = "machdep.cpu.brand_string: Apple M9\nhw.optional.arm.FEAT_BF16: 1\nhw.optional.arm.FEAT_I8MM: 0\nno colon\n"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(_machine.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, said, ""))
    assert _machine.processor() == ("Apple M9", ("bf16",))

    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(_machine.subprocess, "run", missing)
    assert _machine.processor()[1] == ()
