from __future__ import annotations

import pytest

from nms_admin.env import documented_proxy

ON = {"PROXY_ENABLE": "true", "PROXY_HOST": "proxy.example", "PROXY_PORT": "3128"}


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, ""),
        ({**ON, "PROXY_ENABLE": "false"}, ""),
        ({**ON, "PROXY_HOST": ""}, ""),
        (ON, "http://proxy.example:3128"),
        ({**ON, "PROXY_PROTOCOL": "HTTPS"}, "https://proxy.example:3128"),
        (
            {**ON, "PROXY_USERNAME": "ada", "PROXY_PASSWORD": "a@b:c/d"},
            "http://ada:a%40b%3Ac%2Fd@proxy.example:3128",
        ),
        (
            {**ON, "PROXY_AUTH_USERNAME": "ada", "PROXY_AUTH_PASSWORD": "x"},
            "http://ada:x@proxy.example:3128",
        ),
    ],
)
def test_the_documented_variables_name_a_proxy(variables, address) -> None:
    assert documented_proxy(variables) == address
