"""An upload as the HTTP exchange that it is. Pure."""

from __future__ import annotations

from typing import Final

from harness.plan_devices import Fleet
from harness.plan_steps import HttpExchange
from harness.scenario_upload import Upload

_BOUNDARY: Final = "wakestorm-form-boundary"


def planned_upload(upload: Upload, fleet: Fleet) -> HttpExchange:
    """The form's bytes; equal pictures are equal bytes in every scenario and under every seed."""
    if upload.to is not None:
        return _planned_part(upload, fleet)
    if upload.file_text is not None:
        data = upload.file_text.encode()
    else:
        from simulator.camera import render

        data = render("upload", upload.picture, 0, upload.size_bytes)
    fields = [("style", style) for style in upload.styles] + [(name, str(said)) for name, said in upload.says.items()]
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields]
    head = f'Content-Disposition: form-data; name="file"; filename="{upload.file_name}"\r\n\r\n'
    parts.append(head.encode() + data)
    body = b"".join(b"--" + _BOUNDARY.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return HttpExchange(
        method="POST",
        path=f"/api/v1/projects/{fleet.filled(upload.project)}/images",
        headers={"content-type": f"multipart/form-data; boundary={_BOUNDARY}"},
        body=body + f"--{_BOUNDARY}--\r\n".encode(),
        which=upload.which,
        status=upload.status or 201,
        contains=fleet.filled(upload.contains),
        text=upload.text,
        keep=dict(upload.keep),
    )


def _planned_part(upload: Upload, fleet: Fleet) -> HttpExchange:
    from harness.sample_video import sample_video

    start = (upload.part - 1) * upload.part_size_bytes
    data = b"" if start < 0 else sample_video(upload.video)[start : start + upload.part_size_bytes]
    return HttpExchange(
        method="PUT",
        path=f"/api/v1/videos/{fleet.filled(upload.to)}/upload/parts/{upload.part}",
        headers={"content-type": "application/octet-stream"},
        body=data,
        cut_after_bytes=upload.cut_after_bytes,
        which=upload.which,
        status=upload.status or 200,
        contains=fleet.filled(upload.contains),
        text=upload.text,
        keep=dict(upload.keep),
    )
