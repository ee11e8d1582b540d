# SPDX-License-Identifier: Apache-2.0
from pivgate.browser.elsewhere import advice


def test_linux_is_set_up_by_us_and_the_others_get_steps_with_their_source() -> None:
    assert advice("linux") == ()
    for platform, browsers in (("darwin", ["Safari", "Firefox"]), ("win32", ["Edge", "Firefox"])):
        given = advice(platform)
        assert all(any(each.browser.startswith(name) for each in given) for name in browsers)
        assert all(each.steps and each.source.startswith("https://") for each in given)
