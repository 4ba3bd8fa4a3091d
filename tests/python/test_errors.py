from __future__ import annotations

import pickle

import pytest

from rowferry import errors

from .conftest import native_error

CODES = {
    "configuration": errors.ConfigurationError,
    "authentication": errors.AuthenticationError,
    "source": errors.SourceError,
    "target": errors.TargetError,
    "busy": errors.TableBusyError,
    "drift": errors.SchemaDriftError,
    "data": errors.DataError,
    "fenced": errors.FencedOffError,
    "cancelled": errors.CancelledError,
    "internal": errors.InternalError,
}


@pytest.mark.parametrize(("code", "cls"), CODES.items())
def test_each_code_of_the_core_becomes_its_own_class(code: str, cls: type[errors.RowferryError]) -> None:
    error = errors.from_native(native_error(code))
    assert type(error) is cls
    assert error.code == code


def test_a_code_nobody_knows_is_an_internal_error() -> None:
    assert type(errors.from_native(native_error("new"))) is errors.InternalError


def test_every_class_stands_in_the_tree_of_the_docstring() -> None:
    for cls in CODES.values():
        assert f"── {cls.__name__} " in (errors.__doc__ or "")


def test_an_error_carries_what_the_server_said() -> None:
    facts = {
        "sqlstate": "42P01",
        "server_message": 'relation "x" does not exist',
        "detail": "D",
        "hint": "H",
        "role": "first snapshot",
        "retryable": True,
    }
    error = errors.from_native(native_error("source", "cannot read x", **facts))
    assert error.to_dict() == {"code": "source", "message": "cannot read x", **facts}


def test_the_secrets_of_the_job_are_taken_out_of_every_text() -> None:
    texts = dict.fromkeys(("server_message", "detail", "hint", "role"), "what hunter22 is")
    error = errors.from_native(native_error("source", "no hunter22", **texts), "postgresql://u:hunter22@h/db", None)
    assert "hunter22" not in repr(error) + str(error.to_dict())


def test_an_error_survives_the_way_between_processes() -> None:
    error = errors.from_native(native_error("busy", "held by another run", hint="wait", retryable=True))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is errors.TableBusyError
    assert copy.to_dict() == error.to_dict()


def test_a_configuration_error_is_a_value_error() -> None:
    assert issubclass(errors.ConfigurationError, ValueError)
