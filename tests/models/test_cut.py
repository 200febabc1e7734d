"""CUT against the published network's numbers (specification 7.10), and its losses worked out by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from models.cut import (
    BlurDown,
    BlurUp,
    Discriminator,
    Generator,
    PatchSampler,
    discriminator_loss,
    generator_terms,
    lsgan_loss,
    nce_loss,
    patch_nce,
    random_places,
    translate,
)

NORMED = {1: 64, 4: 128, 8: 256, 22: 128, 26: 64, 30: 3}  # row of a convolution -> its channels


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def published() -> Generator:
    return Generator()


@pytest.fixture
def small() -> Generator:
    torch.manual_seed(0)
    return Generator(blocks=2, width=4).requires_grad_(False)


def test_names_and_sizes_of_the_published_generator(published):
    """3*64*49+64 + 64*128*9+128 + 128*256*9+256 + 18*(256*256*9+256) + 256*128*9+128 + 128*64*9+64 + 64*3*49+3."""
    assert count(published) == 11_378_179
    state = published.state_dict()
    blocks = [f"{row}.conv_block.{place}" for row in range(12, 21) for place in (1, 5)]
    convolutions = {f"model.{name}.{part}" for name in [*NORMED, *blocks] for part in ("weight", "bias")}
    filters = {
        "model.7": (128, 1, 3, 3),
        "model.11": (256, 1, 3, 3),
        "model.21": (256, 1, 4, 4),
        "model.25": (128, 1, 4, 4),
    }
    assert set(state) == convolutions | {f"{name}.filt" for name in filters} and len(state) == 52
    assert {name: tuple(state[f"{name}.filt"].shape) for name in filters} == filters
    assert [len(state[f"model.{row}.bias"]) for row in NORMED] == list(NORMED.values())


def test_sizes_of_the_discriminator_and_of_the_small_networks():
    """Convolutions of 4 px: 3*64*16+64 + 64*128*16+128 + 128*256*16+256 + 256*512*16+512 + 512*16+1 = 2,764,737."""
    judge, sampler = Discriminator(), PatchSampler((3, 128, 256, 256, 256))
    assert (count(judge), len(judge.state_dict()), count(sampler)) == (2_764_737, 13, 560_384)


def test_shapes_at_256_px(published):
    """Without a value computed: the meta device knows shapes only."""
    generator, image = copy.deepcopy(published).to("meta"), torch.empty(1, 3, 256, 256, device="meta")
    assert generator(image).shape == image.shape
    assert Discriminator(8).to("meta")(image).shape == (1, 1, 30, 30)
    maps = [tuple(part.shape[1:]) for part in generator.features(image)]
    assert maps == [(3, 262, 262), (128, 256, 256), (256, 128, 128), (256, 64, 64), (256, 64, 64)]


def test_the_published_architecture_to_the_last_digit():
    """Convolutions linspace(-1, 1, n) / sqrt(n) in float64, input sin(0, 1, 2, ..) as (1, 3, 16, 16)."""
    generator = Generator(2, 4).double().requires_grad_(False)
    assert count(generator) == 13_379
    for parameter in generator.parameters():
        n = parameter.numel()
        parameter.copy_(torch.linspace(-1, 1, n, dtype=torch.float64).view_as(parameter) / math.sqrt(n))
    made = generator(torch.arange(768, dtype=torch.float64).sin().view(1, 3, 16, 16))
    assert float(made.sum()) == pytest.approx(-6.17480241, abs=1e-7)
    assert float(made.abs().mean()) == pytest.approx(0.76835138, abs=1e-8)
    assert made[0, 0, 0, :2].tolist() == pytest.approx([-0.9999500952, -0.9999375996], abs=1e-9)


@pytest.mark.parametrize(
    ("size", "expected"), [((64, 64), (64, 64)), ((252, 260), (252, 260)), ((66, 70), (68, 72)), ((30, 50), (32, 52))]
)
def test_sides_come_out_rounded_up_to_a_multiple_of_4(small, size, expected):
    assert small(torch.zeros(1, 3, *size)).shape[2:] == expected


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (1, 4, 16, 16), (3, 16, 16), (1, 3, 16, 7)])
def test_other_images_are_refused(small, shape):
    for work in (small, small.features):
        with pytest.raises(ValueError, match="RGB images"):
            work(torch.zeros(shape))


@pytest.mark.parametrize(("blocks", "layers"), [(1, (0, 4, 8, 12)), (4, (0, 4, 8, 12, 14)), (9, (0, 4, 8, 12, 16))])
def test_compared_rows_of_smaller_generators(blocks, layers):
    """The first block is row 12, the middle one of nine row 16."""
    generator = Generator(blocks, 4)
    maps = generator.features(torch.zeros(1, 3, 16, 16))
    assert generator.nce_layers == layers
    assert tuple(part.shape[1] for part in maps) == generator.nce_channels == (3, 8, *[16] * (len(layers) - 2))


def test_a_score_sees_84_px():
    """Backwards from one score: 4 px, + 3 for a convolution before it, 2 n + 1 for a blur of 3 px with stride 2:
    4 -> 7 -> 15 -> 18 -> 37 -> 40 -> 81 -> 84. Instance norms, which see everything, are taken out."""
    judge = Discriminator(width=2)
    for name, layer in judge.named_modules():
        if isinstance(layer, torch.nn.InstanceNorm2d):
            judge.model[int(name.split(".")[1])] = torch.nn.Identity()
        elif isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.ones_(layer.weight)
    image = torch.ones(1, 3, 160, 160, requires_grad=True)
    scores = judge(image)
    scores[0, 0, 9, 9].backward()
    seen = image.grad[0, 0].ne(0)
    assert (int(seen.any(0).sum()), int(seen.any(1).sum())) == (84, 84)


@pytest.mark.parametrize(
    ("vectors", "expected"),
    [
        (torch.ones(1, 4, 1), math.log(4)),  # all alike: one in four
        (torch.eye(4)[None], math.log(1 + 3 * math.exp(-1 / 0.07))),  # 1.87e-6
    ],
)
def test_patch_nce_by_hand(vectors, expected):
    assert float(patch_nce(vectors, vectors)) == pytest.approx(expected, rel=2e-2, abs=1e-7)
    assert float(patch_nce(vectors.double(), vectors.double())) == pytest.approx(expected, rel=1e-9)


def test_patch_nce_differentiates_the_query_only():
    query, key = (F.normalize(torch.randn(2, 5, 8), dim=2).requires_grad_() for _ in range(2))
    patch_nce(query, key).backward()
    assert key.grad is None and query.grad.abs().sum() > 0


def test_places_are_different_and_within_the_map():
    """A map of 5 x 7 has 35 places: all of them, where more are asked for."""
    maps = [torch.zeros(1, 2, 5, 7), torch.zeros(1, 2, 30, 30)]
    few, many = random_places(maps, 256, torch.Generator().manual_seed(0))
    assert sorted(few.tolist()) == list(range(35))
    assert len(set(many.tolist())) == 256 and many.min() >= 0 and many.max() < 900
    again = random_places(maps, 256, torch.Generator().manual_seed(0))
    assert torch.equal(many, again[1])


def test_sampled_vectors_are_of_length_1_and_from_their_places():
    """Place 1 * 3 + 2 of a map of 2 x 3 is row 1, column 2."""
    sampler, feature = PatchSampler([2], dim=4), torch.randn(1, 2, 2, 3)
    (made,) = sampler([feature], [torch.tensor([5])])
    assert made.shape == (1, 1, 4) and float(made.detach().norm()) == pytest.approx(1.0)
    assert torch.allclose(made[0, 0], F.normalize(sampler.mlps[0](feature[0, :, 1, 2]), dim=0))


@pytest.mark.parametrize(
    ("scores", "real", "expected"), [([1.0, 1.0], True, 0.0), ([0.0, 3.0], True, 2.5), ([2.0], False, 4.0)]
)
def test_lsgan_by_hand(scores, real, expected):
    """((0-1)^2 + (3-1)^2) / 2 = 2.5."""
    assert float(lsgan_loss(torch.tensor(scores), real)) == expected


def test_the_discriminator_s_loss_stays_with_it():
    """A judge that always says 3: 0.5 * (3^2 + (3-1)^2) = 6.5; nothing reaches the image that was made."""
    judge = Discriminator(2)
    torch.nn.init.zeros_(judge.model[-1].weight)
    torch.nn.init.constant_(judge.model[-1].bias, 3.0)
    made = torch.zeros(1, 3, 32, 32, requires_grad=True)
    loss = discriminator_loss(judge, torch.zeros(1, 3, 32, 32), made)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(6.5) and made.grad is None


def test_terms_are_weighted_as_published(small):
    """At the same places GAN + 0.5 (NCE of the day + NCE of the night image); without night images NCE counts whole."""
    judge, sampler = Discriminator(2), PatchSampler(small.nce_channels)
    day, night = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    pairs = (day, small(day)), (night, small(night))

    def drawn() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    rng = drawn()
    first, second = (float(nce_loss(small, sampler, *pair, rng=rng).detach()) for pair in pairs)
    terms = generator_terms(small, judge, sampler, *pairs, weight=10.0, rng=drawn())
    assert float(terms["nce"].detach()) == pytest.approx(5 * first, rel=1e-5)
    assert float(terms["identity"].detach()) == pytest.approx(5 * second, rel=1e-5)
    plain = generator_terms(small, judge, sampler, pairs[0], None, weight=10.0, rng=drawn())
    assert set(plain) == {"gan", "nce"} and float(plain["nce"].detach()) == pytest.approx(10 * first, rel=1e-5)


@pytest.mark.parametrize("size", [(16, 24), (17, 22), (5, 3), (1, 1), (9, 40)])
def test_translated_images_lie_pixel_on_pixel(size):
    """A generator that hands on what it gets, and insists on sizes that it keeps."""

    def same(img: torch.Tensor) -> torch.Tensor:
        assert all(side >= 8 and side % 4 == 0 for side in img.shape[2:])
        assert img.min() >= -1 and img.max() <= 1
        return img

    image = torch.rand(2, 3, *size)
    assert torch.allclose(translate(same, image), image, atol=1e-6)


def test_the_border_is_a_mirror():
    """Columns 0 to 5 resume 4, 3."""
    seen = []
    translate(lambda image: seen.append(image) or image, torch.arange(6.0).expand(1, 3, 8, 6) / 10)
    assert ((seen[0][0, 0, 0] + 1) * 5).round().tolist() == [0, 1, 2, 3, 4, 5, 4, 3]


@pytest.mark.parametrize(
    ("layer", "taps", "total"),
    [(BlurDown(5), [1, 2, 1], 1.0), (BlurUp(5), [1, 3, 3, 1], 4.0)],
)
def test_filters_are_buffers_of_one_copy_per_channel(layer, taps, total):
    """[1,2,1] x [1,2,1] / 16 sums to 1; [1,3,3,1] x [1,3,3,1] / 16 sums to 64 / 16 = 4."""
    row = torch.tensor(taps, dtype=torch.float32)
    assert list(layer.state_dict()) == ["filt"] and not list(layer.parameters())
    assert layer.filt.shape == (5, 1, len(taps), len(taps))
    assert torch.allclose(layer.filt[3, 0], torch.outer(row, row) / 16)
    assert float(layer.filt[0].sum()) == pytest.approx(total)


def test_down_by_hand():
    """Columns 0, 4, 8, 0 mirrored: (4 + 2*0 + 4) / 4 = 2 around column 0, (4 + 2*8 + 0) / 4 = 5 around column 2."""
    image = torch.tensor([0.0, 4.0, 8.0, 0.0]).expand(1, 1, 4, 4)
    assert BlurDown(1)(image)[0, 0].tolist() == [[2.0, 5.0], [2.0, 5.0]]


def test_up_by_hand():
    """Columns 0, 4: each new column is 3/4 of the nearer and 1/4 of the other, and the border repeats."""
    image = torch.tensor([0.0, 4.0]).expand(1, 1, 2, 2)
    assert BlurUp(1)(image)[0, 0].tolist() == [[0.0, 1.0, 3.0, 4.0]] * 4


@pytest.mark.parametrize(("layer", "side", "expected"), [(BlurDown, 7, 4), (BlurDown, 8, 4), (BlurUp, 5, 10)])
def test_sizes_and_even_images(layer, side, expected):
    """An even image stays even, whatever its border."""
    made = layer(3)(torch.full((2, 3, side, side), 0.7))
    assert made.shape == (2, 3, expected, expected)
    assert torch.allclose(made, torch.tensor(0.7))


def test_channels_do_not_mix():
    image = torch.zeros(1, 2, 4, 4)
    image[:, 1] = 1.0
    assert BlurUp(2)(image)[0, 0].abs().max() == 0
