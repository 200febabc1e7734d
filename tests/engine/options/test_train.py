"""Options of other tools that train.py answers."""

from __future__ import annotations

import pytest

from engine.options.train import PUBLISHED, TRAIN_SCHEMAS, YOLOV5
from utils.errors import UserError
from utils.options import parse_argv, schema_fields

WIID = ("encoder_moment", "multi_val", "use_BYOL", "checkpoint", "experiment", "mask")


@pytest.mark.parametrize("name", [*YOLOV5, *PUBLISHED, *WIID])
def test_foreign_options_are_answered_and_not_guessed(name: str) -> None:
    with pytest.raises(UserError, match="there is no such option here") as caught:
        parse_argv([f"--{name}"], TRAIN_SCHEMAS, "train.py", "")
    assert "Did you mean" not in str(caught.value)


def test_no_answer_hides_an_option() -> None:
    assert not {*YOLOV5, *PUBLISHED} & set(schema_fields(TRAIN_SCHEMAS))
