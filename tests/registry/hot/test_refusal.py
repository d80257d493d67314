import json

from registry.hot.refusal import BODY_SLOW, HEAD_LATE, HOST_AMBIGUOUS, MALFORMED, head_too_large


def test_a_refusal_is_a_whole_answer_in_the_spec_s_form() -> None:
    head, _, body = head_too_large(1000, 10).render([(b"date", b"now")]).partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"date: now",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"connection: close",
    ]
    (error,) = json.loads(body)["errors"]
    assert error["code"] == "UNSUPPORTED"
    assert "1000 bytes or 10 fields" in error["message"]


def test_codes_are_none_that_a_client_retries_for_ever() -> None:
    # go-containerregistry retries these, whatever the status.
    retried = {"UNKNOWN", "BLOB_UPLOAD_INVALID", "UNAVAILABLE"}
    assert not {refusal.error.code for refusal in (MALFORMED, HOST_AMBIGUOUS, HEAD_LATE, BODY_SLOW)} & retried
