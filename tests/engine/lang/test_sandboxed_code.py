"""User code in the sandbox: what it gives, what its type check says, and that no hostile code does harm."""

import asyncio
import os
import signal
import subprocess

import numpy as np
import pytest

from algorail.engine.kit.errors import AlgorailError, ConfigInvalid, InvalidInput, LimitExceeded, Overloaded
from algorail.engine.lang import monty
from algorail.engine.lang.monty import MontySandbox
from algorail.engine.lang.sandbox import MAX_CODE, Limits
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    BYTES,
    INTEGER,
    NUMBER,
    STRING,
    Field,
    FieldType,
    ListType,
    ObjectType,
    VectorType,
    optional,
)

HIT = ObjectType({"score": Field(NUMBER), "id": Field(STRING), "note": Field(STRING, required=False)})
INPUTS = {
    "hits": ListType(HIT),
    "k": INTEGER,
    "free": ANY,
    "vector": VectorType(3),
    "maybe": optional(STRING),
}
VALUES = {
    "hits": [{"score": 0.5, "id": "a"}, {"score": 2.0, "id": "b"}],
    "k": 1,
    "free": {"x": [1, 2]},
    "vector": np.array([1, 2, 3], dtype=np.float32),
    "maybe": None,
}


@pytest.fixture(scope="module")
def sandbox():
    sandbox = MontySandbox(Limits(seconds=0.3), workers=2)
    yield sandbox
    sandbox.close()


@pytest.fixture
def unchecked(sandbox, monkeypatch):
    """The sandbox without its type check, which would stop much hostile code before it runs."""
    monkeypatch.setattr(monty, "_check", lambda *_: ())
    return sandbox


def run(sandbox, code, output=ANY, values=VALUES):
    return asyncio.run(sandbox.compile(code, INPUTS, output)(values))


@pytest.mark.parametrize(
    ("code", "output", "value"),
    [
        ("return k + 1", INTEGER, 2),
        ("\n    n = k\n    return n\n    ", INTEGER, 1),
        ("return [h['id'] for h in hits if h['score'] > 1]", ListType(STRING), ["b"]),
        ("return hits[0]", HIT, {"score": 0.5, "id": "a"}),
        ("return {**hits[0], 'rank': k}", ANY, {"score": 0.5, "id": "a", "rank": 1}),
        ("from math import sqrt\nreturn sqrt(vector[0])", NUMBER, 1.0),
        ("import re\nreturn bool(re.match('a+', 'aab'))", BOOLEAN, True),
        ("import json\nreturn json.dumps(free)", STRING, '{"x": [1, 2]}'),
        ("def double(n: int) -> int:\n    return n * 2\n\nreturn double(k)", INTEGER, 2),
        ("if k > 0:\n    return 'yes'\nreturn 'no'", STRING, "yes"),
        ("text = '''a\n  b'''\nreturn text", STRING, "a\n  b"),
        ("return maybe or 'none'", STRING, "none"),
        ("return b'\\x00'", BYTES, b"\0"),
        ("return (1, [2, (3,)])", ANY, [1, [2, [3]]]),
        ("print('unseen')\nreturn None", ANY, None),
    ],
)
def test_code_gives_a_value(sandbox, capfd, code, output, value):
    assert run(sandbox, code, output) == value
    assert capfd.readouterr().out == ""


def test_a_vector_goes_in_and_out(sandbox):
    result = run(sandbox, "return [x * 2 for x in vector]", VectorType(3))
    assert result.dtype == np.float32
    assert result.tolist() == [2, 4, 6]
    with pytest.raises(InvalidInput) as caught:
        run(sandbox, "return ['a', 'b']", VectorType(2))
    assert caught.value.code == "code-output"


@pytest.mark.parametrize(
    ("code", "output", "expected", "says"),
    [
        ("return k + 'a'", ANY, "code-type", "line 1, column 8"),
        ("x = 1\nreturn nope", ANY, "code-type", "`nope` used when not defined (line 2, column 8)"),
        ("return hits[0]['idd']", STRING, "code-type", 'did you mean "id"'),
        ("return 'a'", INTEGER, "code-type", "expected `int`"),
        ("if k:\n    return 1", INTEGER, "code-type", "return"),
        ("import subprocess\nreturn 1", ANY, "code-type", "subprocess"),
        ("return k +", ANY, "code-syntax", "line 1, column 11"),
        ("return '", ANY, "code-syntax", "quote"),
        ("", ANY, "code-syntax", "empty"),
        ("return '\0'", ANY, "code-syntax", "U+0000"),
        ("#" * (MAX_CODE + 1), ANY, "code-limit", str(MAX_CODE)),
        ("pass\n) -> None:\n    pass", ANY, "code-syntax", "line"),
    ],
)
def test_mistakes_are_found_without_running(sandbox, code, output, expected, says):
    with pytest.raises(ConfigInvalid) as caught:
        sandbox.compile(code, INPUTS, output)
    found = caught.value.problems or [caught.value]
    assert expected in {getattr(problem, "code", "") for problem in found}
    assert any(says in str(problem) for problem in found)


def test_nothing_runs_at_the_check(sandbox):
    sandbox.compile("while True:\n    pass\nreturn 1", {}, INTEGER)


@pytest.mark.parametrize("name", ["not a name", "class", "__import__", ""])
def test_inputs_are_named_like_variables(sandbox, name):
    with pytest.raises(ConfigInvalid) as caught:
        sandbox.compile("return 1", {name: INTEGER}, INTEGER)
    assert caught.value.code == "code-name"


def test_secrets_stay_out(sandbox):
    with pytest.raises(ConfigInvalid) as caught:
        sandbox.compile("return 1", {"token": FieldType("secret")}, INTEGER)
    assert caught.value.code == "code-secret"


HOSTILE = {
    "infinite loop": "while True: pass",
    "memory by list": "x = []\nwhile True: x.append('a' * 1000)",
    "memory by string": "x = 'a'\nwhile True: x += x",
    "huge string": "return 'a' * 10**12",
    "huge list": "return [0] * 10**12",
    "huge integer": "return 10 ** 10 ** 9",
    "long integer": "return 2 ** 100000",
    "integer text": "return str(10 ** 100000)",
    "recursion": "def f(): return f()\nreturn f()",
    "deep value": "x = []\nfor i in range(1000): x = [x]\nreturn x",
    "deep code": "return " + "(" * 9000 + ")" * 9000,
    "deep operators": "return " + "-" * 15000 + "1",
    "many items": "return list(range(3000000))",
    "wide text": "return 'x' * (20 * 1024 * 1024)",
    "printing": "while True: print('x' * 1000)",
    "sleep": "import time\ntime.sleep(1000)\nreturn time.time()",
    "clock": "import datetime\nreturn str(datetime.datetime.now())",
    "files": "return open('/etc/passwd').read()",
    "paths": "from pathlib import Path\nreturn Path('/etc/passwd').read_text()",
    "environment": "import os\nreturn dict(os.environ)",
    "commands": "import os\nreturn os.system('true')",
    "processes": "import subprocess\nreturn 1",
    "sockets": "import socket\nreturn 1",
    "import function": "return __import__('os').getpid()",
    "builtins": "return __builtins__",
    "subclasses": "return ().__class__.__bases__[0].__subclasses__()",
    "function globals": "def f(): pass\nreturn f.__globals__",
    "code object": "return (lambda: 1).__code__",
    "eval escape": 'return eval(\'__import__("os").system("true")\')',
    "format escape": "return '{0.__class__}'.format(1)",
    "dict keys": "return {1: 2}",
    "sets": "return {1, 2}",
    "instances": "class A: pass\nreturn A()",
    "complex": "return 1j",
    "raise": "raise SystemExit(1)",
    "assertion": "assert k == 2",
    "regex bomb": "import re\nreturn [re.match('(a|a)*(a|a)*(a|a)*$', 'a' * 5000 + 'b') for _ in range(100000)]",
    "sorting": "return sorted(range(10**9))",
    "async": "import asyncio\nwhile True:\n    await asyncio.sleep(0)",
    "generators": "def g():\n    while True: yield 1\nreturn sum(g())",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_code_gets_a_clear_error_and_harms_nobody(unchecked, code):
    with pytest.raises(AlgorailError) as caught:
        run(unchecked, code)
    assert caught.value.code in {"code-limit", "code-failed", "code-output"}
    assert caught.value.message
    assert run(unchecked, "return k") == 1


def test_every_run_starts_afresh(unchecked):
    assert run(unchecked, "seen = 1\nreturn seen") == 1
    with pytest.raises(InvalidInput, match="seen"):
        run(unchecked, "return seen")


def test_the_same_run_gives_the_same_numbers(sandbox):
    code = "import random\nreturn [random.random(), random.randint(1, 10**6)]"
    assert run(sandbox, code) == run(sandbox, code)


def test_inputs_are_not_changed(sandbox):
    run(sandbox, "free['x'].append(3)\nreturn 1")
    assert VALUES["free"] == {"x": [1, 2]}


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_inputs_that_cannot_enter(sandbox, value):
    with pytest.raises(InvalidInput):
        run(sandbox, "return 1", values={**VALUES, "free": value})


def test_a_deep_input_is_refused(sandbox):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInput, match="64 deep"):
        run(sandbox, "return 1", values={**VALUES, "free": deep})


def test_a_killed_worker_is_replaced():
    sandbox = MontySandbox(Limits(seconds=5), workers=1)
    try:
        assert run(sandbox, "return 1") == 1
        listed = subprocess.run(
            ["pgrep", "-P", str(os.getpid()), "monty"], capture_output=True, text=True, check=False
        )
        pids = [int(pid) for pid in listed.stdout.split()]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        answers = []
        for _ in range(2):
            try:
                answers.append(run(sandbox, "return 1"))
            except LimitExceeded as error:
                answers.append(error.code)
        assert answers[-1] == 1
    finally:
        sandbox.close()


def test_a_cancelled_run_does_not_block_the_next():
    sandbox = MontySandbox(Limits(seconds=0.3), workers=1)

    async def cancel_then_run():
        endless = asyncio.ensure_future(sandbox.compile("while True: pass", {}, ANY)({}))
        await asyncio.sleep(0)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        return await sandbox.compile("return 1", {}, ANY)({})

    try:
        assert asyncio.run(cancel_then_run()) == 1
    finally:
        sandbox.close()


def test_too_many_waiting_runs_are_told(monkeypatch):
    monkeypatch.setattr(monty, "MAX_WAITING", 2)
    sandbox = MontySandbox(Limits(seconds=0.2), workers=1)
    program = sandbox.compile("return 1", {}, INTEGER)

    async def flood():
        return await asyncio.gather(*(program({}) for _ in range(5)), return_exceptions=True)

    try:
        results = asyncio.run(flood())
    finally:
        asyncio.run(sandbox.aclose())
    assert results[:2] == [1, 1]
    assert all(isinstance(result, Overloaded) for result in results[2:])
