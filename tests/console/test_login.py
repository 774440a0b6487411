"""Accounts: nobody sees anything without one, and each what it may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.server.accounts import hash_password, new_token

from .conftest import faults
from .shop import open_shop

pytestmark = pytest.mark.xdist_group("console-others")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """A server with accounts, and a token."""
    token, line = new_token()
    users = tmp_path / "users.toml"
    users.write_text(
        f'[users.ada]\npassword = "{hash_password("pw €")}"\nrole = "admin"\n'
        f'[users.bob]\npassword = "{hash_password("pw")}"\nrole = "read"\n'
        f'[tokens.robot]\ntoken = "{line}"\nrole = "read"\n',
        encoding="utf-8",
    )
    with open_shop(users=users) as (server, _):
        yield server, token


def log_in(page: Any, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").and_(page.locator("input")).fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_login_is_asked_for(guarded: Any, open_page: Callable[..., Any]) -> None:
    """A wrong password is told; the right one is kept in this tab, also when the page is loaded again; log out ends it."""
    server, _ = guarded
    page = open_page(server, "#/topics")
    page.get_by_role("heading", name="Penstock").wait_for()
    assert faults(page) == []
    log_in(page, "ada", "wrong")
    page.get_by_role("alert").wait_for()
    assert faults(page) == []
    log_in(page, "ada", "pw €")
    page.get_by_role("link", name="orders", exact=True).wait_for()
    page.reload()
    page.get_by_role("link", name="orders", exact=True).wait_for()
    assert page.locator(".who").inner_text() == "ada"
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Name").wait_for()
    page.reload()
    page.get_by_label("Name").wait_for()


def test_whoever_may_only_read(guarded: Any, open_page: Callable[..., Any]) -> None:
    """Is told so when it would change something."""
    server, _ = guarded
    page = open_page(server, "#/queries")
    log_in(page, "bob", "pw")
    page.get_by_role("link", name="CTAS_SALES").click()
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    page.get_by_role("alert").wait_for()
    assert "does not have the role write" in page.get_by_role("alert").inner_text()


def test_a_token(guarded: Any, open_page: Callable[..., Any]) -> None:
    """Is as good as a name and a password, and at a phone's width, too."""
    server, token = guarded
    page = open_page(server, "#/flow", phone=True)
    page.get_by_role("button", name="Token").click()
    page.get_by_label("Token").and_(page.locator("input")).fill(token)
    assert faults(page) == []
    page.get_by_role("button", name="Log in").click()
    page.locator(".node.query").first.wait_for()
