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


SCORE = {"crm": "score", "genesys": "customFields.lead_score", "type": "integer"}
TIER = {"crm": "tier", "genesys": "customFields.tier", "type": "enum"}


@pytest.mark.parametrize(
    ("registry", "says"),
    [
        ({"fields": [{"crm": "a", "genesys": "email"}]}, "'email' is no field of a contact; known are firstName"),
        ({"fields": [MAIL, MAIL | {"crm": "b"}]}, "workEmail is filled by more than one CRM field"),
        (
            {"fields": [MAIL, SCORE, SCORE | {"crm": "b"}]},
            "lead_score_integer is filled by more than one CRM field",
        ),
        ({"fields": [{"crm": "a", "genesys": "title"}]}, "nobody could be recognised"),
        ({"fields": []}, "nobody could be recognised"),
        ({"fields": [MAIL], "default_region": "Germany"}, "should match pattern"),
        ({"fields": [MAIL], "default_region": "ZZ"}, "'ZZ' is no ISO 3166 country that has phones"),
        ({"fields": [MAIL | {"crm": ""}]}, "at least 1 character"),
        ({"fields": [MAIL | {"direction": "both"}]}, "'both' needs two-way sync, which is not there yet"),
        ({"fields": [MAIL | {"owner": "newest"}]}, "'newest' needs two-way sync, which is not there yet"),
        ({"fields": [MAIL | {"colour": "red"}]}, "Extra inputs are not permitted"),
        ({"fields": [MAIL], "owner": "crm"}, "Extra inputs are not permitted"),
        ({"fields": [MAIL | {"type": "text"}]}, "type is for custom fields; workEmail has its own"),
        ({"fields": [MAIL | {"max_length": 300}]}, "workEmail takes 256 characters"),
        ({"fields": [MAIL | {"transform": "lower"}]}, "workEmail needs no transform"),
        ({"fields": [MAIL | {"transform": "shout"}]}, "Input should be 'lower'"),
        ({"fields": [SCORE | {"genesys": "customFields.lead score"}]}, "name a custom field with letters"),
        ({"fields": [SCORE | {"type": None}]}, "customFields.lead_score needs a type"),
        ({"fields": [SCORE | {"type": "money"}]}, "Input should be 'text'"),
        ({"fields": [SCORE | {"max_length": 5}]}, "customFields.lead_score takes no length"),
        ({"fields": [SCORE | {"genesys": f"customFields.{'x' * 93}"}]}, "longer than the 100 characters"),
        ({"fields": [SCORE | {"options": ["a"]}]}, "an enum needs options, and only an enum has them"),
        ({"fields": [TIER]}, "an enum needs options"),
        ({"fields": [TIER | {"options": [str(one) for one in range(51)]}]}, "at most 50 options"),
        ({"fields": [TIER | {"options": ["a", "a"]}]}, "each once"),
        ({"fields": [TIER | {"options": ["x" * 101]}]}, "1 to 100 characters"),
        ({"fields": [SCORE | {"type": "longtext"}]}, "add free_text: true to send it"),
        ({"fields": [SCORE | {"crm": "Sales_Notes__c", "type": "text"}]}, "Sales_Notes__c looks like notes"),
        ({"fields": [SCORE | {"crm": "Description", "type": "text"}]}, "Description looks like notes"),
        ({"fields": [MAIL, {"crm": "a", "genesys": "externalOrganization"}]}, "needs a line that fills account"),
        (
            {"fields": [MAIL, *(SCORE | {"genesys": f"customFields.x{one}"} for one in range(26))]},
            "a schema takes at most 25 custom fields",
        ),
        ({"fields": [MAIL], "redact": ["shoe_size"]}, "Input should be 'payment_card'"),
        ({"fields": [MAIL], "redact_patterns": {"staff": "("}}, "staff is no regular expression"),
        ({"fields": [MAIL], "redact_patterns": {"staff": "a*"}}, "staff finds something in an empty text"),
    ],
)
def test_a_wrong_registry_is_refused_in_one_line(registry: Mapping[str, Any], says: str) -> None:
    message = complaint(registry)
    assert says in message
    assert "\n" not in message


def test_what_the_lines_say_together() -> None:
    lines = [
        MAIL | {"null": "keep"},
        SCORE | {"owner": "genesys"},
        TIER | {"options": ["gold", "silver"]},
        {"crm": "phone", "genesys": "workPhone"},
        {"crm": "fax", "genesys": "workPhone"},
        {"crm": "notes", "genesys": "customFields.story", "type": "longtext", "free_text": True, "max_length": 80},
    ]
    registry = Registry.model_validate({"fields": lines})
    assert [field.key for field in registry.custom_fields] == ["lead_score_integer", "tier_enum", "story_longtext"]
    assert registry.kept == {"workEmail", "customFields.lead_score_integer"}
    assert registry.only_filled == {"customFields.lead_score_integer"}
    assert [rule.limit for rule in registry.fields] == [256, 0, 100, 0, 0, 80]
    assert not registry.has_organizations
