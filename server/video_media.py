"""Uploaded videos: what they are, and the proxy that is made of one. The door to PyAV; runs in a limited process.

Bytes that nobody vouches for are opened as one of a few containers only: ffmpeg's playlists would read other files.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

PROXY_HEIGHT_PX: Final = 480
PROXY_FPS: Final = 10
PROXY_MIME_TYPE: Final = "video/mp4"

PIXELS_MAX: Final = 36_000_000
"""A frame of 8192 x 4320 fits; more is a bomb."""

DURATION_S_MAX: Final = 7 * 86_400.0
FPS_MAX: Final = 999.99
"""What numeric(5,2) holds."""

CONTAINERS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg"
_OPENING: Final = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
_ENCODER: Final = {"preset": "veryfast", "crf": "28", "threads": "1"}


class VideoRefused(ValueError):
    """The bytes are no video that is taken here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoProperties:
    """What ffprobe would say: pixels, frames a second, the codec's name, seconds."""

    width: int
    height: int
    fps: float | None
    codec: str
    duration_s: float | None


def probed(path: str) -> VideoProperties:
    """The properties of a file's first video stream, whose first frame decodes. Raises VideoRefused."""
    with Path(path).open("rb") as file:
        found: VideoProperties = _guarded(lambda container: _examined(container, _stream_of(container)), file)
    return found


def make_proxy(source: str, target: str) -> VideoProperties:
    """Write the proxy of a video, 480 lines at 10 frames a second, without sound. Raises VideoRefused."""
    with Path(source).open("rb") as file:
        _guarded(lambda container: _transcoded(container, target), file)
    return probed(target)


def _guarded(work: Any, file: Any) -> Any:
    import av
    import av.logging

    av.logging.set_level(av.logging.PANIC)  # what ffmpeg thinks of a file is said by the error
    try:
        with av.open(file, options=dict(_OPENING)) as container:
            return work(container)
    except VideoRefused:
        raise
    except MemoryError:
        raise
    except Exception as error:  # ffmpeg's demuxers and decoders raise whatever damaged bytes make them stumble over
        words = getattr(error, "strerror", None) or type(error).__name__
        told = " ".join(str(words).split())[:160]
        raise VideoRefused(f"no video that decodes, of MP4, MOV, Matroska, WebM, AVI or MPEG: {told}") from None


def _stream_of(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise VideoRefused("the file has no video stream")
    stream = container.streams.video[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if not 0 < width * height <= PIXELS_MAX:
        raise VideoRefused(f"frames of {width} x {height} pixels; 1 to {PIXELS_MAX} pixels are taken")
    return stream


def _examined(container: InputContainer, stream: VideoStream) -> VideoProperties:
    if next(container.decode(stream), None) is None:
        raise VideoRefused("the video has no frame")
    rate = stream.average_rate or stream.guessed_rate
    fps = None if not rate else float(rate)
    duration_s = _duration_s(container, stream)
    if duration_s is not None and not 0 <= duration_s <= DURATION_S_MAX:
        raise VideoRefused(f"the video claims to last {duration_s:.0f} s; at most {DURATION_S_MAX:.0f} s are taken")
    return VideoProperties(
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        fps=round(fps, 2) if fps is not None and 0 < fps <= FPS_MAX else None,
        codec=stream.codec_context.name[:50],
        duration_s=duration_s,
    )


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    import av

    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _transcoded(container: InputContainer, target: str) -> None:
    import av
    from av.filter import Graph

    stream = _stream_of(container)
    graph = Graph()
    source = graph.add_buffer(template=stream, time_base=stream.time_base)
    frames = graph.add("fps", str(PROXY_FPS))
    lines = graph.add("scale", f"-2:{PROXY_HEIGHT_PX}")
    pixels = graph.add("format", "yuv420p")
    graph.link_nodes(source, frames, lines, pixels, graph.add("buffersink")).configure()
    with av.open(target, "w", format="mp4", options={"movflags": "+faststart"}) as out:
        encoder: Any = None
        for frame in itertools.chain(container.decode(stream), [None]):
            for small in _filtered(graph, frame):
                if encoder is None:
                    encoder = out.add_stream("libx264", rate=PROXY_FPS, options=dict(_ENCODER))
                    encoder.width, encoder.height, encoder.pix_fmt = small.width, small.height, "yuv420p"
                    encoder.time_base = Fraction(1, PROXY_FPS)
                out.mux(encoder.encode(small))
        if encoder is None:
            raise VideoRefused("the video has no frame")
        out.mux(encoder.encode(None))


def _filtered(graph: Any, frame: Any) -> Any:
    """What comes out of the graph for one frame more, or for the end (None)."""
    import av

    graph.push(frame)
    while True:
        try:
            small = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        small.pts = round(small.pts * small.time_base * PROXY_FPS)
        small.time_base = Fraction(1, PROXY_FPS)
        yield small
