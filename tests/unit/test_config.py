"""The settings: what counts, and that all mistakes are told at once with where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import DEFAULT_ORDER, Config, load
from bridge.errors import ClipError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def refused(file: Path, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ClipError) as caught:
        load(file, environment or {})
    assert caught.value.code == "bad_request"
    assert caught.value.hint
    return caught.value.message


def test_a_missing_file_means_all_defaults(file: Path) -> None:
    assert load(file, {}) == Config()
    assert Config().daemon.osc_port == 7410
    assert Config().daemon.http_port == 7411
    assert Config().daemon.concurrency == 4
    assert Config().daemon.unfinished_seconds == 60
    assert Config().providers.order == DEFAULT_ORDER == ("stability", "fal", "wavespeed", "dsp")
    assert (Config().budget.per_job_usd, Config().budget.per_day_usd, Config().budget.per_month_usd) == (1, 5, 50)
    assert (Config().retention.keep_days, Config().retention.keep_gb) == (30, 20)


def test_the_whole_file_of_the_contract_is_taken(file: Path) -> None:
    file.write_text(
        """
        [daemon]
        osc_port = 0
        http_port = 7000
        results_dir = "~/Takes"
        concurrency = 2
        allow_dirs = ["~", "/media"]
        unfinished_seconds = 10
        [[watch]]
        path = "~/Music/Exports"
        preset = "default"
        provider = "dsp"
        run = "on_trigger"
        existing = "take"
        recursive = true
        after = "move"
        settle_seconds = 0.5
        deliver_to = "/takes"
        [providers]
        order = ["fal", "dsp"]
        [providers.stability]
        base_url = "https://example.org"
        model = "stable-audio-2.5"
        enabled = false
        [providers.fal]
        queue_url = "https://example.org/q"
        rest_url = "https://example.org/r"
        [providers.empirio]
        strength_direction = "passthrough"
        upload_via = "fal"
        [budget]
        per_job_usd = 1
        [privacy]
        never_upload = ["~/Secret"]
        [retention]
        keep_days = 3
        keep_gb = 1.5
        [[midi]]
        port = "Launch*"
        type = "note"
        channel = 1
        number = 36
        action = "trigger"
        preset = "default"
        """
    )
    config = load(file, {})
    assert config.daemon.results_dir == str(Path.home() / "Takes")
    assert config.watch[0].path == str(Path.home() / "Music" / "Exports")
    assert config.watch[0].run == "on_trigger"
    assert config.providers.of("stability").enabled is False
    assert config.providers.order == ("fal", "dsp")
    assert config.privacy.never_upload == (str(Path.home() / "Secret"),)
    assert config.midi[0].number == 36


def test_all_mistakes_are_told_at_once_each_with_its_key_and_what_is_allowed(file: Path) -> None:
    file.write_text(
        '[daemon]\nhttp_prot = 1\nosc_port = 70000\n[budget]\nper_job_usd = -1\n[providers]\norder = ["stabilty"]\n'
        '[[watch]]\npath = "/a"\n[[watch]]\npath = "exports"\nrun = "always"\n[dameon]\n'
    )
    told = refused(file)
    for part in (
        'daemon.http_prot is an unknown key (did you mean "http_port"?)',
        "daemon.osc_port",
        "65535",
        "budget.per_job_usd",
        "providers.order[1]",
        "'stability'",
        "watch[2].path",
        "watch[2].run",
        "'on_trigger'",
        'dameon is an unknown key (did you mean "daemon"?)',
    ):
        assert part in told, part
    assert all(str(file) in line for line in told.splitlines()[1:])


def test_a_service_says_which_of_its_keys_it_does_not_know(file: Path) -> None:
    file.write_text("[providers.fal]\nqueue_ulr = 'x'\n[providers.stability]\nqueue_url = 'x'\n")
    told = refused(file)
    assert 'providers.fal.queue_ulr is an unknown key (did you mean "queue_url"?)' in told
    assert "providers.stability.queue_url is an unknown key" in told


@pytest.mark.parametrize("text", ["[daemon\n", "a = ", "\x00", 'x = "\n"'])
def test_a_file_that_is_no_toml_is_refused_with_its_place(file: Path, text: str) -> None:
    file.write_text(text)
    assert str(file) in refused(file)


def test_a_file_that_is_no_utf_8_is_refused(file: Path) -> None:
    file.write_bytes(b'[daemon]\nresults_dir = "/\xff"\n')
    assert str(file) in refused(file)


def test_a_folder_of_that_name_is_refused(file: Path) -> None:
    file.mkdir()
    assert str(file) in refused(file)


def test_a_file_saved_by_windows_notepad_is_read(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf[daemon]\nhttp_port = 7000\n")
    assert load(file, {}).daemon.http_port == 7000


def test_a_variable_counts_before_the_file(file: Path) -> None:
    file.write_text('[providers.stability]\nbase_url = "https://file.example"\nmodel = "m"\n')
    config = load(
        file,
        {
            "CLIPBRIDGE_PROVIDERS__STABILITY__BASE_URL": "https://variable.example",
            "CLIPBRIDGE_PROVIDERS__ORDER": '["dsp"]',
            "CLIPBRIDGE_DAEMON__HTTP_PORT": "0",
            "CLIPBRIDGE_DAEMON__RESULTS_DIR": "~/Takes",
            "CLIPBRIDGE_PROVIDERS__FAL__ENABLED": "false",
        },
    )
    assert config.providers.stability.base_url == "https://variable.example"
    assert config.providers.stability.model == "m"
    assert config.providers.order == ("dsp",)
    assert config.daemon.http_port == 0
    assert config.daemon.results_dir == str(Path.home() / "Takes")
    assert config.providers.fal.enabled is False


def test_keys_and_the_home_are_no_settings(file: Path) -> None:
    assert (
        load(file, {"CLIPBRIDGE_HOME": "/x", "CLIPBRIDGE_KEY_FAL": "k", "CLIPBRIDGE_KEY_STABLE__AUDIO": "k"})
        == Config()
    )


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("CLIPBRIDGE_DAEMON__HTTP_PORT", "many", "daemon.http_port"),
        ("CLIPBRIDGE_DAEMON__HTP_PORT", "1", "daemon.htp_port"),
        ("CLIPBRIDGE_PROVIDERS__ORDER", '["nobody"]', "providers.order[1]"),
        ("CLIPBRIDGE_DAEMON__ALLOW_DIRS", '["relative"]', "daemon.allow_dirs"),
        ("CLIPBRIDGE_DEMON__HTTP_PORT", "1", "demon"),
        ("CLIPBRIDGE_DAEMON__HTTP_PORT__X", "1", "daemon.http_port"),
    ],
)
def test_a_mistake_in_a_variable_is_told_with_the_variables_name(
    file: Path, variable: str, value: str, key: str
) -> None:
    told = refused(file, {variable: value})
    assert f"{variable}: {key}" in told
    assert str(file) not in told


def test_a_variable_below_a_plain_value_of_the_file_does_not_vanish_silently(file: Path) -> None:
    file.write_text("[daemon]\nhttp_port = 7000\n")
    assert "CLIPBRIDGE_DAEMON__HTTP_PORT__X" in refused(file, {"CLIPBRIDGE_DAEMON__HTTP_PORT__X": "1"})


def test_somebody_elses_home_that_is_not_there_is_refused_in_a_sentence(file: Path) -> None:
    file.write_text('[daemon]\nresults_dir = "~nobody-of-that-name/takes"\n')
    assert "daemon.results_dir" in refused(file)
