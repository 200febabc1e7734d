"""The sentences: the published list, and what changes their hash."""

from __future__ import annotations

import pytest

from data.soft_labels.prompts import TEMPLATES, prompt_hash, prompts
from utils.errors import UserError


def test_the_published_templates() -> None:
    """Specification 2.2: 81 of them, no two alike, the bare name first; 1204 names would be 97,524 prompts."""
    assert len(TEMPLATES) == len(set(TEMPLATES)) == 81 and 1204 * len(TEMPLATES) == 97_524
    assert (TEMPLATES[0], TEMPLATES[-1]) == ("{}.", "a tattoo of the {}.")
    assert all(template.count("{}") == 1 and template.endswith(".") for template in TEMPLATES)


def test_they_are_clips_own() -> None:
    open_clip = pytest.importorskip("open_clip")
    assert list(TEMPLATES[1:]) == [template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]


def test_tokens_of_a_prompt() -> None:
    """Specification 7.7."""
    open_clip = pytest.importorskip("open_clip")
    tokens = open_clip.get_tokenizer("RN50-quickgelu")(["a photo of a baseball_bat."])[0].tolist()
    assert tokens == [49406, 320, 1125, 539, 320, 3470, 318, 6575, 269, 49407] + [0] * 67


def test_underscores_stay_unless_asked() -> None:
    assert prompts("baseball_bat", ["{}."]) == ["baseball_bat."]
    assert prompts("baseball_bat", ["{}."], spaces=True) == ["baseball bat."]
    assert prompts("a{}b", ["{} {}."]) == ["a{}b a{}b."]  # a name is text, not a template


@pytest.mark.parametrize("name", ["", "_", "()"])
def test_a_name_without_words(name: str) -> None:
    with pytest.raises(UserError, match="has no word to show to the text encoder"):
        prompts(name)


def test_hash_changes_with_names_order_and_templates() -> None:
    hashes = {
        prompt_hash(["a", "b"]),
        prompt_hash(["b", "a"]),
        prompt_hash(["a", "b_"]),
        prompt_hash(["a", "b_"], spaces=True),
        prompt_hash(["a", "b"], TEMPLATES[1:]),
    }
    assert len(hashes) == 5 and prompt_hash(iter(["a", "b"])) in hashes
