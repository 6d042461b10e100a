import pytest

from algorail.engine.kit.errors import ConfigInvalid, NotFound
from algorail.model_host.serve.threads import VARIABLES, available_cpus, default_threads, limit_threads
from algorail.model_host.spec import Tensor, read_manifest, tensors


@pytest.mark.parametrize(
    ("text", "dtype", "shape"),
    [
        ("float32[64]", "float32", (64,)),
        ("int64", "int64", ()),
        ("string[*]", "string", (-1,)),
        ("uint8[8,8]", "uint8", (8, 8)),
    ],
)
def test_a_tensor_reads_and_writes_its_short_form(text, dtype, shape):
    tensor = Tensor.parse(text)
    assert (tensor.dtype, tensor.shape, str(tensor)) == (dtype, shape, text)


@pytest.mark.parametrize("text", ["float31[3]", "float32[3", "", "[3]", "float32[a]"])
def test_a_wrong_tensor_names_the_choices(text):
    with pytest.raises(ConfigInvalid, match="tensor type"):
        Tensor.parse(text)


@pytest.mark.parametrize("name", ["instances", "a b", "", "1a"])
def test_reserved_and_odd_names_are_refused(name):
    with pytest.raises(ConfigInvalid, match="tensor name"):
        tensors({name: "int64"})


def test_a_row_has_a_json_schema():
    assert Tensor.parse("float32[2]").json_schema() == {
        "type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
    }  # fmt: skip


def test_a_folder_without_a_manifest_says_how_to_make_one(tmp_path):
    with pytest.raises(NotFound, match="save_sklearn"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "text",
    [b"{", b'{"name": "a"}', b'{"name":"A","kind":"sklearn","format":"skops","inputs":{},"outputs":{},"files":{}}',
     b'{"name":"a","kind":"sklearn","format":"skops","inputs":{},"outputs":{},"files":{"../x":""}}',
     b'{"name":"a","kind":"sklearn","format":"skops","inputs":{},"outputs":{},"files":{},"schema":9}',
     b'{"name":"a","kind":"class","format":"skops","inputs":{},"outputs":{},"files":{},"entry":"a:A"}',
     b'{"name":"a","kind":"sklearn","format":"code","inputs":{},"outputs":{},"files":{}}'],
)  # fmt: skip
def test_a_bad_manifest_is_refused(tmp_path, text):
    (tmp_path / "model.json").write_bytes(text)
    with pytest.raises(ConfigInvalid):
        read_manifest(tmp_path)


def cgroup(root, group, **files):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group)
    for path, text in files.items():
        file = root / "sys/fs/cgroup" / path.replace("__", "/").replace("dot", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_the_tightest_quota_above_the_process_counts(tmp_path):
    cgroup(tmp_path, "0::/pod/box\n", pod__cpudotmax="50000 100000", pod__box__cpudotmax="max 100000")
    assert available_cpus(tmp_path) == 0.5
    assert default_threads(1, tmp_path) == 1


def test_the_quota_of_version_1_counts(tmp_path):
    cgroup(
        tmp_path,
        "4:cpu,cpuacct:/box\n",
        cpu__box__cpudotcfs_quota_us="70000\n",
        cpu__box__cpudotcfs_period_us="100000\n",
    )
    assert available_cpus(tmp_path) == 0.7


def test_without_a_quota_the_affinity_counts(tmp_path):
    assert available_cpus(tmp_path) >= 1


def test_the_limits_are_set_unless_the_operator_did():
    environment = {"OMP_NUM_THREADS": "7"}
    limit_threads(2, environment)
    assert environment == dict.fromkeys(VARIABLES, "2") | {"OMP_NUM_THREADS": "7"}
