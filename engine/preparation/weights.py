"""`prepare.py weights`: official checkpoints, fetched because somebody asked for them."""

from __future__ import annotations

import re
from pathlib import Path

from engine.checkpoint import load_weights
from engine.options.prepare import WeightsOptions
from utils.errors import UserError, suggestion
from utils.files import REPOSITORY, file_digest
from utils.log import LOGGER, redact
from utils.releases.assets import OFFICIAL, Asset, official
from utils.releases.download import Wanted, download


def weights(options: WeightsOptions) -> list[Path]:
    """Fetch checkpoints into --out; returns the files. One that is there already is checked, not fetched again.

    Raises UserError for unknown names, and as `download` does.
    """
    assets = [known(name) for name in options.names]
    if not assets:
        raise UserError(f"prepare.py weights: name at least one checkpoint. There are {', '.join(OFFICIAL)}.")
    if len(assets) > 1 and (options.url or options.sha256):
        raise UserError("--url, --sha256: are of one file. Name one checkpoint, or leave them out.")
    if options.sha256 and not re.fullmatch("[0-9a-fA-F]{64}", options.sha256):
        raise UserError(f"--sha256 {options.sha256}: expected 64 hexadecimal digits.")
    folder = options.out or REPOSITORY / "weights"
    return [one(asset, folder, options) for asset in assets]


def known(name: str) -> Asset:
    """The official checkpoint of a name, with or without .pt. Raises UserError where there is none."""
    asset = official(name)
    if asset is None:
        raise UserError(
            f"prepare.py weights {name}: there is no such official checkpoint.{suggestion(name, OFFICIAL)} There are "
            f"{', '.join(OFFICIAL)}."
        )
    return asset


def one(asset: Asset, folder: Path, options: WeightsOptions) -> Path:
    """Fetch one checkpoint, or check the file that is there; say its size and checksum."""
    target, expected = folder / asset.file, options.sha256 or asset.sha256
    if target.is_dir():
        raise UserError(f"{target}: is a folder; expected a file, or nothing. Move it away, or choose another --out.")
    if target.exists():
        digest, there = file_digest(target), "is there already"
        if expected and digest != expected.lower():
            raise UserError(
                f"{target}: is there already, but its SHA-256 is {digest}, expected {expected.lower()}. Move it away to fetch "
                "the official file."
            )
    else:
        url = options.url or asset.url
        size = asset.size if not (options.url or options.sha256) else None
        LOGGER.info(f"fetching {redact(url)}{f' ({asset.size:,} bytes)' if asset.size else ''}")
        digest = download(Wanted(url, size, expected, typed=bool(options.url)), target, load_weights)
        there = "is ready"
    word = "as expected" if expected else "not known to this project: keep it, and compare it with other sources"
    LOGGER.info(f"{target} {there}: {target.stat().st_size:,} bytes, SHA-256 {digest} ({word})")
    LOGGER.info(f"Use it with --weights {asset.file}")
    return target
