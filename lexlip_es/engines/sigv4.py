"""AWS Signature Version 4, as Amazon OpenSearch Service ("es") and OpenSearch Serverless ("aoss") demand it of every request.

botocore finds the credentials (environment, profile, role) and signs; the body's hash travels as a header, which Serverless
insists on. Source: AWS, "Signature Version 4 signing process" and "Signing HTTP requests to Amazon OpenSearch Service".
"""

import hashlib
import logging
from typing import Any

from lexlip_es.engines.errors import one_line
from lexlip_es.errors import LexlipError
from lexlip_es.extras import require_extra


class Signer:
    """Signs requests for one region and service with the credentials that AWS' own tools would use here.

    Raises `LexlipError` where botocore is not installed or finds no credentials.
    """

    def __init__(self, region: str, service: str) -> None:
        require_extra("aws", "botocore")
        import botocore.exceptions
        import botocore.session

        # At DEBUG it writes what it signs, a session's token included.
        logging.getLogger("botocore.auth").setLevel(logging.INFO)
        try:
            self._credentials: Any = botocore.session.Session().get_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise LexlipError(f"the AWS credentials cannot be read ({one_line(str(error))}).") from error
        if self._credentials is None:
            raise LexlipError(
                "no AWS credentials are found here: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        self._region = region
        self._service = service

    def headers(self, method: str, url: str, body: bytes | None) -> dict[str, str]:
        """The headers that sign one request, whose `url` and `body` are sent exactly as they are given here."""
        import botocore.exceptions
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        hashed = {"X-Amz-Content-SHA256": hashlib.sha256(body or b"").hexdigest()}
        request = AWSRequest(method=method, url=url, data=body, headers=hashed)
        try:
            SigV4Auth(self._credentials.get_frozen_credentials(), self._service, self._region).add_auth(request)
        except botocore.exceptions.BotoCoreError as error:  # a role's credentials ran out and cannot be had anew
            raise LexlipError(f"the AWS credentials cannot be renewed ({one_line(str(error))}).") from error
        return dict(request.headers.items())
