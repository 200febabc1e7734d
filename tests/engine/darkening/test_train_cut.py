"""`prepare.py train-translator`: learns from unpaired day and night images, resumes exactly, writes whole files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from engine.darkening.train_cut import CUTTrainer, lr_fraction, random_crops
from engine.darkening.translator import load_generator
from engine.enhancement.train import means
from engine.options.prepare import TrainTranslatorOptions
from engine.preparation import prepare
from utils.errors import UserError

QUICK = {
    "epochs": 2, "decay_epochs": 1, "imgsz": 32, "load": 36, "width": 2, "blocks": 1, "lr": 1e-3, "device": "cpu",
}  # fmt: skip


def noise(folder: Path, count: int, low: int, high: int) -> Path:
    """`count` images of different shapes with values between low and high."""
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(low, high, (40 + number, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Three day images, a damaged one besides, and two night images."""
    day, night = noise(tmp_path / "day", 3, 90, 250), noise(tmp_path / "night", 2, 0, 60)
    (day / "broken.png").write_bytes(b"no image")
    return {"day": day, "night": night}


def stop_in(monkeypatch, step: int) -> None:
    """Ctrl-C in that step, counted from 1."""
    left, real = [step], CUTTrainer.step

    def stopping(self, *rest):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return real(self, *rest)

    monkeypatch.setattr(CUTTrainer, "step", stopping)


def test_weights_are_written_and_say_how(folders, tmp_path, capsys):
    out = tmp_path / "new" / "mine.safetensors"
    result = prepare("train-translator", **folders, out=out, sheet_period=2, **QUICK)
    assert [path.name for path, _ in result.skipped] == ["broken.png"]
    assert [set(terms) for terms in result.epochs] == [{"gan", "nce", "identity", "discriminator", "grey"}] * 3
    generator = load_generator(out)
    assert generator.nce_channels == (3, 4, 8, 8) and not result.interrupted
    with safe_open(out, framework="pt") as file:
        facts = file.metadata()
    assert (facts["network"], facts["epoch"], facts["images"]) == ("cut", "3", "[3, 2]")
    assert '"width": 2, "blocks": 1' in facts["options"] and str(tmp_path) not in str(facts)
    assert sorted(path.name for path in out.parent.rglob("*")) == [
        "epoch_002.png", "epoch_003.png", "mine", "mine.safetensors", "resume.previous.pt", "resume.pt",
    ]  # fmt: skip
    said = capsys.readouterr().out
    assert "epoch 3/3: gan" in said and "broken.png" in said and f"--model cut --weights {out}" in said


def test_the_sheet_shows_day_images_beside_their_translations(folders, tmp_path):
    """Three squares of 36 px, two columns: 108 x 72 px, the left ones as they are."""
    prepare("train-translator", **folders, out=tmp_path / "a.safetensors", **{**QUICK, "epochs": 1})
    sheet = cv2.imread(str(tmp_path / "a" / "epoch_001.png"))
    assert sheet.shape == (108, 72, 3)
    assert sheet[:, :36].min() >= 85 and sheet[:, 36:].std() < sheet[:, :36].std()  # little learnt: nearly even


@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same_weights(folders, tmp_path, monkeypatch, capsys):
    """Three steps per epoch; stopped in the fifth, so within the second epoch, of which nothing is left."""
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    expected = prepare("train-translator", **folders, out=whole, **QUICK)
    with monkeypatch.context() as patch:
        stop_in(patch, 5)
        first = prepare("train-translator", **folders, out=parts, **QUICK)
    assert first.interrupted and len(first.epochs) == 1
    assert f"resume: python prepare.py train-translator --day {folders['day']}" in capsys.readouterr().out
    rest = prepare("train-translator", **folders, resume=tmp_path / "parts", device="cpu")
    assert (rest.out, first.epochs + rest.epochs) == (parts, expected.epochs)
    states = [load_generator(path).state_dict() for path in (whole, parts)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    with pytest.raises(UserError, match="all of its 3 epochs are done"):
        prepare("train-translator", **folders, resume=tmp_path / "parts" / "resume.pt", device="cpu")


def test_a_name_with_a_dot_is_kept(folders, tmp_path, monkeypatch):
    """cut.v1 resumes into cut.v1.safetensors, not into cut.safetensors."""
    other, own = tmp_path / "cut.safetensors", tmp_path / "cut.v1.safetensors"
    other.write_bytes(b"another network")
    with monkeypatch.context() as patch:
        stop_in(patch, 4)
        prepare("train-translator", **folders, out=own, **QUICK)
    rest = prepare("train-translator", **folders, resume=tmp_path / "cut.v1", device="cpu")
    assert rest.out == own and other.read_bytes() == b"another network"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 4}, "--width 4: .* began with 2"),
        ({"out": "other.safetensors"}, "--out .*other.safetensors"),
        ({"night": "day"}, "other images than when"),
        ({"resume": "day"}, "no readable resume state"),
        ({"resume": "foreign.pt"}, "is not a state of prepare.py train-translator"),
    ],
)
def test_a_resumed_training_must_be_the_same(folders, tmp_path, monkeypatch, options, message):
    with monkeypatch.context() as patch:
        stop_in(patch, 4)
        prepare("train-translator", **folders, out=tmp_path / "a.safetensors", **QUICK)
    torch.save({"epoch": 1}, tmp_path / "foreign.pt")
    before = (tmp_path / "a.safetensors").read_bytes()
    noise(tmp_path / "others", 2, 0, 9)
    moved = {key: tmp_path / value if isinstance(value, str) else value for key, value in options.items()}
    if moved.get("night"):
        moved["day"] = tmp_path / "others"
    with pytest.raises(UserError, match=message):
        prepare("train-translator", **{**folders, "resume": tmp_path / "a", "device": "cpu", **moved})
    assert (tmp_path / "a.safetensors").read_bytes() == before


def test_the_seed_decides_and_the_rest_of_the_program_is_left_alone(folders, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    options = {**QUICK, "epochs": 1, "decay_epochs": 0, "identity": False, "sheet_period": 0}
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        result = prepare("train-translator", **folders, out=tmp_path / f"{name}.safetensors", seed=seed, **options)
        assert set(result.epochs[0]) == {"gan", "nce", "discriminator", "grey"}
        made.append(load_generator(result.out).model[1].weight)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert not list((tmp_path / "a").glob("*.png"))


def test_all_three_networks_learn_and_nothing_else():
    trainer = CUTTrainer(TrainTranslatorOptions(width=2, blocks=1), torch.device("cpu"))
    before = {name: value.clone() for name, value in trainer.state_dict().items()}
    day, night = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    terms = trainer.step(day, night, torch.Generator().manual_seed(0))
    moved = {name for name, value in trainer.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"generator", "discriminator", "sampler"}
    assert not any(name.endswith("filt") for name in moved)
    assert all(not value.requires_grad for value in terms.values()) and 0 <= terms["grey"] <= 1
    trainer.set_lr(0.5)
    rates = {group["lr"] for optimiser in trainer.optimisers.values() for group in optimiser.param_groups}
    assert rates == {1e-4} and all(p.requires_grad for p in trainer.parameters())


@pytest.mark.parametrize(("epoch", "fraction"), [(1, 1.0), (200, 1.0), (201, 200 / 201), (400, 1 / 201)])
def test_the_published_schedule(epoch, fraction):
    """200 epochs, then 200 in equal steps towards a 401st of 0."""
    assert lr_fraction(epoch, TrainTranslatorOptions()) == pytest.approx(fraction)


def test_crops_are_squares_of_the_image_sometimes_flipped():
    """An image whose value is 100 row + column: any crop of 3 px of 5 starts at 0 to 2 and rises by 1 or -1 across."""
    image = (100 * torch.arange(5).view(5, 1) + torch.arange(5)).expand(40, 3, 5, 5)
    made = random_crops(image, 3, torch.Generator().manual_seed(0))[:, 0]
    assert set((made[:, 0, 1] - made[:, 0, 0]).tolist()) == {1, -1}
    assert set((made[:, 0] // 100).unique().tolist()) == {0, 1, 2}
    assert set((made.amin(2)[:, 0] % 100).tolist()) == {0, 1, 2}
    assert ((made[:, 1] - made[:, 0]) == 100).all()


def test_means():
    assert means([{"a": torch.tensor(1.0)}, {"a": torch.tensor(4.0)}]) == {"a": 2.5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"day": None}, "--day DIR and --night DIR"),
        ({"night": "day"}, "the folder of --day too"),
        ({"night": "bad"}, "none of its images can be read"),
        ({"day": "nowhere"}, "no such folder"),
        ({"out": "weights.pt"}, "ends in .safetensors"),
        ({"out": "taken.safetensors"}, "already exists"),
        ({"out": "day.safetensors"}, "already exists"),
        ({"imgsz": 34}, "multiple of 4"),
        ({"imgsz": 40}, "no more than --load 36"),
    ],
)
def test_mistakes_write_nothing(folders, tmp_path, options, message):
    (tmp_path / "taken.safetensors").write_text("mine")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no image")
    before = sorted(tmp_path.rglob("*"))
    moved = {key: tmp_path / value if isinstance(value, str) else value for key, value in options.items()}
    given = {**folders, "out": tmp_path / "new" / "a.safetensors", **QUICK, **moved}
    with pytest.raises(UserError, match=message):
        prepare("train-translator", **{key: value for key, value in given.items() if value is not None})
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "taken.safetensors").read_text() == "mine"


def test_a_loss_of_nan_is_an_error(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(CUTTrainer, "step", lambda *_: {"gan": torch.tensor(float("nan"))})
    with pytest.raises(UserError, match="--lr 0.001: the loss is NaN"):
        prepare("train-translator", **folders, out=tmp_path / "a.safetensors", **QUICK)
    assert not (tmp_path / "a.safetensors").exists() and not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"widht": 3}}, "option widht: there is no such option"),
        ({"options": {"epochs": "many"}}, "option epochs: 'many' does not fit"),
        (
            {"options": {"epochs": 10**12}},
            "option epochs: 1000000000000 does not fit; expected a whole number from 1 to",
        ),
        ({"options": {"batch_size": 10**9}}, "option batch_size: 1000000000 does not fit"),
        ({"epoch": "one"}, "no readable resume state"),
    ],
)
def test_a_state_with_odd_values(tmp_path, change, message):
    state = dict.fromkeys(("rng", "networks", "day", "night")) | {"options": {}, "epoch": 1}
    torch.save(state | change, tmp_path / "resume.pt")
    with pytest.raises(UserError, match=message):
        prepare("train-translator", resume=tmp_path)


def test_a_generator_that_claims_more_than_it_holds(tmp_path):
    """Of 200,000 channels it would take 3 TB; its file has one layer of them."""
    state = {"model.1.weight": torch.ones(200_000, 1, 1, 1), "a.conv_block.1.weight": torch.ones(1)}
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(UserError, match="not the tensors of CUT's generator: model.1.weight has shape"):
        load_generator(tmp_path / "cut.pt")
