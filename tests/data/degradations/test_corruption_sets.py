"""Names, severities, and corruptions that keep to the image within its padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from data.degradations.corruption_sets import GROUPS, KNOWN, Corrupter, choose_corruptions, choose_severities, labels_of
from data.degrade import COCO_C, DEGRADATIONS
from utils.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fog", ["physical:fog"]),  # of both sets: the physical one, as in prepare.py degrade
        ("coco-c:fog,fog", ["coco-c:fog", "physical:fog"]),
        ("Gaussian_noise, rain  jpeg", ["coco-c:gaussian_noise", "physical:rain", "physical:jpeg"]),
        ("weather", ["physical:low_light", "physical:fog", "physical:rain", "physical:snow"]),
        ("rain,weather,rain", ["physical:rain", "physical:low_light", "physical:fog", "physical:snow"]),  # none twice
    ],
)
def test_names(text: str, expected: list[str]):
    assert [one.full_name for one in choose_corruptions(text)] == expected


def test_groups_hold_everything():
    assert {one.name for one in choose_corruptions("coco-c")} == set(COCO_C)
    assert {one.name for one in choose_corruptions("physical")} == set(DEGRADATIONS)
    assert len(choose_corruptions("all")) == len(COCO_C) + len(DEGRADATIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gausian_noise", "Did you mean 'gaussian_noise'"),
        ("coco-c:fgo", "Did you mean 'coco-c:fog'"),
        ("wether", "Did you mean 'weather'"),
        ("fog,,zzzzz", "--corruptions zzzzz"),
        (" , ", "no name given"),
    ],
)
def test_unknown_names_are_one_paragraph(text: str, message: str):
    with pytest.raises(UserError, match=message) as error:
        choose_corruptions(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1-5", [1, 2, 3, 4, 5]), ("3", [3]), ("5,1,3", [1, 3, 5]), ("1-2, 2-4", [1, 2, 3, 4]), (" 2 4 ", [2, 4])],
)
def test_severities(text: str, expected: list[int]):
    assert choose_severities(text) == expected


@pytest.mark.parametrize("text", ["", "0", "6", "1-6", "0-3", "5-1", "1.5", "-1", "one", "²"])
def test_other_severities_are_refused(text: str):
    with pytest.raises(UserError, match="from 1 to 5"):
        choose_severities(text)


def test_a_set_is_named_where_there_are_two():
    alone, both = choose_corruptions("coco-c:fog,jpeg_compression"), choose_corruptions("coco-c:fog,fog")
    assert list(labels_of(alone).values()) == ["fog", "jpeg_compression"]
    assert list(labels_of(both).values()) == ["coco-c:fog", "physical:fog"]


def brighter(images: Tensor, seeds: object, severity: int) -> Tensor:
    """A corruption that tells what it was given: its severity over 100, and the first seed over 1000."""
    assert isinstance(seeds, list)
    return torch.stack(
        [
            torch.full_like(x, severity / 100 + seed / 1000, dtype=torch.float32)
            for x, seed in zip(images, seeds, strict=True)
        ]
    )


def test_padding_stays_and_every_image_has_its_own_seed():
    """Severity 5 and seed 100 make 0.05 + 0.1 = 0.15 of 255: 38; seed 200 makes 0.25: 64 (63.75 rounded)."""
    images = torch.full((3, 3, 8, 12), 114, dtype=torch.uint8)
    areas = [(1, 2, 6, 8), (0, 0, 8, 12), (1, 2, 6, 8)]
    result = Corrupter("physical", "brighter", brighter)(images, areas, [100, 200, 200], 5)
    assert (images == 114).all()
    assert result.dtype == torch.uint8
    assert (result[0, :, 1:7, 2:10] == 38).all() and (result[1] == 64).all() and (result[2, :, 1:7, 2:10] == 64).all()
    result[0, :, 1:7, 2:10] = 114
    assert (result[0] == 114).all()


@pytest.mark.parametrize("name", ["gaussian_noise", "coco-c:fog", "contrast", "rain"])
def test_nothing_depends_on_the_batch_or_the_padding(name: str):
    """Alone and without padding an image becomes what it becomes between others within theirs."""
    images = torch.randint(0, 256, (3, 3, 24, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    padded = torch.full((3, 3, 32, 64), 114, dtype=torch.uint8)
    padded[..., 4:28, 16:48] = images
    together = KNOWN[name](padded, [(4, 16, 24, 32)] * 3, [7, 8, 9], 3)[..., 4:28, 16:48]
    alone = KNOWN[name](images[1:2], [(0, 0, 24, 32)], [8], 3)
    assert (together[1].int() - alone[0].int()).abs().max() <= 1
    assert (alone != images[1:2]).any()


def test_physical_severities_go_up_to_the_models_own_worst():
    """Severity 5 is the model's 1.0, severity 1 its 0.2."""
    image = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    for step, severity in ((5, 1.0), (1, 0.2)):
        expected, _ = DEGRADATIONS["contrast"](image, [3], severity)
        assert torch.equal(GROUPS["physical"][-1].work(image, [3], step), expected)
