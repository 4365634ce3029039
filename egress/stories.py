"""What a failed step of a check means: what happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

# Code -> (what happened, what to do). The names in braces are facts of the step.
DIAGNOSES = {
    "dns": (
        "The name {name} cannot be resolved.",
        "Check the DNS servers of this host{servers}.",
    ),
    "dns_timeout": (
        "No DNS server answered for {name} in time.",
        "Check the DNS servers of this host{servers}.",
    ),
    "outside_range": (
        "{host} has the address {address}, which lies outside {range}.",
        "Allow the name, not only the range.",
    ),
    "not_public": (
        "{host} has the address {address}, {kind}. License keys are fetched from public"
        " addresses only.",
        "Check DNS. Set NMS_PROXY_URL if a proxy leads out, or bring the keys by"
        " NMS_JWKS_FILE.",
    ),
    "tcp_timeout": (
        "TCP to {name} timed out on port {port}. DNS works, so a firewall is the likely"
        " cause.",
        "Allow outbound TCP {port} in it, then run the checks again.",
    ),
    "tcp_refused": (
        "Something answered and refused: {name}, port {port}.",
        "Check the address. A firewall that rejects looks the same.",
    ),
    "tcp_unreachable": (
        "This host knows no way to {name} ({reason}).",
        "Check its network, its default route and its firewall.",
    ),
    "proxy_down": (
        "Nothing listens at the proxy {proxy} of NMS_PROXY_URL.",
        "Start the proxy, or correct NMS_PROXY_URL and start again.",
    ),
    "proxy_timeout": (
        "TCP to the proxy {proxy} of NMS_PROXY_URL timed out.",
        "Check that it runs, and allow TCP {port} to it.",
    ),
    "proxy_auth": (
        "The proxy {proxy} asks for a user name and password (407).",
        "Write them into NMS_PROXY_URL, as http://USER:PASSWORD@{proxy}, and start"
        " again.",
    ),
    "proxy_login": (
        "The proxy {proxy} refused the user name and password of NMS_PROXY_URL (407).",
        "Correct them there (percent-encode what is not a letter or digit) and start"
        " again. It must take Basic authentication.",
    ),
    "proxy_refused": (
        "The proxy {proxy} answered {status} and did not connect to {host}.",
        "Allow {host}, port {target_port}, on the proxy.",
    ),
    "proxy_silent": (
        "What listens at {proxy} did not answer as a proxy does.",
        "Check the address and the scheme in NMS_PROXY_URL.",
    ),
    "proxy_tls": (
        "No encrypted connection to the proxy {proxy} could be made: {reason}.",
        "Check the scheme in NMS_PROXY_URL, and add the proxy’s CA with NMS_CA_BUNDLE.",
    ),
    "tls_unknown_ca": (
        "The certificate of {host} was issued by {issuer}, which this host does not"
        " trust. A proxy that inspects traffic is the likely cause.",
        "Ask for the CA certificate of {issuer} as a PEM file, set NMS_CA_BUNDLE to its"
        " path and start again; or leave {host} out of the inspection.",
    ),
    "tls_not_in_bundle": (
        "The certificate of {host} was issued by {issuer}, which neither this host nor"
        " NMS_CA_BUNDLE knows. A proxy that inspects traffic is the likely cause.",
        "Add the CA certificate of {issuer} to {bundle} and start again; or leave {host}"
        " out of the inspection.",
    ),
    "tls_expired": (
        "The certificate of {host} ended on {day}.",
        "Check the clock of this server first. If it is right, whoever runs {host} or"
        " an inspecting proxy has to renew it.",
    ),
    "tls_not_yet": (
        "The certificate of {host} begins only on {day}.",
        "Check the clock of this server.",
    ),
    "tls_wrong_host": (
        "The certificate is for {names}, not for {host}.",
        "Something else answers at this address. Check DNS, the hosts file and the"
        " proxy.",
    ),
    "tls_certificate": (
        "The certificate of {host} is not valid: {reason}.",
        "Check what stands between this host and {host}.",
    ),
    "tls_not_spoken": (
        "What answers at {host} does not speak TLS.",
        "Check the port, and whether a captive portal or a proxy answers instead.",
    ),
    "tls_old": (
        "{host} offers only TLS older than 1.2.",
        "Nothing is sent over it. Check what stands between this host and {host}.",
    ),
    "tls_cut": (
        "The connection to {host} was cut while TLS began.",
        "A firewall that looks at names is the likely cause: allow {host}.",
    ),
    "tls_timeout": (
        "TLS with {host} did not begin in time, although TCP works.",
        "A firewall that holds traffic back is the likely cause: allow {host}.",
    ),
    "ca_bundle": (
        "NMS_CA_BUNDLE cannot be read: {reason}.",
        "It is a PEM file that the service’s user can read.",
    ),
    "http_timeout": (
        "{host} took the question and did not answer in time.",
        "A proxy or firewall may hold it back. Run the checks again in a minute.",
    ),
    "http_cut": (
        "The connection to {host} ended before an answer was there.",
        "A proxy or firewall may have cut it. Run the checks again in a minute.",
    ),
    "http_not_spoken": (
        "What came back from {host} is not HTTP.",
        "Check the port and the proxy.",
    ),
    "http_page": (
        "A page for people came back from {host} ({status}) instead of the API.",
        "A captive portal or a filtering proxy is the likely cause: leave {host} out.",
    ),
    "http_redirect": (
        "{host} leads elsewhere ({status}); redirects are never followed.",
        "A captive portal or a filtering proxy is the likely cause: leave {host} out.",
    ),
    "http_proxy_auth": (
        "A proxy on the way asks for a user name and password (407).",
        "Set NMS_PROXY_URL with them, or leave {host} out of the proxy.",
    ),
    "http_trouble": (
        "{host} is reached and in trouble itself ({status}).",
        "Nothing to do here: reports wait and are tried again.",
    ),
    "clock": (
        "The clock of this server is {skew} {direction} the clock of {host}.",
        "Set it by NTP: licenses and reports are dated by it.",
    ),
}


def diagnosis(code: str, facts: Mapping[str, object]) -> tuple[str, str]:
    """Return what happened and what to do, as two sentences.

    Example:
        >>> diagnosis("tcp_refused", {"name": "localhost", "port": 9})[0]
        'Something answered and refused: localhost, port 9.'
    """
    happened, todo = DIAGNOSES[code]
    return happened.format_map(facts), todo.format_map(facts)
