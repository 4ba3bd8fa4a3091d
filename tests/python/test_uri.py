from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowferry import uri

PASSWORDS = st.text(min_size=4, max_size=20).filter(lambda p: "\x00" not in p and not p.isspace())


@given(PASSWORDS)
def test_no_password_of_a_uri_is_shown_in_a_message_that_quotes_the_uri(password: str) -> None:
    encoded = quote(password, safe="")
    text = uri.redact(f'could not read "postgresql://u:{encoded}@h/db" at all', f"postgresql://u:{encoded}@h/db")
    assert f":{encoded}@" not in text
    assert "postgresql://u:***@h/db" in text


@given(PASSWORDS)
def test_no_password_is_shown_by_itself_either(password: str) -> None:
    place = f"postgresql://u:{quote(password, safe='')}@h/db"
    assert uri.redact(f"<<{password}>>", place) == "<<***>>" or password in "<<***>>"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:s3cret@h/db",
        "postgresql://u:s3cr@et@h/db",
        "postgresql://u:s3/cret@h/db",
        "postgresql://u:s3'cr\"et@h/db",
        "postgresql://:s3cret@h/db",
        "postgresql://u@h/db?password=s3cret&sslmode=require",
        "host=h password=s3cret user=u",
        "host=h password = 's3\\'cret' user=u",
        "host=h password=s3\\ cret user=u",
        "host=h sslpassword=s3cret",
        "POSTGRESQL://u:s3cret@h",
        "mariadb://u:s3cret@h/db",
        "odbc:Driver=MariaDB Unicode;Server=h;PWD=s3cret;UID=u",
        "odbc:DSN=w;password = {s3;cr}}et};UID=u",
        "odbc:DSN=w;Pwd=s3 cret",
    ],
)
def test_a_password_is_hidden_wherever_a_connection_string_may_hold_it(text: str) -> None:
    assert uri.has_password(text) or uri.problem(text)
    hidden = uri.hide(f"cannot open {text} now")
    assert "s3" not in hidden and "cret" not in hidden and "***" in hidden


@pytest.mark.parametrize(
    "text",
    ["postgresql://u@h:5432/db", "postgresql:///db?host=/tmp", "host=h user=u", "service=shop", "postgresql://[::1]:5/db", "mariadb://u@h", "sqlite:///data/a@b.sqlite", "odbc:Driver={My SQL};UID=u"],
)
def test_a_connection_string_without_a_password_stays_as_it_is(text: str) -> None:
    assert uri.hide(text) == text
    assert not uri.has_password(text)
    assert uri.problem(text) is None


@pytest.mark.parametrize(
    "text",
    ["postgresql://u:a@b@h/db", "postgresql://u:a/b@h/db", "postgresql://u:a b@h/db", "postgresql://u:a ?/a@b@h/db", "postgresql://u:a%zz@h/db", "u:a@b@h", "u:a@b@h/db?sslmode=require"],
)
def test_an_unencoded_password_is_refused_before_libpq_can_quote_it(text: str) -> None:
    wrong = uri.problem(text)
    assert wrong and "a b" not in wrong and "a@b" not in wrong and "a/b" not in wrong and "%zz" not in wrong


def test_a_percent_code_in_a_password_is_hidden_in_both_forms() -> None:
    place = "postgresql://u:p%40ssword@h/db"
    assert uri.redact("p%40ssword or p@ssword", place) == "*** or ***"


@pytest.mark.parametrize("secret", ["token=geheim-1", "private_key=geheim-1", "private_key_file_pwd=geheim-1"])
def test_a_secret_of_a_snowflake_uri_is_hidden_wherever_it_stands(secret: str) -> None:
    target = f"snowflake://me@acc/RAW?warehouse=W&{secret}&role=R"
    assert uri.problem(target) is None
    assert uri.has_password(target)
    assert "geheim" not in uri.hide(target)
    assert "geheim" not in uri.redact(f"cannot sign in with geheim-1 to {target}", target)


def test_the_driver_of_a_snowflake_target_is_that_of_its_package() -> None:
    assert str(uri.driver("snowflake://me@acc/RAW")).endswith("libadbc_driver_snowflake.so")
