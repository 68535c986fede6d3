"""Small videos, made once: a few frames of moving colour in MP4."""

from __future__ import annotations

import functools
import io


@functools.cache
def video(number: int = 1, *, frames: int = 4, width: int = 64, height: int = 48, fps: int = 20) -> bytes:
    """An MP4 of about 2 kB; another number, other bytes."""
    import av
    from PIL import Image

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"threads": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in range(frames):
            picture = Image.new("RGB", (width, height), (number * 37 % 256, frame * 11 % 256, 90))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
    return out.getvalue()
