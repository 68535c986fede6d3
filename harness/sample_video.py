"""A small video, made once with PyAV: two frames of 32 x 32 in MPEG-4, in an MP4 of 2,560 bytes."""

from __future__ import annotations

import base64
import functools
import struct
import zlib
from typing import Final

SIZE_BYTES: Final = 2_560

_PACKED: Final = (
    "c-oCqy-OoO6n~RMFNK9-3h{EVf{KM-Swy@-xN9VZU=<6oaI-Uui#u-E85gvW*oas7S6E#a6l0r0BnbWkrm(QFwX;&+OcI>L4}9#K"
    "-<x?K^FC$)AnVE9k}pCIkN}0qHZRTP03hu}j3F*^>PP@`2K_$}s{OT-o66DnarJq=@ze<K4AnsGzEC~L@QcUl-Bn{BAo-hzVT?fn"
    "9&b|UpyUHCbs(U=HzJ)@-TOcAB_;54W#nw3ye_x&oyiZP)!%u3=U%JD0HcgbftY21kcLP7&6hMd^&REGX?N`ts=rXU)SIbI8bobP"
    ">{Di1uHrt-JKHp1%7z?rf7?SL6LTHZOmmbrby*rQ&q%6oCkm{lOqPT!1}NVODX3v{jZ=?5X@x4<f;?jWQ;TjIdU?Thg9$41u*>E0"
    "3c95b|5^juB(0<M;K>X|tf=hH{|z>S6ALbnkDx$Osf>%;(`6@i=j~~GVLCT!_o5F;s4f&`)M|gao!gL*dNl1k(JrOrELQ9q=PjK^"
    "rQ7R#M(`7PSluC{8ybF-$i*Eh)o9l^)2L{~93zfCa!RGZY{``0d@E!BWvBxF!vD%?Hxujgu)dtF>U#w|Yk;l"
)


@functools.cache
def sample_video(number: int) -> bytes:
    """The video; another number, other bytes: it stands in a box that players skip."""
    video = zlib.decompress(base64.b85decode(_PACKED))
    box = SIZE_BYTES - len(video)
    return video + struct.pack(">I4sI", box, b"free", number) + bytes(box - 12)
