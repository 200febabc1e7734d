"""`prepare.py darken`: same names, sizes and formats; resumable; originals untouched."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from data.degradations.recipes import image_seed
from data.degrade import low_light_bytes
from data.io.labels import scan
from data.io.manifest import MANIFEST, STAMP
from data.io.pairs import match_pairs
from data.synthetic.render.lighting import day
from data.synthetic.street.scene import draw, make_street
from engine.darkening.translator import load_generator, save_generator, translate_image
from engine.preparation import prepare
from engine.preparation.copies import _SIDES
from engine.preparation.darken import COLUMNS, RECIPE, _batches, _Image
from models.cut import Generator
from tests.edges import agreement
from utils.errors import UserError
from utils.files import list_images, load_yaml


def rows(out: Path) -> list[dict[str, str]]:
    with (out / MANIFEST).open(newline="") as file:
        return list(csv.DictReader(file))


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def darken(source: Path, out: Path, **options):
    return prepare("darken", source=source, out=out, **options)


@pytest.fixture
def photos(tmp_path: Path, make_image) -> Path:
    """Three folders deep, five formats, two sizes, some labels."""
    home = tmp_path / "set"
    for number, name in enumerate(["a.png", "b.jpg", "deep/c.jpeg", "deep/er/d.bmp", "deep/e.webp", "deep/f.tif"]):
        make_image(home / "images" / "train" / name, width=32 + 8 * (number % 2), seed=number)
    for name in ("a", "deep/c"):
        label = home / "labels" / "train" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    return home


def test_copies_have_the_same_names_sizes_and_formats(photos):
    source, out = photos / "images/train", photos / "images/train_night"
    before = snapshot(source)
    result = darken(source, out)
    assert (result.written, result.before, result.skipped) == (6, 0, [])
    names = [p.relative_to(source) for p in list_images(source)]
    assert [p.relative_to(out) for p in list_images(out)] == names
    for name in names:
        with Image.open(source / name) as light, Image.open(out / name) as dark:
            assert (light.size, light.format) == (dark.size, dark.format)
            assert np.asarray(dark.convert("L")).mean() < 0.7 * np.asarray(light.convert("L")).mean()
    assert snapshot(source) == before
    assert match_pairs(list_images(source), list_images(out)) == [out / name for name in names]


def test_labels_go_where_the_copies_look_for_them(photos):
    darken(photos / "images/train", photos / "images/train_night")
    copied = sorted(p.relative_to(photos).as_posix() for p in (photos / "labels/train_night").rglob("*.txt"))
    assert copied == ["labels/train_night/a.txt", "labels/train_night/deep/c.txt"]
    found = scan(list_images(photos / "images/train_night"), classes=1)
    assert sum(len(label.classes) for label in found.labels) == 2


def test_a_whole_set_keeps_its_layout(photos):
    """Given the folder above images/ and labels/, the copy is a set of its own."""
    out = photos.with_name("dark")
    darken(photos, out)
    assert (out / "images/train/deep/c.jpeg").is_file()
    assert (out / "labels/train/deep/c.txt").read_text() == "0 0.5 0.5 0.2 0.2\n"


def test_labels_can_be_left_out(photos):
    darken(photos / "images/train", photos / "images/train_night", labels=False)
    assert not (photos / "labels/train_night").exists()


def test_the_manifest_says_what_was_drawn(photos):
    out = photos / "images/train_night"
    darken(photos / "images/train", out, severity=0.5)
    found = rows(out)
    assert tuple(found[0]) == (*COLUMNS, STAMP)
    assert sorted(row["file"] for row in found) == [
        "a.png",
        "b.jpg",
        "deep/c.jpeg",
        "deep/e.webp",
        "deep/er/d.bmp",
        "deep/f.tif",
    ]
    assert {row["severity"] for row in found} == {"0.5"}
    assert len({row["stops"] for row in found}) == 6


def test_the_manifest_s_seed_makes_the_image(photos):
    out = photos / "images/train_night"
    darken(photos / "images/train", out)
    (row,) = (row for row in rows(out) if row["file"] == "a.png")
    light = cv2.imread(str(photos / "images/train/a.png"))[..., ::-1].copy()
    dark, _ = low_light_bytes(torch.from_numpy(light)[None], [int(row["seed"])])
    assert (dark[0].numpy() == cv2.imread(str(out / "a.png"))[..., ::-1]).all()


def test_seeds_come_from_names():
    """The same on every machine: this number stands in manifests."""
    assert image_seed("\udcff.png", 0) != image_seed("a.png", 0) == image_seed("a.png", 0)
    assert len({image_seed(name, seed) for name in ("a.png", "b.png", "d/a.png") for seed in (0, 1)}) == 6
    assert all(0 <= image_seed(str(n), 0) < 2**63 for n in range(100))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_batch_changes_nothing(photos, batch_size):
    outs = [photos.with_name(name) for name in ("one", "two")]
    darken(photos, outs[0], batch_size=16)
    darken(photos, outs[1], batch_size=batch_size)
    for image in list_images(outs[0]):
        assert image.read_bytes() == (outs[1] / image.relative_to(outs[0])).read_bytes()


def test_a_second_run_does_nothing_and_an_interrupted_one_goes_on(photos):
    out = photos.with_name("dark")
    darken(photos, out)
    whole = snapshot(out)
    assert darken(photos, out).before == 6
    assert snapshot(out) == whole
    lost = out / "images/train/b.jpg"
    lost.unlink()
    with (out / MANIFEST).open("a") as file:
        file.write("images/train/a.p")  # cut short by a crash
    result = darken(photos, out)
    assert (result.written, result.before) == (1, 5)
    assert lost.read_bytes() == whole[str(lost)][0]
    assert sorted(row["file"] for row in rows(out)) == sorted(p.relative_to(out).as_posix() for p in list_images(out))


def test_images_without_a_manifest_line_are_done_again(photos):
    out = photos.with_name("dark")
    darken(photos, out)
    lines = (out / MANIFEST).read_text().splitlines(keepends=True)
    (out / MANIFEST).write_text("".join(lines[:-2]))
    assert darken(photos, out).written == 2


@pytest.mark.parametrize("change", [{"seed": 1}, {"severity": 0.9}, {"quality": 80}])
def test_another_recipe_is_refused(photos, change):
    out = photos.with_name("dark")
    darken(photos, out)
    before = snapshot(out)
    with pytest.raises(UserError, match=f"{next(iter(change))}.*another folder"):
        darken(photos, out, **change)
    assert snapshot(out) == before


def test_a_second_source_is_refused_and_a_changed_image_is_done_again(photos, make_image):
    """A list in the folder of the source is the same source."""
    source, out = photos / "images/train", photos.with_name("dark")
    darken(source, out)
    other = make_image(photos.with_name("other") / "a.png", seed=9).parent
    before = snapshot(out)
    with pytest.raises(UserError, match="began with source .*train, now it is .*other.*another folder"):
        darken(other, out)
    assert snapshot(out) == before
    make_image(source / "a.png", seed=9)
    listing = source / "some.txt"
    listing.write_text("a.png\nb.jpg\n")
    result = darken(listing, out)
    assert (result.written, result.before) == (1, 1)
    darken(other, photos.with_name("fresh"))
    assert (out / "a.png").read_bytes() == (photos.with_name("fresh") / "a.png").read_bytes()
    assert darken(source, out).before == 6


def test_a_folder_of_before_there_were_two_models_is_gone_on_with(photos, published):
    """Its darken.yaml names no model; the physical one is meant."""
    out = photos.with_name("dark")
    darken(photos, out)
    lost = out / "images/train/b.jpg"
    whole = lost.read_bytes()
    lost.unlink()
    (out / RECIPE).write_text("seed: 0\nseverity: null\nquality: 95\n")
    assert darken(photos, out).written == 1 and lost.read_bytes() == whole
    with pytest.raises(UserError, match="began with the physical model"):
        darken(photos, out, model="cut", weights=published)


def test_labels_of_others_are_not_overwritten(photos):
    taken = photos / "labels/train_night/a.txt"
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    with pytest.raises(UserError, match="would be overwritten"):
        darken(photos / "images/train", photos / "images/train_night")
    assert taken.read_text() == "mine" and not (photos / "images/train_night").exists()


def test_somebody_else_s_manifest_is_refused(photos):
    out = photos.with_name("dark")
    out.mkdir()
    (out / MANIFEST).write_text("file,recipe\n")
    with pytest.raises(UserError, match="something else"):
        darken(photos, out)
    assert not (out / RECIPE).exists()


@pytest.mark.parametrize("out", ["images/train", "images/train/dark", "images", "images/../images/train/./x"])
def test_nested_folders_are_refused(photos, out):
    before = snapshot(photos)
    with pytest.raises(UserError, match="never changed"):
        darken(photos / "images/train", photos / out)
    assert snapshot(photos) == before


def test_a_link_to_the_source_is_the_source(photos):
    link = photos.with_name("link")
    link.symlink_to(photos / "images/train", target_is_directory=True)
    with pytest.raises(UserError, match="never changed"):
        darken(photos / "images/train", link)


def test_a_linked_folder_of_the_source_is_the_source(tmp_path, make_image):
    make_image(tmp_path / "g/images/a.png")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/link").symlink_to(tmp_path / "g/images", target_is_directory=True)
    with pytest.raises(UserError, match="never changed"):
        darken(tmp_path / "src", tmp_path / "src/link/new")
    assert [path.name for path in (tmp_path / "g/images").iterdir()] == ["a.png"]


@pytest.mark.parametrize("kind", ["missing", "empty", "file in the way"])
def test_unusable_folders(tmp_path, make_image, kind):
    source, out = tmp_path / "in", tmp_path / "out"
    if kind == "file in the way":
        make_image(source / "a.png")
        out.write_text("mine")
    elif kind == "empty":
        source.mkdir()
    with pytest.raises(UserError, match=str(out if kind == "file in the way" else source)):
        darken(source, out)
    assert out.is_file() if kind == "file in the way" else not out.exists()


def test_unreadable_images_are_left_out_and_listed(photos, capsys):
    source, out = photos / "images/train", photos.with_name("dark")
    whole = (source / "b.jpg").read_bytes()
    (source / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "text.png").write_text("no image")
    (source / "empty.jpg").write_bytes(b"")
    before = snapshot(source)
    result = darken(source, out)
    assert (result.written, sorted(path.name for path, _ in result.skipped)) == (
        6,
        ["cut.jpg", "empty.jpg", "text.png"],
    )
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("cut.jpg", "empty.jpg", "text.png"))
    assert snapshot(source) == before


def test_an_image_too_large_for_its_format_is_left_out(tmp_path, make_image):
    """JPEG holds 65,500 px per side; here it is made to hold 31, so that the image stays small."""
    make_image(tmp_path / "in/a.jpg")
    make_image(tmp_path / "in/b.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_SIDES, ".jpg", 31)
        result = darken(tmp_path / "in", tmp_path / "out")
    assert [(p.name, why) for p, why in result.skipped] == [
        ("a.jpg", "its copy of 32 x 24 px does not fit a .jpg file, which holds 31 px per side")
    ]
    assert [path.name for path in list_images(tmp_path / "out")] == ["b.png"]
    assert darken(tmp_path / "in", tmp_path / "out").written == 1


def test_turned_photos_are_turned_for_good(tmp_path, make_image):
    """EXIF orientation 6: 40 x 24 px in the file is 24 x 40 on the screen, and in the copy."""
    path = make_image(tmp_path / "in" / "a.jpg", width=40, height=24)
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(path) as image:
        image.save(path, exif=exif)
    darken(tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out" / "a.jpg") as dark:
        assert dark.size == (24, 40)
        assert dark.getexif().get(274, 1) == 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_other_kinds_of_images_become_colour(tmp_path, mode):
    source = tmp_path / "in"
    source.mkdir()
    values = np.linspace(60, 250, 32 * 24).reshape(24, 32)
    if mode == "I;16":
        Image.fromarray((values * 256).astype(np.uint16)).save(source / "a.png")
    else:
        Image.fromarray(values.astype(np.uint8)).convert(mode).save(source / "a.png")
    assert darken(source, tmp_path / "out").written == 1
    assert cv2.imread(str(tmp_path / "out/a.png"), cv2.IMREAD_UNCHANGED).shape == (24, 32, 3)


def test_a_list_names_the_images(photos):
    listing = photos / "some.txt"
    listing.write_text("images/train/b.jpg\nimages/train/deep/c.jpeg\n")
    out = photos.with_name("dark")
    assert darken(listing, out).written == 2
    assert (out / "images/train/deep/c.jpeg").is_file()


@pytest.mark.parametrize("given", ["set", "set/some.txt", "set/../set/some.txt"])
def test_relative_paths(photos, monkeypatch, given):
    """From the folder above the set; the names are below the set, whatever it is called by."""
    (photos / "some.txt").write_text("images/train/b.jpg\n./images/train/deep/c.jpeg\n")
    monkeypatch.chdir(photos.parent)
    assert darken(Path(given), Path("dark")).written == (6 if given == "set" else 2)
    assert (photos.with_name("dark") / "images/train/deep/c.jpeg").is_file()


def test_an_image_listed_twice_is_done_once(photos):
    listing = photos / "some.txt"
    listing.write_text("images/train/b.jpg\n" * 2)
    assert darken(listing, photos.with_name("dark")).written == 1


def test_a_list_must_stay_in_its_folder(photos, make_image):
    listing = photos / "some.txt"
    listing.write_text(f"{make_image(photos.with_name('other') / 'x.png')}\n")
    with pytest.raises(UserError, match="lies outside"):
        darken(listing, photos.with_name("dark"))
    assert not photos.with_name("dark").exists()


@pytest.mark.parametrize(
    ("sizes", "batch_size", "expected"),
    [
        ([4, 4, 4, 4, 4], 2, [2, 2, 1]),
        ([4, 8, 4, 8], 2, [2, 2]),
        ([4, 8, 16], 8, [1, 1, 1]),
    ],
)
def test_batches_hold_one_size(sizes, batch_size, expected):
    images = [_Image(Path(str(i)), str(i), np.zeros((s, s, 3), np.uint8), "") for i, s in enumerate(sizes)]
    batches = list(_batches(iter(images), batch_size))
    assert [len(batch) for batch in batches] == expected
    assert all(len({p.pixels.shape for p in batch}) == 1 for batch in batches)
    assert sorted(int(p.name) for batch in batches for p in batch) == list(range(len(sizes)))


def test_large_images_come_alone(monkeypatch):
    monkeypatch.setattr("engine.preparation.darken._MOST_PIXELS", 100)
    images = [_Image(Path(str(i)), str(i), np.zeros((8, 8, 3), np.uint8), "") for i in range(3)]
    assert [len(batch) for batch in _batches(iter(images), 16)] == [1, 1, 1]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A state dict as CUT saves it, of a small generator: only tensors, by the names of `resnet_9blocks`."""
    torch.manual_seed(1)
    path = tmp_path / "latest_net_G.pth"
    torch.save(Generator(blocks=2, width=4).state_dict(), path)
    return path


def test_cut_on_the_same_path(photos, published):
    """Names, sizes, formats, labels, manifest and resume as by the physical model; sides of 24, 32 and 40 px."""
    source, out = photos / "images/train", photos / "images/train_night"
    result = darken(source, out, model="cut", weights=published)
    assert (result.written, result.before, result.skipped) == (6, 0, [])
    assert match_pairs(list_images(source), list_images(out)) == list_images(out)
    assert (photos / "labels/train_night/deep/c.txt").is_file()
    recipe = load_yaml(out / RECIPE)
    assert recipe["model"] == "cut" and len(recipe["sha256 of the weights"]) == 64 and "seed" not in recipe
    assert {tuple(row) for row in rows(out)} == {("file", "mean_before", "mean", STAMP)}
    light = cv2.imread(str(source / "a.png"))[..., ::-1]
    expected = translate_image(load_generator(published), light)
    assert (cv2.imread(str(out / "a.png"))[..., ::-1] == expected).all()
    whole = snapshot(out)
    (out / "a.png").unlink()
    assert (darken(source, out, model="cut", weights=published).written, (out / "a.png").read_bytes()) == (
        1,
        whole[str(out / "a.png")][0],
    )


def test_other_weights_or_the_other_model_are_refused(photos, published, tmp_path):
    out = photos.with_name("dark")
    darken(photos, out, model="cut", weights=published)
    before = snapshot(out)
    save_generator(tmp_path / "other.safetensors", Generator(1, 2), {})
    for change in ({"model": "cut", "weights": tmp_path / "other.safetensors"}, {"model": "physical"}):
        with pytest.raises(UserError, match="another folder"):
            darken(photos, out, **change)
    assert snapshot(out) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "cut"}, "expected its weights, --weights FILE"),
        ({"weights": "latest_net_G.pth"}, "it is for CUT only"),
        ({"model": "cut", "weights": "latest_net_G.pth", "severity": 0.5}, "no --severity"),
        ({"model": "cut", "weights": "latest_net_G.pth", "seed": 3}, "no --severity and no --seed"),
        ({"model": "cut", "weights": "nowhere.pth"}, "there is no such file"),
    ],
)
def test_options_of_the_other_model_are_refused(photos, published, tmp_path, options, message):
    given = {key: tmp_path / value if key == "weights" else value for key, value in options.items()}
    with pytest.raises(UserError, match=message):
        darken(photos, photos.with_name("dark"), **given)
    assert not photos.with_name("dark").exists()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_published_state_dict_loads_unchanged(tmp_path, published, wrapped):
    """Also where it was saved from several GPUs, with `module.` before every name."""
    state = torch.load(published, weights_only=True)
    if wrapped:
        torch.save({f"module.{name}": value for name, value in state.items()}, published)
    generator = load_generator(published)
    assert (generator.nce_layers, generator.nce_channels) == ((0, 4, 8, 12, 13), (3, 8, 16, 16, 16))
    assert all(torch.equal(value, state[name]) for name, value in generator.state_dict().items())
    save_generator(tmp_path / "ours.safetensors", generator, {"epoch": 1})
    assert load_generator(tmp_path / "ours.safetensors").state_dict().keys() == state.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {k: v for k, v in state.items() if "filt" not in k}, "model.7.filt is missing"),
        (lambda state: {**state, "model.2.weight": torch.ones(4)}, "model.2.weight is unknown"),
        (lambda state: {**state, "model.4.weight": torch.ones(8, 4, 4, 4)}, "shape 8x4x4x4 instead of 8x4x3x3"),
        (lambda state: {**state, "model.1.bias": torch.full((4,), float("nan"))}, "NaN or Inf"),
        (lambda state: {"e_conv1.weight": torch.ones(32, 3, 3, 3)}, "model.1.weight is missing.*49 more"),
    ],
)
def test_another_architecture_is_refused_by_its_tensors(published, change, message):
    torch.save(change(torch.load(published, weights_only=True)), published)
    with pytest.raises(UserError, match=message):
        load_generator(published)


def test_images_too_large_for_memory_are_left_out(tmp_path, make_image, published):
    """120 x 100 = 12,000 px, where 10,000 are allowed."""
    for name, width in (("a.png", 80), ("large.png", 120)):
        make_image(tmp_path / "in" / name, width=width, height=100)
    result = darken(tmp_path / "in", tmp_path / "out", model="cut", weights=published, most_megapixels=0.01)
    assert result.written == 1 and [path.name for path in list_images(tmp_path / "out")] == ["a.png"]
    assert [(path.name, why) for path, why in result.skipped] == [
        ("large.png", "0.01 million px, more than --most-megapixels 0.01")
    ]


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_cut_gets_colour_whatever_the_image_was(tmp_path, published, mode, capsys):
    source = tmp_path / "in"
    source.mkdir()
    Image.effect_noise((33, 22), 60).convert(mode).save(source / "a.png")
    assert darken(source, tmp_path / "out", model="cut", weights=published).written == 1
    assert cv2.imread(str(tmp_path / "out/a.png"), cv2.IMREAD_UNCHANGED).shape == (22, 33, 3)
    assert f"converted to 8-bit RGB: 1 {'grey' if mode == 'L' else 'RGBA'}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def passing() -> Generator:
    """A generator set by hand to hand on what it sees, half as bright: each colour as its positive and its negative part.

    Down and up again, content comes out 0.5 px late at half the size and 0.5 px at full size; the two convolutions behind
    the enlargements, of four equal taps, bring it back, as those of a trained network learn to.
    """
    generator = Generator(blocks=1, width=6).requires_grad_(False)
    for parameter in generator.parameters():
        parameter.zero_()
    taps = {4: (slice(1, 2), 1.0), 8: (slice(1, 2), 1.0), 14: (slice(1, 3), 0.25), 18: (slice(1, 3), 0.25)}
    for colour, plus in enumerate((0, 2, 4)):
        generator.model[1].weight[plus : plus + 2, colour, 3, 3] = torch.tensor([1.0, -1.0])
        for row, (at, value) in taps.items():
            signs = torch.tensor([[value, -value], [-value, value]])
            generator.model[row].weight[plus : plus + 2, plus : plus + 2, at, at] = signs[..., None, None]
        generator.model[22].weight[colour, plus : plus + 2, 3, 3] = torch.tensor([0.2, -0.2])
    torch.nn.init.constant_(generator.model[22].bias, -0.6)
    return generator


def street(number: int, size: tuple[int, int]) -> np.ndarray:
    """A synthetic day, (H, W, 3) uint8; size: (width, height)."""
    return day(draw(make_street(number, size)), number)


@pytest.mark.parametrize(("height", "width"), [(120, 160), (118, 157), (113, 155)])
def test_boxes_still_fit(passing, height, width):
    """Edges of the darkened street lie where those of the day lie: no shift matches better, at any remainder of 4."""
    light = np.ascontiguousarray(street(11, (160, 120))[:height, :width])
    dark = translate_image(passing, light)
    assert dark.shape == light.shape and dark.mean() < 0.6 * light.mean()
    correlation, shift = agreement(light, dark)
    assert shift == (0, 0) and correlation > 0.65
    assert agreement(light, np.roll(dark, 1, axis=1))[1] == (0, 1)  # a pixel would be seen
