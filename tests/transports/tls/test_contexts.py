from __future__ import annotations

import datetime
import errno
import os
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from reactor.exceptions import (
    WebSocketCertificateException,
    WebSocketException,
    WebSocketTLSException,
    WebSocketTLSOptionException,
)
from reactor.transports.tls import contexts as tls_contexts
from reactor.transports.tls.contexts import (
    for_another_host,
    make_context,
    make_server_context,
    strictness,
)

from ...support.tls_servers import Files, Server, hello, shake

UTC = datetime.timezone.utc

pytestmark = pytest.mark.usefixtures("new_contexts")


@pytest.mark.parametrize("sslopt", [None, {}, {"ca_certs": None, "context": None}])
def test_the_default_context_verifies(sslopt: dict[str, Any] | None) -> None:
    context = make_context(sslopt)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname is True
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.protocol == ssl.PROTOCOL_TLS_CLIENT


def test_a_given_context_is_returned_as_it_is() -> None:
    context = ssl.create_default_context()
    assert make_context({"context": context, "cert_reqs": ssl.CERT_NONE}) is context
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_context_that_is_none_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"sslopt\['context'\] is not an ssl.SSLContext: 'yes'"):
        make_context({"context": "yes"})


@pytest.mark.parametrize("sslopt", [{"ca_cert": "x"}, {"context": None, "ca_cert": "x", "b": 1}])
def test_an_unknown_key_is_named(sslopt: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'ca_cert'"):
        make_context(sslopt)


def test_the_keys_of_the_single_connection_do_not_make_another_context() -> None:
    sslopt = {
        "server_hostname": "a.example",
        "suppress_ragged_eofs": False,
        "do_handshake_on_connect": True,
    }
    assert make_context(sslopt) is make_context()


@pytest.mark.parametrize(
    ("sslopt", "verify_mode", "check_hostname"),
    [
        ({"cert_reqs": ssl.CERT_NONE}, ssl.CERT_NONE, False),
        ({"cert_reqs": 0}, ssl.CERT_NONE, False),
        ({"cert_reqs": ssl.CERT_NONE, "check_hostname": False}, ssl.CERT_NONE, False),
        ({"check_hostname": False}, ssl.CERT_REQUIRED, False),
        ({"cert_reqs": ssl.CERT_OPTIONAL}, ssl.CERT_OPTIONAL, True),
        ({"cert_reqs": ssl.CERT_REQUIRED, "check_hostname": True}, ssl.CERT_REQUIRED, True),
    ],
)
def test_verification_options(
    sslopt: dict[str, Any], verify_mode: ssl.VerifyMode, check_hostname: bool
) -> None:
    context = make_context(sslopt)
    assert (context.verify_mode, context.check_hostname) == (verify_mode, check_hostname)


def test_a_host_name_cannot_be_checked_without_a_certificate() -> None:
    with pytest.raises(WebSocketException, match=r"check_hostname=True.*CERT_NONE"):
        make_context({"cert_reqs": ssl.CERT_NONE, "check_hostname": True})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_version_that_is_asked_for_is_used() -> None:
    context = make_context({"ssl_version": ssl.PROTOCOL_TLSv1_2})
    assert context.protocol == ssl.PROTOCOL_TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname is True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_old_name_for_any_version_means_tls_1_2_too() -> None:
    context = make_context({"ssl_version": ssl.PROTOCOL_TLS})
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        (ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_2),
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_the_minimum_is_raised_but_never_lowered(
    system: ssl.TLSVersion, wanted: ssl.TLSVersion
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = system
    tls_contexts._require_tls_1_2(context)
    assert context.minimum_version == wanted


def test_ciphers(files: Files) -> None:
    context = make_context({"ciphers": "ECDHE-RSA-AES128-GCM-SHA256"})
    old = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert old == {"ECDHE-RSA-AES128-GCM-SHA256"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ciphers", "NO-SUCH-CIPHER"),
        ("ecdh_curve", "no-such-curve"),
        ("ssl_version", "TLS 7"),
        ("cert_reqs", "please"),
        ("cert_reqs", 17),
        ("ca_certs", "/no/such/file"),
        ("ca_certs", 5),
        ("certfile", "/no/such/file"),
    ],
)
def test_a_value_that_openssl_refuses_is_named(key: str, value: object) -> None:
    with pytest.raises(WebSocketTLSOptionException, match=key):
        make_context({key: value})


@pytest.mark.parametrize("value", [["only one"], 5, ("a", "b", "c", "d"), "abc"])
def test_a_chain_has_three_parts(value: object) -> None:
    with pytest.raises(ValueError, match=r"^cert_chain must be a tuple/list of \(certfile,"):
        make_context({"cert_chain": value})


def test_the_errno_of_a_missing_file_is_kept() -> None:
    with pytest.raises(WebSocketTLSException, match="No such file") as caught:
        make_context({"ca_certs": "/no/such/file"})
    assert caught.value.errno == errno.ENOENT


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing here\n")
    with pytest.raises(WebSocketTLSException, match=r"empty\.pem'.*: no certificate"):
        make_context({"ca_certs": str(path)})


def test_a_keyfile_alone_is_an_error(files: Files) -> None:
    with pytest.raises(WebSocketTLSException, match="keyfile, but no certfile"):
        make_context({"keyfile": files.key})


def test_an_elliptic_curve_can_be_chosen() -> None:
    assert make_context({"ecdh_curve": "prime256v1"}) is not make_context()


# --- one context per content --------------------------------------------------------------------


def test_the_same_content_is_the_same_context(files: Files) -> None:
    sslopt = {"ca_certs": files.ca, "check_hostname": False}
    context = make_context(sslopt)
    assert make_context(dict(reversed(sslopt.items()))) is context
    assert make_context({**sslopt, "keyfile": None}) is context
    assert make_context({"ca_certs": files.ca}) is not context


def test_values_that_cannot_be_hashed_are_fine(files: Files) -> None:
    class Unhashable(str):
        __slots__ = ()
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise AssertionError("such values are known by their identity")

    chain = [files.cert, files.key, bytearray(b"unused")]
    context = make_context({"cert_chain": chain})
    assert make_context({"cert_chain": list(chain)}) is context
    assert make_context({"cert_chain": [files.cert, files.key, bytearray(b"other")]}) is not context

    ciphers = Unhashable("DEFAULT")
    context = make_context({"ciphers": ciphers})
    assert make_context({"ciphers": ciphers}) is context
    assert make_context({"ciphers": Unhashable("DEFAULT")}) is not context


def test_a_renewed_file_gives_a_new_context(files: Files, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    shutil.copy(files.ca, bundle)
    sslopt = {"ca_certs": bundle}
    context = make_context(sslopt)
    assert make_context(sslopt) is context
    trustme.CA().cert_pem.write_to_path(str(bundle))
    os.utime(bundle, ns=(1, 1))
    renewed = make_context(sslopt)
    assert renewed is not context
    assert renewed.get_ca_certs() != context.get_ca_certs()


def test_a_renewed_file_of_a_certificate_chain_gives_a_new_context(
    files: Files, tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "cert.key"
    shutil.copy(files.cert, cert)
    shutil.copy(files.key, key)
    chain = (str(cert), str(key), None)
    context = make_context({"cert_chain": chain})
    os.utime(key, ns=(1, 1))
    assert make_context({"cert_chain": chain}) is not context


def test_the_cache_is_bounded_and_forgets_what_was_unused_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tls_contexts, "MAX_CONTEXTS", 2)
    first = make_context({"ciphers": "DEFAULT"})
    second = make_context({"ciphers": "HIGH"})
    assert make_context({"ciphers": "DEFAULT"}) is first
    make_context({"ciphers": "ALL"})
    assert make_context({"ciphers": "DEFAULT"}) is first
    assert make_context({"ciphers": "HIGH"}) is not second
    assert len(tls_contexts._contexts) == 2


def test_a_failure_is_not_remembered(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "late.pem"
    with pytest.raises(WebSocketTLSException):
        make_context({"ca_certs": str(path)})
    shutil.copy(files.ca, path)
    assert make_context({"ca_certs": str(path)}).get_ca_certs()


# --- a context that somebody changes -------------------------------------------------------------


WEAKENED: dict[str, Callable[[ssl.SSLContext, Files], object]] = {
    "check_hostname": lambda context, _: setattr(context, "check_hostname", False),
    "minimum_version": lambda context, _: setattr(
        context, "minimum_version", ssl.TLSVersion.MINIMUM_SUPPORTED
    ),
    "verify_flags": lambda context, _: setattr(context, "verify_flags", ssl.VERIFY_DEFAULT),
    "options": lambda context, _: setattr(context, "options", ssl.OP_ALL),
    "key log": lambda context, files: setattr(
        context, "keylog_filename", str(files.folder / "keys.log")
    ),
    "ciphers": lambda context, _: context.set_ciphers("ALL:@SECLEVEL=0"),
    "a CA": lambda context, files: context.load_verify_locations(files.other_ca()),
    "a folder of CAs": lambda context, files: context.load_verify_locations(
        capath=str(files.folder)
    ),
    "a certificate": lambda context, files: context.load_cert_chain(files.cert, files.key),
}


@pytest.mark.parametrize("weaken", WEAKENED.values(), ids=list(WEAKENED))
def test_a_context_that_was_changed_is_given_to_nobody_else(
    files: Files, weaken: Callable[[ssl.SSLContext, Files], object]
) -> None:
    sslopt = {"ca_certs": files.ca}
    context = make_context(sslopt)
    assert make_context(sslopt) is context
    weaken(context, files)
    another = make_context(sslopt)
    assert another is not context
    assert another.check_hostname is True
    assert another.verify_mode == ssl.CERT_REQUIRED
    assert make_context(sslopt) is another


def test_a_context_that_is_used_and_looked_at_is_not_changed(files: Files, server: Server) -> None:
    sslopt = {"ca_certs": files.ca}
    with shake(server, make_context(sslopt)) as sock:
        context = sock.context
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.get_ca_certs()
        assert context.get_ciphers()
    assert make_context(sslopt) is context


def test_the_common_name_of_a_certificate_is_not_looked_at() -> None:
    """RFC 9525 section 2: a name stands in subjectAltName."""
    assert make_context().hostname_checks_common_name is False


# --- for another host ---------------------------------------------------------------------------


def asking_server(files: Files) -> tuple[Server, list[bool]]:
    """A server that asks for a certificate, and who has shown one."""
    context = make_server_context(files.cert, files.key)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(files.ca)
    shown: list[bool] = []

    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as wrapped:
            shown.append(bool(wrapped.getpeercert()))
            wrapped.sendall(b"hello")
            wrapped.recv(1)

    return Server(serve), shown


def test_a_context_is_copied_without_its_certificate(files: Files) -> None:
    context = ssl.create_default_context(cafile=files.ca)
    context.load_cert_chain(files.cert, files.key)
    server, shown = asking_server(files)
    options = {"context": context}
    with server:
        for sslopt in (options, for_another_host(options)):
            with shake(server, make_context(sslopt)) as sock:
                assert hello(sock) == b"hello"
    assert shown == [True, False]


def test_a_copy_is_as_strict_as_the_original(files: Files) -> None:
    context = ssl.create_default_context(cafile=files.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    context.set_ciphers("ECDHE+AESGCM")
    options = for_another_host({"context": context})
    assert options is not None
    copy = make_context(options)
    assert copy is not context
    assert strictness(copy) == strictness(context)
    assert copy.get_ciphers() == context.get_ciphers()
    assert copy.get_ca_certs() == context.get_ca_certs()


def test_a_copy_is_made_once_for_each_state_of_the_original(files: Files) -> None:
    context = ssl.create_default_context(cafile=files.ca)

    def copy() -> ssl.SSLContext:
        return make_context(for_another_host({"context": context}))

    first = copy()
    assert copy() is first
    context.load_verify_locations(files.crl())
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    assert copy() is not first
    assert copy().verify_flags == context.verify_flags


def test_a_context_that_verifies_nothing_stays_like_that() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert make_context(for_another_host({"context": context})).verify_mode == ssl.CERT_NONE


def test_without_options_there_are_none_for_another_host() -> None:
    assert for_another_host(None) is None
    assert for_another_host({"certfile": "c", "ca_certs": None}) is None


# --- passwords ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: bytearray(text.encode())])
def test_the_cache_does_not_hold_passwords(files: Files, kind: Callable[[str], Any]) -> None:
    for secret in ("hunter2", "hunter3"):
        password = kind(secret)
        make_context({"certfile": files.cert, "keyfile": files.key, "password": password})
        make_context({"cert_chain": (files.cert, files.key, password)})
    assert len(tls_contexts._contexts) == 4  # passwords that differ are still told apart
    held, seen = list(tls_contexts._contexts), []
    while held:
        value = held.pop()
        if isinstance(value, (tuple, frozenset)):
            held += value
        else:
            seen.append(value)
    assert files.cert in seen
    assert not [value for value in seen if "hunter" in str(value)]


# --- the environment ----------------------------------------------------------------------------


def test_a_bundle_of_the_environment(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make_context()
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", files.ca)
    context = make_context()
    assert context is not before
    assert len(context.get_ca_certs()) == 1


def test_a_directory_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(tmp_path))
    context = make_context()
    assert context.get_ca_certs() == []
    with pytest.raises(WebSocketCertificateException):
        shake(server, context)


def test_the_caller_goes_before_the_environment(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", "/no/such/bundle")
    assert len(make_context({"ca_certs": files.ca}).get_ca_certs()) == 1
    assert make_context({"cert_reqs": ssl.CERT_NONE}).get_ca_certs() == []


def test_a_bundle_of_the_environment_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", "/no/such/bundle")
    with pytest.raises(WebSocketTLSException, match="WEBSOCKET_CLIENT_CA_BUNDLE=/no/such/bundle"):
        make_context()


def test_the_key_log(
    files: Files, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    shake(server, make_context({"ca_certs": files.ca})).close()
    assert "CLIENT_" in log.read_text()


def test_a_key_log_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no" / "keys.log"))
    with pytest.raises(WebSocketTLSException, match="SSLKEYLOGFILE="):
        make_context()


# --- private keys -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encrypted_key(files: Files) -> str:
    path = str(files.folder / "encrypted.key")
    key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    Path(path).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, secret
        )
    )
    return path


@pytest.mark.parametrize("password", ["secret", b"secret", bytearray(b"secret"), lambda: "secret"])
def test_a_password(files: Files, encrypted_key: str, password: Any) -> None:
    make_server_context(files.cert, encrypted_key, password)
    make_context({"certfile": files.cert, "keyfile": encrypted_key, "password": password})
    make_context({"cert_chain": (files.cert, encrypted_key, password)})


def test_a_wrong_password_is_an_error_that_does_not_tell_it(
    files: Files, encrypted_key: str
) -> None:
    with pytest.raises(WebSocketTLSException, match=r"encrypted\.key") as caught:
        make_server_context(files.cert, encrypted_key, "hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_missing_password_is_not_asked_for_on_the_terminal(
    files: Files, encrypted_key: str
) -> None:
    with pytest.raises(WebSocketTLSException, match="there is no password"):
        make_server_context(files.cert, encrypted_key)


def test_a_server_file_that_is_missing_is_named() -> None:
    with pytest.raises(WebSocketTLSException, match="/no/such/cert"):
        make_server_context("/no/such/cert")


def test_the_server_context_is_for_servers_and_tls_1_2(files: Files) -> None:
    context = make_server_context(files.cert, files.key)
    assert context.protocol == ssl.PROTOCOL_TLS_SERVER
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_key_log_as_an_option_has_a_context_of_its_own(
    files: Files, server: Server, tmp_path: Path
) -> None:
    log = tmp_path / "keys.log"
    plain = make_context({"ca_certs": files.ca})
    logging = make_context({"ca_certs": files.ca, "keylog_filename": str(log)})
    assert logging is not plain
    shake(server, logging).close()
    assert "CLIENT_" in log.read_text()
    given = make_context({"context": plain, "keylog_filename": str(log)})
    assert given is plain
    assert plain.keylog_filename == str(log)


def test_a_servers_context_heeds_the_environment(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    assert make_server_context(files.cert, files.key).keylog_filename is not None


def test_a_copy_for_another_host_verifies_as_the_system_does_if_nothing_was_loaded() -> None:
    """Certificates in a folder are loaded when they are needed, so none can be seen before."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    copied = for_another_host({"context": context})
    assert copied is not None
    copy = copied["context"]
    default = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    default.load_default_certs()
    assert copy is not context
    assert copy.verify_mode == ssl.CERT_REQUIRED
    assert copy.get_ca_certs() == default.get_ca_certs()


def test_python_that_ignores_the_environment_logs_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    flags = SimpleNamespace(ignore_environment=1)  # python -E
    monkeypatch.setattr(tls_contexts, "sys", SimpleNamespace(flags=flags))
    assert make_context().keylog_filename is None
    assert not (tmp_path / "keys").exists()
