import pytest
from pydantic import ValidationError

from contact_sync.genesys.regions import REGIONS, Hosts, Routing, resolve


def test_there_are_eighteen_regions_with_a_domain_each() -> None:
    assert len(REGIONS) == len(set(REGIONS.values())) == 18


@pytest.mark.parametrize("aws", REGIONS)
def test_a_region_goes_by_its_aws_name_and_by_its_domain(aws: str) -> None:
    domain = REGIONS[aws]
    assert resolve(aws) == resolve(domain) == Hosts(f"https://api.{domain}", f"https://login.{domain}")
    assert resolve(aws).region == domain


def test_a_region_that_this_version_does_not_know_is_a_setting() -> None:
    routing = Routing(regions={"AF-South-1": "AFS1.pure.cloud", "eu-central-1": "moved.example"})
    there = Hosts("https://api.afs1.pure.cloud", "https://login.afs1.pure.cloud")
    assert resolve("af-south-1", routing=routing) == resolve("afs1.pure.cloud", routing=routing) == there
    assert resolve("eu-central-1", routing=routing).region == "moved.example"
    assert len(routing.hosts) == 19
    with pytest.raises(ValueError, match=r"af-south-1 \(afs1.pure.cloud\)"):
        resolve("af-south-2", routing=routing)


@pytest.mark.parametrize(
    "domain", ["", "localhost", "http://evil.example", "evil.example/", "a@b.example", "1.2.3.4"]
)
def test_a_domain_is_a_bare_host_name(domain: str) -> None:
    with pytest.raises(ValidationError):
        Routing(regions={"new": domain})


def test_the_setting_that_named_an_unknown_region_is_told() -> None:
    with pytest.raises(ValueError, match=r"^genesys.organizations is 'atlantis', which is no region: use one of "):
        resolve("Atlantis", setting="genesys.organizations")


def test_case_and_spaces_do_not_matter() -> None:
    assert resolve(" EU-Central-1 ") == resolve("mypurecloud.de")


@pytest.mark.parametrize("region", [None, "", "eu-central-9", "evil.example", "api.mypurecloud.de"])
def test_an_unknown_region_is_refused_in_one_line_that_names_the_setting_and_the_choices(
    region: str | None,
) -> None:
    with pytest.raises(ValueError, match=r"^GENESYS_REGION is .*eu-central-1 \(mypurecloud\.de\).*$") as refused:
        resolve(region)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_simulator_on_this_machine_stands_in_for_both_hosts(base_url: str, origin: str) -> None:
    assert resolve("eu-central-1", base_url) == Hosts(origin, origin)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.mypurecloud.de",
        "https://169.254.169.254",
        "http://127.0.0.1.evil.example",
        "http://user:hunter2@127.0.0.1:8080",
        "http://127.0.0.1:8080/path",
        "http://127.0.0.1:8080/?token=hunter2",
        "ftp://127.0.0.1",
        "127.0.0.1:8080",
    ],
)
def test_any_other_base_url_is_refused_without_repeating_it(base_url: str) -> None:
    with pytest.raises(ValueError, match=r"^GENESYS_BASE_URL is for a simulator on this machine.*$") as refused:
        resolve("eu-central-1", base_url)
    assert "hunter2" not in str(refused.value)
