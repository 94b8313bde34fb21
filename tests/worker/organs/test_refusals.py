"""Refusals of one prompt in every provider's own words, and what is no such refusal."""

from __future__ import annotations

import pytest

from worker.organs.refusals import Sizes, declined, doubtful, too_long

LONG = [
    # https://platform.openai.com/docs/guides/error-codes
    (
        400,
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9310 tokens.",
        Sizes(8192, 9310),
    ),
    # vLLM, DeepSeek
    (
        400,
        "",
        "This model's maximum context length is 4096 tokens. However, you requested 4208 tokens (112 in the messages)",
        Sizes(4096, 112),
    ),
    (
        400,
        "",
        "This model's maximum context length is 4096 tokens and your request has 112 input tokens (4096 > 4096 - 112).",
        Sizes(4096, 112),
    ),
    # Anthropic
    (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", Sizes(200000, 210000)),
    (
        400,
        "",
        "input length and `max_tokens` exceed context limit: 198000 + 4096 > 200000, decrease input length",
        Sizes(200000, 198000),
    ),
    (413, "request_too_large", "Request exceeds the maximum size", Sizes()),
    # xAI
    (
        400,
        "",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        Sizes(131072, 537812),
    ),
    # Gemini
    (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        Sizes(1048576, 1200000),
    ),
    # llama.cpp, in older and newer words
    (400, "exceed_context_size_error", "the request exceeds the available context size, try increasing it", Sizes()),
    (
        400,
        "",
        "request (8300 tokens) exceeds the available context size (4096 tokens), try increasing it",
        Sizes(4096, 8300),
    ),
    # LM Studio
    (
        400,
        "",
        "Trying to keep the first 6234 tokens when context the overflows. Loaded with context length of only 4096",
        Sizes(4096, 6234),
    ),
    # Mistral
    (
        400,
        "",
        "Prompt contains 40,000 tokens and 0 draft tokens, too large for model with 32,768 maximum context length",
        Sizes(32768, 40000),
    ),
    # Groq
    (
        413,
        "rate_limit_exceeded",
        "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7210, please reduce",
        Sizes(6000, 7210),
    ),
    # OpenAI, for more than a minute's tokens at once: waiting does not help
    (
        429,
        "rate_limit_exceeded",
        "Request too large for m on tokens per min (TPM): Limit 30000, Requested 31000.",
        None,
    ),
    # TGI
    (
        422,
        "validation",
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 4096 `max_new_tokens`",
        Sizes(4096, 5000),
    ),
    # Bedrock, Cohere
    (400, "", "Input is too long for requested model.", Sizes()),
    (400, "", "too many tokens: total number of tokens in the prompt cannot exceed 4081", Sizes()),
]


@pytest.mark.parametrize(("status", "code", "message", "sizes"), LONG)
def test_too_long(status: int, code: str, message: str, sizes: Sizes | None) -> None:
    """Each provider's words are understood, with the sizes that they tell."""
    assert too_long(status, code, message) == (sizes or Sizes(30000, 31000))


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        # Azure: https://learn.microsoft.com/en-us/azure/ai-services/openai/concepts/content-filter
        (
            400,
            "content_filter",
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        ),
        (400, "", "Your request was rejected as a result of our safety system."),
        (400, "content_policy_violation", "rejected"),
        # OpenRouter: https://openrouter.ai/docs/api-reference/errors
        (403, "", 'm requires moderation on p. Your input was flagged for "violence".'),
        # Alibaba
        (400, "data_inspection_failed", "Input data may contain inappropriate content."),
        # xAI
        (403, "", "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE"),
    ],
)
def test_declined(status: int, code: str, message: str) -> None:
    """A content filter is recognized by its code or by its words."""
    assert declined(status, code, message)
    assert too_long(status, code, message) is None


@pytest.mark.parametrize(
    ("status", "code", "message", "in_doubt"),
    [
        (401, "invalid_api_key", "Incorrect API key provided", False),
        (403, "", "Your project does not have access to this model", False),
        (404, "model_not_found", "The model `m` does not exist", False),
        (429, "rate_limit_exceeded", "Rate limit reached: Limit 30000, Used 30000, Requested 100. Try in 1 s.", False),
        (503, "", "The engine is overloaded; context length exceeded", False),
        (200, "overloaded_error", "Overloaded", False),
        (400, "", "Failed to call a function. Please adjust your prompt.", True),
        (422, "", "Unprocessable Entity", True),
        (500, "", "error parsing tool call: raw='{'", True),
        (200, "", "Provider returned error", True),
    ],
)
def test_what_says_nothing_of_the_kind(status: int, code: str, message: str, in_doubt: bool) -> None:
    """Outages and faults of the account are neither; what may be either is in doubt."""
    assert (too_long(status, code, message), declined(status, code, message)) == (None, False)
    assert doubtful(status, code) is in_doubt
