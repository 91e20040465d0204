from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from contact_sync.contacts.mapping import Registry

MAIL = {"crm": "email", "genesys": "workEmail"}


def complaint(registry: Mapping[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        Registry.model_validate(registry)
    (problem,) = refused.value.errors()
    return str(problem["msg"])


def test_crm_fields_come_once_and_in_order() -> None:
    rules = [
        {"crm": "country", "genesys": "address.countryCode"},
        MAIL,
        {"crm": "country", "genesys": "region"},
    ]
    assert Registry.model_validate({"fields": rules}).crm_fields == ("country", "email")


@pytest.mark.parametrize("target", ["workPhone", "otherEmail", "lastName"])
def test_one_identifying_field_is_enough(target: str) -> None:
    assert Registry.model_validate({"fields": [{"crm": "a", "genesys": target}]}).ignored == ()


@pytest.mark.parametrize(
    ("registry", "says"),
    [
        ({"fields": [{"crm": "a", "genesys": "email"}]}, "'email' is no field of a contact; known are firstName"),
        ({"fields": [{"crm": "a", "genesys": "customFields.x"}]}, "custom fields are not supported yet"),
        ({"fields": [MAIL, MAIL | {"crm": "b"}]}, "filled by more than one CRM field: workEmail"),
        ({"fields": [{"crm": "a", "genesys": "title"}]}, "nobody could be recognised"),
        ({"fields": []}, "nobody could be recognised"),
        ({"fields": [MAIL], "default_region": "Germany"}, "should match pattern"),
        ({"fields": [MAIL], "default_region": "ZZ"}, "'ZZ' is no ISO 3166 country that has phones"),
        ({"fields": [MAIL | {"crm": ""}]}, "at least 1 character"),
        ({"fields": [MAIL | {"direction": "both"}]}, "Extra inputs are not permitted"),
        ({"fields": [MAIL], "owner": "crm"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_registry_is_refused_in_one_line(registry: Mapping[str, Any], says: str) -> None:
    message = complaint(registry)
    assert says in message
    assert "\n" not in message
