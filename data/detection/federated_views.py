"""What is known of a training image that is made of several: the transforms that join images join this too."""

from __future__ import annotations

from typing import Any

from data.detection.federated import merged

VERIFIED = "verified"  # entry of an item: a `Verified`


class MosaicVerified:
    """Put before the stock mosaic; does nothing to items without the entry."""

    def _cat_labels(self, mosaic_labels: list[dict[str, Any]]) -> dict[str, Any]:
        """mosaic_labels: the tiles."""
        joined: dict[str, Any] = super()._cat_labels(mosaic_labels)  # type: ignore[misc]
        if mosaic_labels and VERIFIED in mosaic_labels[0]:
            joined[VERIFIED] = merged([tile[VERIFIED] for tile in mosaic_labels])
        return joined


class MixUpVerified:
    """Put before the stock mixup; the same."""

    def apply_instances(self, labels: dict[str, Any], params: dict[str, Any] | None = None) -> dict[str, Any]:
        """labels: an item, with the one that it is blended with in `mix_labels`."""
        if VERIFIED in labels:
            labels[VERIFIED] = merged([labels[VERIFIED], labels["mix_labels"][0][VERIFIED]])
        result: dict[str, Any] = super().apply_instances(labels, params)  # type: ignore[misc]
        return result
