"""Uploaded pictures: what they are, and what they are made into. Pillow, within limits; runs in the limited process."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from server.jpeg import flaw_of_scans
from server.wire.states import ImageStyle

if TYPE_CHECKING:
    from PIL.Image import Image

UPLOAD_PIXELS_MAX: Final = 50_000_000
"""Largest picture that is decoded: about 150 MB of memory; a phone's has 12 to 50 million."""

THUMBNAIL_SIDE_PX: Final = 256
PROCESSED_MIME_TYPE: Final = "image/jpeg"
_QUALITY: Final = 82
_FORMATS: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


class PictureRefused(ValueError):
    """The bytes are no picture that is taken here; the message says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the bytes are."""

    mime_type: str
    width: int
    height: int


def examined_and_rendered(data: bytes, styles: Sequence[ImageStyle]) -> tuple[Picture, list[bytes | None]]:
    """The picture, decoded to its last pixel, and its bytes in each style (None: the original). PictureRefused."""
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=list(_FORMATS)) as image:
                picture = _examined(image, data)
                image.load()
                return picture, [_rendered(image, style) for style in styles]
        except PictureRefused:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise PictureRefused(f"too many pixels: at most {UPLOAD_PIXELS_MAX} are taken") from None
        except UnidentifiedImageError:
            raise PictureRefused("no JPEG, PNG or WebP that decodes: the bytes begin like none of them") from None
        except Exception as error:  # Pillow's decoders raise whatever damaged bytes make them stumble over
            raise PictureRefused(f"no JPEG, PNG or WebP that decodes: {str(error)[:120]}") from None


def _examined(image: Image, data: bytes) -> Picture:
    width, height = image.size
    if width * height > UPLOAD_PIXELS_MAX:
        raise PictureRefused(f"{width} x {height} pixels, at most {UPLOAD_PIXELS_MAX} are taken")
    if image.format == "JPEG" and (flaw := flaw_of_scans(data)) is not None:
        raise PictureRefused(flaw)
    return Picture(_FORMATS[image.format or ""], width, height)


def _rendered(image: Image, style: ImageStyle) -> bytes | None:
    from PIL import ImageOps

    match style:
        case ImageStyle.ORIGINAL:
            return None
        case ImageStyle.THUMBNAIL:
            small = ImageOps.exif_transpose(image).convert("RGB")
            small.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
            return _jpeg(small)
        case ImageStyle.GREYSCALE:
            return _jpeg(ImageOps.exif_transpose(image).convert("L"))


def _jpeg(image: Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
