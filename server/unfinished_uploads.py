"""Multipart uploads that dying servers left unfinished on S3; the one door to boto3: obstore can not list them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

MISSING = "boto3 is not installed: pip install 'wakestorm[s3]', or give the bucket a lifecycle rule"


def swept(url: str, folders: tuple[str, ...], older_than: datetime) -> int:
    """Aborts those that were begun before that below the folders of s3://bucket/prefix; returns how many.

    Their parts, which no listing shows and the bucket's owner pays for, are gone then. Raises OSError where the store
    refuses or boto3 is not installed.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise OSError(MISSING) from None
    place = urlsplit(url)
    try:
        client = boto3.client("s3", endpoint_url=_endpoint(), region_name=_region())
        found = list(_begun(client, place.netloc, place.path.strip("/"), folders, older_than))
        for key, upload_id in found:
            client.abort_multipart_upload(Bucket=place.netloc, Key=key, UploadId=upload_id)
    except (BotoCoreError, ClientError) as error:
        raise OSError(str(error)) from error
    return len(found)


def _endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT")


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _begun(
    client: Any, bucket: str, prefix: str, folders: tuple[str, ...], older_than: datetime
) -> Iterator[tuple[str, str]]:
    """(key, id) of each; others' uploads in the same bucket are left alone."""
    for folder in folders:
        below = "/".join(part for part in (prefix, folder) if part) + "/"
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=below):
            for upload in page.get("Uploads", []):
                if upload["Key"].startswith(below) and upload["Initiated"] <= older_than:
                    yield upload["Key"], upload["UploadId"]
