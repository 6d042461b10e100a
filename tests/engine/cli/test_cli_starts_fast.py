"""Commands that only ask the server load neither numpy nor FAISS nor a database."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ["faiss", "fastapi", "numpy", "pyarrow", "pydantic", "sqlalchemy", "sqlmodel", "uvicorn", "yaml"]


def loaded(*words: str) -> set[str]:
    """The heavy modules that a command imports."""
    code = (
        "import json, sys\n"
        f"sys.argv = {['algorail', *words]!r}\n"
        "from algorail.engine.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('\\n' + json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"ALGORAIL_URL": "http://127.0.0.1:9", "ALGORAIL_API_KEY": "x"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_asking_the_server_is_light():
    assert loaded("runs") == set()


def test_help_is_light():
    assert loaded("--help") == set()


def test_the_check_sees_what_is_heavy():
    assert "numpy" in loaded("validate", "missing.py")
