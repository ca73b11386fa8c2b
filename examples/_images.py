"""Reading photographs: PNG, JPEG and TIFF, grey or colour, of 8 or 16 bits."""

from pathlib import Path

import numpy as np
import png
import skimage.data
import tifffile
from PIL import Image, ImageOps

from _common import Parser, Refusal, reading

DEFAULT_IMAGE = Path(skimage.data.__file__).with_name("coffee.png")
KEPT = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.PALETTE)


def add_input(parser: Parser) -> None:
    """Add the argument that names a photograph."""
    parser.add_argument(
        "input",
        nargs="?",
        type=Path,
        metavar="IN",
        help="PNG, JPEG or TIFF, grey or colour, 8 or 16 bits (default: the coffee in skimage.data, CC0)",
    )


def read_image(path: Path) -> np.ndarray:
    """Read a grey (rows, columns) or colour (rows, columns, channels) image of 8 or 16 bits."""
    with reading(path):
        with path.open("rb") as file:
            head = file.read(26)
        if head.startswith(b"\x89PNG") and head[24] == 16 and head[25] != 0:  # 16 bits, and not plain grey
            image = read_deep_png(path)
        elif head.startswith((b"II*\0", b"MM\0*")):
            image = read_tiff(path)
        else:
            image = read_with_pillow(path)
    if image.dtype not in (np.uint8, np.uint16):
        raise Refusal(f"cannot process {path}: its samples are {image.dtype}, not uint8 or uint16")
    return image


def read_deep_png(path: Path) -> np.ndarray:
    """Read a PNG of 16 bits and several channels, which Pillow would cut to 8 bits."""
    with path.open("rb") as file:
        width, height, rows, header = png.Reader(file=file).read()
        return np.array(list(rows), np.uint16).reshape(height, width, header["planes"])


def read_tiff(path: Path) -> np.ndarray:
    """Read a TIFF: by tifffile where it has 16 bits and several channels, as with PNG."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        if len(file.pages) > 1 or page.photometric not in KEPT:
            raise Refusal(
                f"cannot process {path}: a TIFF must hold one grey or RGB image; process_scan.py takes stacks"
            )
        if page.bitspersample <= 8:
            return read_with_pillow(path)
        image = page.asarray()
        return np.moveaxis(image, page.axes.index("S"), -1) if "S" in page.axes else image


def read_with_pillow(path: Path) -> np.ndarray:
    """Read anything else, turned upright where the camera was not."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode == "1":
            upright = upright.convert("L")
        elif upright.mode == "P":
            upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        if upright.mode not in ("L", "LA", "RGB", "RGBA", "I;16"):
            raise Refusal(f"cannot process {path}: its pixels are {upright.mode}, not grey or RGB")
        return np.asarray(upright)


def has_alpha(image: np.ndarray) -> bool:
    """Whether the last channel says how opaque a pixel is."""
    return image.ndim == 3 and image.shape[2] in (2, 4)


def shown(image: np.ndarray) -> np.ndarray:
    """The colours, or grey, as float32 (rows, columns, channels) from 0 to 1; alpha left out."""
    colours = np.atleast_3d(image[..., :-1] if has_alpha(image) else image)
    return colours.astype(np.float32) / np.iinfo(image.dtype).max
