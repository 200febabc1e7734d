"""The official detection checkpoints by name: address, size and SHA-256. Nothing here opens a connection.

Sizes and checksums are those that public projects state for these releases; None where no such statement was found. One
of them, yolov5n's, was compared with the file itself. weights/README.md shows this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GITHUB = "https://github.com"
YOLOV5, ASSETS = "ultralytics/yolov5", "ultralytics/assets"
RELEASES = {YOLOV5: "v7.0", ASSETS: "v8.4.0"}

# file without suffix: (bytes, SHA-256)
V5: dict[str, tuple[int | None, str | None]] = {
    "yolov5n": (4_062_133, "4f180cf23ba0717ada0badd6c685026d73d48f184d00fc159c2641284b2ac0a3"),
    "yolov5s": (14_808_437, "8b3b748c1e592ddd8868022e8732fde20025197328490623cc16c6f24d0782ee"),
    "yolov5m": (42_806_829, "61d933360ba5a7733a36764996c800287d973889d875227f5beedd2473a97a56"),
    "yolov5l": (93_622_629, "2f603b7354c25454d1270663a14d8ddc1eea98e5eebc1d84ce0c6e3150fa155f"),
    "yolov5x": (174_114_333, "9f27a794fa0308e2606f90565164571d6f0a0ba18a3ce2e5e5d323b71c157859"),
    "yolov5n6": (7_190_229, "496c05a2b991da15acc6c4408c63da287f2513a46c6756618776d4dd71170781"),
    "yolov5s6": (25_978_837, "95bda9019ada63f37338308d0c81a66047a6fbaba061abaff271ba9334cf2a6f"),
    "yolov5m6": (72_308_357, "7afe7fa0f29a8351467200a2a5a33c7996d1155ed6636c7edd8ca70b14951c64"),
    "yolov5l6": (154_521_589, "b357b77f646b0190912985937c44e2923441369d5fda69ba86da2aa919212618"),
    "yolov5x6": (282_720_357, "257c991b216d625427dc4d9c7c76d6c6d93cf3732797538da34bdc02f97bfef0"),
}
LATER: dict[str, tuple[int | None, str | None]] = {
    **{f"yolov5{scale}{size}u": (None, None) for size in ("", "6") for scale in "nsmlx"},
    "yolov8n": (6_549_796, "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36"),
    "yolov8s": (None, "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a"),
    "yolov8m": (52_136_884, "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5"),
    "yolov8l": (None, "64c9115303f6a25575f82200d1b22ec409fa6bd7d08d0313884fc20d919478cd"),
    "yolov8x": (None, "3df4ada6b4dad6d657868f2fdf7faecfb34dcfccf3a25c4b82079064718524c8"),
    "yolo11n": (5_613_764, "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1"),
    "yolo11s": (None, "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5"),
    "yolo11m": (40_684_120, "d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95"),
    "yolo11l": (51_387_343, "9ebd0e09d59811db4b1d61e2bc6730649608b1ac47f8dd01e2da6bca7c20023f"),
    "yolo11x": (None, "7bc158aa95c0ebfdd87f70f01653c1131b93e92522dbe15c228bcd742e773a24"),
    "yolo26n": (5_544_453, "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef"),
    "yolo26s": (20_422_725, "646f8bc3fe0a656803d95c294f7852321748cb29d13466a1af8862e2db384a1b"),
    "yolo26m": (44_255_705, "401cea9ab23ad19246ff7744859816bc599f350e93c9dd30367b6f0a0745d0b7"),
    "yolo26l": (53_211_173, "9fe3c544f2b19bebad7ea41e76d7ad3d88b7c2f10d11d24430c5311f6b32db26"),
    "yolo26x": (118_667_365, "9fdd44a31c504547ffb81d2c6d9e6dac3493c8eaa8b0398d3f43bae6c7003e92"),
}


@dataclass(frozen=True)
class Asset:
    """One file of a release. size in bytes and sha256 in hexadecimal: None where not known."""

    name: str
    repository: str
    size: int | None = None
    sha256: str | None = None

    @property
    def file(self) -> str:
        """The name of the file."""
        return f"{self.name}.pt"

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"{GITHUB}/{self.repository}/releases/download/{RELEASES[self.repository]}/{self.file}"

    @property
    def page(self) -> str:
        """The release's page, for a download by hand."""
        return f"{GITHUB}/{self.repository}/releases/tag/{RELEASES[self.repository]}"


OFFICIAL = {
    name: Asset(name, repository, *facts)
    for repository, table in ((YOLOV5, V5), (ASSETS, LATER))
    for name, facts in table.items()
}


def official(name: str | Path) -> Asset | None:
    """The official checkpoint of a name or path, with or without .pt; None where there is none.

    >>> official("weights/yolov5m.pt").page
    'https://github.com/ultralytics/yolov5/releases/tag/v7.0'
    """
    path = Path(name)
    return OFFICIAL.get(path.name.lower().removesuffix(".pt")) if path.suffix.lower() in ("", ".pt") else None


def how_to_get(asset: Asset, folder: Path) -> str:
    """What to do about an official checkpoint that is not there: the command, the release's page, the folder."""
    size = f" ({asset.size / 1e6:.0f} MB)" if asset.size else ""
    twin = OFFICIAL.get(f"{asset.name}u")
    more = (
        f" {twin.file} is the same network with the head that is used here, whose weights transfer too." if twin else ""
    )
    return (
        f"It is an official checkpoint, and nothing is fetched unasked. Fetch it with: python prepare.py weights {asset.name}"
        f"{size}, or by hand from {asset.page} into {folder}/.{more}"
    )
