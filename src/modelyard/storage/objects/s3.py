"""Objects in a bucket of S3, or of any server that speaks its protocol."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

from modelyard.core.errors import Invalid
from modelyard.storage.objects._obstore import ObstoreStore
from modelyard.storage.objects.keys import checked

LARGEST_COPY = 5 << 30  # of one CopyObject request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html


class BucketStore(ObstoreStore):
    """`s3://bucket/path`. Endpoint, region and keys come from `options`, then from the AWS_* variables."""

    _client: S3Store

    @classmethod
    def accepts(cls, url: str) -> bool:
        return url.startswith("s3://")

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        if not parts.netloc or parts.query or parts.fragment:
            raise Invalid(f"{url!r} is not the URL of a bucket. Write it as s3://bucket or s3://bucket/path.")
        try:
            self._client = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config={name.lower(): value for name, value in (options or {}).items()},  # type: ignore[arg-type]
                # A large object takes as long as it takes; a connection that is silent is given up.
                client_options={"allow_http": True, "timeout": "12h", "read_timeout": "30s", "connect_timeout": "5s"},
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
            )
        except (BaseError, ValueError) as error:
            raise Invalid(f"The object store {url} cannot be opened: {str(error).splitlines()[0]}") from error
        self._bucket = parts.netloc

    @property
    def place(self) -> str:
        found = self._client.config
        endpoint = found.get("aws_endpoint_url_s3") or found.get("endpoint") or "Amazon S3"
        return f"The bucket {self._bucket} at {endpoint}"

    @property
    def access_hint(self) -> str:
        return "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and what this key may do with the bucket."

    def copy(self, source: str, target: str) -> None:
        checked(target)
        if self.info(source).size > LARGEST_COPY:
            self.put(target, self.stream(source))
        else:
            super().copy(source, target)
