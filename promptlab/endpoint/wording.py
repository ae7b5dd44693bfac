"""The codes and sentences by which servers say what is wrong: fourteen servers, no two alike."""

from __future__ import annotations

import re
from functools import cache

QUOTA_CODES = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
)
QUOTA_TEXT = re.compile(
    r"(?i)exceeded your current quota|usage limit reached|credit balance is too low|insufficient (credit|balance)"
)
RATE = re.compile(r"(?i)rate.?limit|too many requests")
KEY = re.compile(
    r"(?i)api_key_invalid|invalid_api_key|invalid_authentication|no_db_connection"
    r"|^(api[ _-]?key (is )?(not (valid|found)|invalid|missing|expired)|(invalid|incorrect|missing) api[ _-]?key)"
)
"""A wrong key without a 401: Google and LiteLLM say 400. A sentence counts only where the server's words begin."""
OVERFLOW = re.compile(
    r"(?i)context[ _](length|window)[ _]exceeded|maximum context length|exceed_context_size|string_above_max_length"
    r"|(prompt|input) is too long|exceeds? the (model.s |available |maximum )*context"
    r"|reduce the length of the (messages|prompt|input)"
)
TOO_LARGE = re.compile(r"(?i)request too large")
"""A 429 that no wait mends: this one request is larger than what is allowed in a minute."""
REFUSED = re.compile(
    r"(?i)content_filter|content_policy_violation|invalid_prompt|cyber_policy|responsibleaipolicy|moderation_blocked"
    r"|data_inspection_failed|content management policy"
)
FLAGGED = re.compile(r"(?i)\bflagged\b|moderation|safety system")
NO_MODEL = re.compile(
    r"(?i)model_not_found|invalid_model|(invalid|unknown|no such) model|deploymentnotfound|no endpoints found"
    r"|\bmodel\b.{0,120}(not found|not exist|not available)|not have access to (the )?model"
)
UNSUPPORTED_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden")
UNSUPPORTED = re.compile(
    r"(?i)unsupported|not support|unknown|unrecognized|unexpected|not permitted|not allowed|forbidden|\bextra\b"
    r"|invalid|deprecated|must be|out of range|cannot be|less than|greater than"
)
THE_DATA = ("messages", "model", "input", "prompt")


@cache
def mention(key: str) -> re.Pattern[str]:
    """A key of the body in a sentence; a short one (n, stop, user) is an everyday word unless it is quoted."""
    name = re.escape(key)
    return re.compile(rf"[`'\"]{name}[`'\"]" + (rf"|(?<!\w){name}(?!\w)" if len(key) > 4 else ""))
