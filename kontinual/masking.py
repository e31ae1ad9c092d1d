"""URLs without their passwords, wherever they are shown or kept."""

import re

__all__ = ["masked"]

MASK = "***"
# The user stays. A password may hold `/` and `@` where it was not quoted, so all up to the last `@`
# of the word goes; and a URL that lacks its `://` is one that was mistyped.
_PASSWORD = re.compile(r"(^[^\s:/@'\"]*|//[^\s:/@'\"]*):(?!//)[^\s'\"]*@")
_TOKEN = re.compile(r"(https?://)[^\s:/?#@'\"]+@")
_PARAMETER = re.compile(r"([?&](?:password|passwd|pwd|token|secret)=)[^&\s'\"]*", re.IGNORECASE)


def masked(text: str) -> str:
    """A URL, or a text that may hold some, with `***` for what only its owner may know.

    Examples:
        >>> masked("http://ana:s3cr3t@prometheus:9090 can not be reached")
        'http://ana:***@prometheus:9090 can not be reached'
    """
    text = _PASSWORD.sub(rf"\1:{MASK}@", text)
    text = _TOKEN.sub(rf"\1{MASK}@", text)
    return _PARAMETER.sub(rf"\1{MASK}", text)
