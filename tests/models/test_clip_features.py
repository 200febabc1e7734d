"""What the teacher sees: sizes, borders and crops by hand; a box that is the whole image is the image."""

from __future__ import annotations

import pytest
import torch

from models.clip_features import (
    crop_embeddings,
    crops,
    fitted,
    fitted_size,
    is_cnn,
    roi_embeddings,
    text_embedding,
)
from models.normalize import CLIP
from tests.models.tiny_clip import SIDE, Visual, tiny_clip

ZERO = (0.0131979, -0.0069938, -0.0080164)  # the detector's border in CLIP's units, specification 7.6


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [
        ((480, 640), 800, (800, 1067)),  # x 5/3
        ((640, 480), 800, (1067, 800)),
        ((100, 1000), 800, (133, 1333)),  # the longer side is the limit
        ((224, 224), 224, (224, 224)),
        ((1, 4000), 800, (1, 1333)),
    ],
)
def test_fitted_size(size: tuple[int, int], short: int, expected: tuple[int, int]) -> None:
    assert fitted_size(*size, short) == expected


def test_a_border_of_the_mean_colour() -> None:
    """40 x 60 px, short side 40: a canvas of 64 x 64, black where the image is, ZERO around it."""
    canvas, size = fitted(torch.zeros(3, 40, 60), 40)
    assert canvas.shape == (1, 3, 64, 64) and size == (40, 60)
    torch.testing.assert_close(canvas[0, :, 63, 63], torch.tensor(ZERO), atol=1e-6, rtol=0)
    torch.testing.assert_close(canvas[..., :40, :60], CLIP(torch.zeros(1, 3, 40, 60)))


def test_a_box_that_is_the_whole_image_is_the_image() -> None:
    """ROIAlign over 7 x 7 cells of 7 x 7 takes each cell as it is (specification 7.6); roi and crop then agree."""
    clip, image = tiny_clip(), torch.rand(3, SIDE, SIDE)
    whole = torch.tensor([[0.0, 0.0, SIDE, SIDE]])
    canvas, _ = fitted(image, SIDE)
    expected = clip.model.encode_image(CLIP(image[None]))
    torch.testing.assert_close(roi_embeddings(clip.model.visual, canvas, whole), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(crop_embeddings(clip.model, crops(image, whole, SIDE)), expected, atol=1e-5, rtol=0)


def test_the_same_with_a_real_resnet() -> None:
    """open_clip's RN50 with random weights."""
    networks = pytest.importorskip("open_clip.modified_resnet")
    torch.manual_seed(0)
    visual = networks.ModifiedResNet((3, 4, 6, 3), output_dim=1024, heads=32, image_size=SIDE).eval()
    for block in visual.layer4:
        torch.nn.init.ones_(block.bn3.weight)  # they start at 0: nothing would come through
    image = torch.rand(3, SIDE, SIDE)
    with torch.no_grad():
        found = roi_embeddings(visual, fitted(image, SIDE)[0], torch.tensor([[0.0, 0.0, SIDE, SIDE]]))
        expected = visual(CLIP(image[None]))
    assert found.shape == (1, 1024) and expected.std() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_boxes_have_their_own_embeddings_wherever_the_border_is() -> None:
    """A box over the left half differs from one over the right half; pixels beyond the image change neither."""
    clip, image = tiny_clip(), torch.rand(3, 100, 200)
    boxes = torch.tensor([[0.0, 0.0, 64.0, 64.0], [128.0, 0.0, 192.0, 64.0]])
    left, right = roi_embeddings(clip.model.visual, fitted(image, 100)[0], boxes)
    assert not torch.allclose(left, right, atol=1e-3)
    assert roi_embeddings(clip.model.visual, fitted(image, 100)[0], torch.zeros(0, 4)).shape == (0, 8)


def test_crops_by_hand() -> None:
    """An image whose red is its column / 8. Columns 2 and 3 average to 2.5 / 8; a box between pixels takes both."""
    image = torch.zeros(3, 8, 8)
    image[0] = torch.arange(8) / 8
    boxes = torch.tensor([[2.0, 0, 4, 8], [2.5, 0, 3.5, 8], [9.0, 9, 12, 12], [3.0, 3, 3, 3]])
    red = crops(image, boxes, 16)[:, 0].mean((1, 2)) * 0.26862954 + 0.48145466
    torch.testing.assert_close(red, torch.tensor([2.5, 2.5, 7.0, 3.0]) / 8)
    assert crops(image, torch.zeros(0, 4), 16).shape == (0, 3, 16, 16)


def test_text_is_the_mean_of_unnormalised_embeddings() -> None:
    clip = tiny_clip()
    tokens = clip.tokenise(["a cup.", "the cup."])
    a, b = clip.model.encode_text(tokens)
    torch.testing.assert_close(text_embedding(clip.model, tokens), (a + b) / 2)


def test_which_models_have_a_trunk() -> None:
    assert is_cnn(Visual()) and not is_cnn(torch.nn.Linear(1, 1))
