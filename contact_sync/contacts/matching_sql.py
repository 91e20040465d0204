"""The statements of set-based matching, for DuckDB.

Values and contacts are joined by 64-bit hashes: a fifth of the memory of their texts. What belongs here: SQL. What
it is for, and in which order it runs, belongs to `matching`.
"""

RULES = "CREATE TYPE rules AS ENUM ('record', 'external', 'key', 'email', 'phone', 'name')"

TABLES = """
CREATE TABLE keyed (row BIGINT, rule rules, value VARCHAR, hash UBIGINT);
CREATE TABLE known (rule rules, hash UBIGINT, contact UBIGINT);
CREATE TABLE stored (record UBIGINT, contact UBIGINT, business_key VARCHAR, key UBIGINT);
CREATE TABLE contact (id UBIGINT, name VARCHAR);
CREATE TABLE person (row BIGINT, first VARCHAR, last VARCHAR);
CREATE TABLE member (contact UBIGINT, first VARCHAR, last VARCHAR);
CREATE TABLE barred (hash UBIGINT);
CREATE VIEW telling AS FROM keyed ANTI JOIN barred USING (hash);
CREATE VIEW named_contact AS SELECT id, any_value(name) AS name FROM contact GROUP BY id;
"""

HASHED_KEYS = "SELECT row, rule::rules AS rule, value, hash(rule, value) AS hash FROM given"

HASHED_KNOWN = "SELECT rule::rules AS rule, hash(rule, value) AS hash, hash(contact) AS contact FROM given"

HASHED_RECORDS = """
SELECT hash('record', crm_id) AS record, hash(contact) AS contact, business_key, hash('key', business_key) AS key
FROM given
"""

NAMES = "SELECT DISTINCT hash(contact) AS id, contact AS name FROM given WHERE contact IS NOT NULL"

RECALLED = (
    "INSERT INTO known SELECT 'record', record, contact FROM stored WHERE contact IS NOT NULL",
    """INSERT INTO keyed SELECT row, 'key', business_key, key FROM keyed JOIN stored ON hash = record
        WHERE business_key IS NOT NULL""",
    "TRUNCATE stored",
)

MEMBERS = "INSERT INTO member SELECT hash(contact), first, last FROM added"

SUSPECTS = """
CREATE OR REPLACE TEMP TABLE suspect AS
WITH
    carried AS (SELECT hash, count(*) AS n FROM keyed WHERE rule > 'key'::rules GROUP BY hash),
    carrying AS (SELECT hash, count(*) AS n FROM known WHERE rule > 'key'::rules GROUP BY hash),
    many AS (FROM carried LEFT JOIN carrying USING (hash) WHERE carried.n + coalesce(carrying.n, 0) >= $threshold),
    told AS (
        SELECT hash, any_value(rule) AS rule, any_value(value) AS value
        FROM keyed SEMI JOIN many USING (hash) GROUP BY hash
    ),
    contacts AS (
        SELECT hash, count(DISTINCT contact) AS contacts FROM known SEMI JOIN many USING (hash) GROUP BY hash
    )
SELECT hash, rule, value, coalesce(contacts, 0) AS contacts FROM told LEFT JOIN contacts USING (hash)
"""

CARRIERS = """
SELECT suspect.rule, suspect.value, first, last, min(contact.name)
FROM suspect JOIN keyed USING (hash) JOIN person USING (row)
LEFT JOIN keyed record ON record.row = person.row AND record.rule = 'record'
LEFT JOIN known its ON its.hash = record.hash
LEFT JOIN contact ON contact.id = its.contact
WHERE suspect.contacts < $1 GROUP BY suspect.rule, suspect.value, person.row, first, last
ORDER BY suspect.rule, suspect.value
"""

CARRYING = """
SELECT DISTINCT suspect.rule, value, name
FROM suspect JOIN known USING (hash) JOIN contact ON contact.id = known.contact
WHERE suspect.contacts < $1 ORDER BY suspect.rule, value
"""

NAMED = """
CREATE OR REPLACE TEMP TABLE named AS
SELECT contact, min(first) AS first, max(first) AS other_first, min(last) AS last, max(last) AS other_last,
    count(*) = count(last) AS all_have_last
FROM member GROUP BY contact
"""

UNDECIDED = "CREATE OR REPLACE TEMP TABLE undecided AS FROM person"

NAME_OF = "CREATE OR REPLACE TEMP TABLE name_of AS FROM named_contact"

HIT = """
CREATE OR REPLACE TEMP TABLE hit AS
SELECT row, $rule AS rule, min(contact) AS contact,
    CASE WHEN min(contact) < max(contact) THEN list(DISTINCT contact) END AS several
FROM undecided JOIN telling USING (row) JOIN known USING (hash)
"""

EXACT = HIT + "WHERE telling.rule = $rule AND known.rule = $rule GROUP BY row"

ALIKE = (
    HIT
    + """JOIN named USING (contact)
WHERE telling.rule = $rule AND known.rule = $rule
    AND ($rule <> 'phone' OR (undecided.last IS NOT NULL AND all_have_last))
    AND coalesce(undecided.first = named.first AND undecided.first = other_first, true)
    AND coalesce(undecided.last = named.last AND undecided.last = other_last, true)
GROUP BY row
"""
)

CANDIDATES = """
SELECT row, rule, [name] AS candidates
FROM hit JOIN name_of ON id = hit.contact WHERE several IS NULL
UNION ALL SELECT row, rule, list_sort(list(name))
FROM (SELECT row, rule, unnest(several) AS id FROM hit) JOIN name_of USING (id) GROUP BY row, rule
"""

DECIDED = "DELETE FROM undecided USING hit WHERE undecided.row = hit.row"

FOUND = """
SELECT row, name AS contact
FROM (SELECT DISTINCT row, contact AS id FROM telling JOIN known USING (hash)) JOIN named_contact USING (id)
"""

PAIRS = """
WITH found AS (
    SELECT row, contact FROM telling JOIN known USING (hash)
    UNION ALL SELECT row, hash('new:' || value) FROM telling WHERE rule = 'record'
),
by_value AS (SELECT hash, min(row) AS first FROM telling GROUP BY hash HAVING min(row) < max(row)),
by_contact AS (SELECT contact, min(row) AS first FROM found GROUP BY contact HAVING min(row) < max(row))
SELECT row, first FROM telling JOIN by_value USING (hash) WHERE row <> first
UNION ALL SELECT row, first FROM found JOIN by_contact USING (contact) WHERE row <> first
"""
