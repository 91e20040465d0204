"""Invented people and companies of fifteen countries for the sample CRM.

What belongs here: names, places and companies as they are rightly written. How people mistype them belongs to
`sample_dirt`. Names are common ones put together at random; companies live under the reserved domain `.example`.
"""

import unicodedata
from dataclasses import dataclass
from random import Random

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

_UNDECOMPOSED = str.maketrans({"ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "æ": "ae"})
_ID_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_STEMS = (
    "Alder", "Amberline", "Aurelia", "Bluewater", "Brightfield", "Calyx", "Cobalt", "Eastgate", "Fernhill",
    "Goldcrest", "Harbour", "Iris", "Juniper", "Kestrel", "Larkspur", "Meridian", "Nordlicht", "Orchard",
    "Pinewood", "Quayside", "Redstone", "Silverlake", "Tamarin", "Westwind",
)  # fmt: skip
_BRANCHES = (
    "Analytics", "Bakery", "Biotech", "Components", "Energy", "Engineering", "Foods", "Foundry", "Glass",
    "Health", "Insurance", "Interiors", "Logistics", "Marine", "Media", "Optics", "Paper", "Pharma", "Robotics",
    "Textiles",
)  # fmt: skip


@dataclass(frozen=True)
class Country:
    """How people of one country are called and where they live.

    Attributes:
        code: ISO 3166-1 alpha-2.
        salutations: To a woman, to a man.
        first_names: Women's and men's in turn.
        places: City, state and postal code.
        street: A street with `{}` for the house number.
        company: What follows a company's name.
    """

    code: str
    salutations: tuple[str, str]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    places: tuple[tuple[str, str, str], ...]
    street: str
    company: str


def _country(
    code: str, salutations: str, first: str, last: str, places: str, street: str, company: str
) -> Country:
    female, male = salutations.split()
    triples = [place.split("|") for place in places.split("; ")]
    cities = tuple((city, state, postal) for city, state, postal in triples)
    return Country(code, (female, male), tuple(first.split()), tuple(last.split("|")), cities, street, company)


COUNTRIES = (
    _country(
        "DE", "Frau Herr",
        "Anna Lukas Sabine Jürgen Lena Björn Ulrike Stefan Katrin Matthias Zoë Florian Heike Günther",
        "Müller|Schmidt|Weiß|Schäfer|Köhler|Vogel|von der Heide|Krüger|Brandt|Lorenz|Böhm|Seidel|Groß|Pfeiffer",
        "Berlin|BE|10115; München|BY|80331; Köln|NW|50667; Leipzig|SN|04109", "Lindenstraße {}", "GmbH",
    ),
    _country(
        "AT", "Frau Herr",
        "Johanna Maximilian Theresa Dominik Magdalena Wolfgang Verena Thomas Elisabeth Gernot Ines Reinhard",
        "Gruber|Huber|Wagner|Steiner|Moser|Hofer|Leitner|Fuchs|Eder|Schwarz|Brunner|Aigner",
        "Wien||1010; Graz|Steiermark|8010; Linz|Oberösterreich|4020", "Bergweg {}", "GmbH & Co KG",
    ),
    _country(
        "CH", "Frau Herr",
        "Nora Reto Seraina Beat Chantal Urs Ladina Marcel Fabienne Jürg Alessia Cédric",
        "Meier|Keller|Zürcher|Rochat|Bernasconi|Frei|Baumann|Favre|Ammann|Rüegg|Caduff|Bieri",
        "Zürich|ZH|8001; Genève|GE|1201; Lugano|TI|6900", "Seestrasse {}", "AG",
    ),
    _country(
        "FR", "Mme M.",
        "Camille Thibault Élodie François Aurélie Benoît Margaux Jérôme Inès Loïc Océane Stéphane",
        "Lefèvre|Moreau|Dubois|d'Aubigny|Girard|Rousseau|Chevalier|Le Goff|Gauthier|Perrin|Mercier|Besnard",
        "Paris|Île-de-France|75002; Lyon|ARA|69001; Nantes|PDL|44000", "{} rue des Tilleuls", "SARL",
    ),
    _country(
        "GB", "Ms Mr",
        "Harriet Callum Imogen Rhys Poppy Alistair Siobhan Graham Nia Duncan Beatrice Oliver",
        "O'Connor|Whitfield|MacLeod|Pritchard|Ashworth|Hughes|Smith-Jones|Barlow|Fairclough|Okafor|Patel|Thorne",
        "London||EC1A 1BB; Leeds|West Yorkshire|LS1 4AP; Cardiff||CF10 1EP", "{} Mill Lane", "Ltd",
    ),
    _country(
        "US", "Ms. Mr.",
        "Ashley Tyler Madison Brandon Keisha Marcus Brooke Hunter Maria Carlos Paige Logan",
        "Johnson|Washington|Garcia|Nguyen|Kowalski|Reed|Sullivan|Hernandez|Bennett|Chen|Foster|McAllister",
        "Austin|TX|78701; Portland|OR|97204; Columbus|OH|43215", "{} Oak Street", "Inc.",
    ),
    _country(
        "CA", "Ms. Mr.",
        "Chloé Étienne Hannah Ethan Simone Gordon Amélie Liam Priya Connor Noémie Wayne",
        "Tremblay|MacDonald|Gagnon|Singh|Bouchard|Campbell|Côté|Fraser|Wong|Pelletier|Morrison|Lavoie",
        "Toronto|ON|M5H 2N2; Montréal|QC|H2Y 1C6; Calgary|AB|T2P 1J9", "{} Maple Avenue", "Inc.",
    ),
    _country(
        "IT", "Sig.ra Sig.",
        "Giulia Matteo Chiara Niccolò Francesca Lorenzo Ilaria Davide Beatrice Gabriele Noemi Andrea",
        "Rossi|De Luca|Ferrari|D'Angelo|Conti|Greco|Marino|Galli|Barbieri|Lombardi|Santoro|Caruso",
        "Milano|MI|20121; Roma|RM|00184; Torino|TO|10121", "Via dei Mille {}", "S.r.l.",
    ),
    _country(
        "ES", "Sra. Sr.",
        "Lucía Álvaro Carmen Íñigo Begoña Sergio Nuria Jesús Rocío Andrés Pilar Óscar",
        "García López|Muñoz|Fernández|Ibáñez|Núñez|Castro Vega|Ortega|Peña|Gil|Serrano|Domínguez|Vidal",
        "Madrid|MD|28013; Barcelona|CT|08002; Sevilla|AN|41001", "Calle Mayor {}", "S.L.",
    ),
    _country(
        "NL", "Mevr. Dhr.",
        "Sanne Daan Femke Joris Anouk Bram Lotte Ruben Maaike Thijs Iris Wouter",
        "de Vries|van den Berg|Jansen|Bakker|'t Hart|Visser|Smit|van Dijk|Mulder|Hoekstra|de Groot|Postma",
        "Amsterdam|NH|1012 AB; Utrecht|UT|3511 LN; Rotterdam|ZH|3011 AD", "Molenweg {}", "B.V.",
    ),
    _country(
        "PL", "Pani Pan",
        "Małgorzata Łukasz Agnieszka Paweł Joanna Krzysztof Zofia Tomasz Ewa Grzegorz Alicja Jakub",
        "Nowak|Wiśniewski|Wójcik|Kowalczyk|Zieliński|Szymański|Woźniak|Dąbrowski|Mazur|Krawczyk|Piątek|Żuk",
        "Warszawa|MZ|00-001; Kraków|MA|30-002; Gdańsk|PM|80-001", "ul. Polna {}", "Sp. z o.o.",
    ),
    _country(
        "SE", "Fru Herr",
        "Åsa Björn Ebba Göran Linnéa Håkan Saga Anders Maja Sören Tuva Örjan",
        "Andersson|Lindström|Åkesson|Bergqvist|Nyström|Öberg|Sjögren|Hedlund|Ström|Holm|Wallin|Ek",
        "Stockholm||111 20; Göteborg||411 03; Malmö||211 22", "Storgatan {}", "AB",
    ),
    _country(
        "BR", "Sra. Sr.",
        "Mariana João Beatriz Thiago Letícia Caio Larissa Vinícius Sofia Antônio Débora Rafael",
        "Silva|Souza Lima|Oliveira|Araújo|Gonçalves|Ribeiro|Carvalho|dos Santos|Teixeira|Moraes|Cardoso|Brandão",
        "São Paulo|SP|01001-000; Rio de Janeiro|RJ|20010-000; Recife|PE|50010-000", "Rua das Flores, {}", "Ltda.",
    ),
    _country(
        "IN", "Ms. Mr.",
        "Ananya Arjun Meera Rohan Kavya Vikram Isha Sanjay Lakshmi Rahul Neha Aditya",
        "Sharma|Iyer|Reddy|Banerjee|Gupta|Nair|Desai|Kulkarni|Menon|Chopra|Das|Mehta",
        "Mumbai|MH|400001; Bengaluru|KA|560001; Chennai|TN|600001", "{} Station Road", "Pvt. Ltd.",
    ),
    _country(
        "JP", "Ms. Mr.",
        "Yui Haruto Sakura Ren Aoi Kenji Misaki Takumi Hana Daiki Emi Shō",
        "Satō|Suzuki|Takahashi|Tanaka|Itō|Watanabe|Yamamoto|Nakamura|Kobayashi|Katō|Yoshida|Ōno",
        "Tokyo|13|100-0001; Osaka|27|530-0001; Sapporo|01|060-0001", "1-{} Honcho", "K.K.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Account:
    """A company and its switchboard."""

    id: str
    name: str
    country: Country
    switchboard: PhoneNumber

    @property
    def domain(self) -> str:
        """The domain of its e-mail addresses."""
        return f"{self.name.removesuffix(self.country.company).strip().replace(' ', '-').lower()}.example"


def accounts(count: int, rng: Random) -> list[Account]:
    """Return `count` companies, the countries taking turns."""
    return [_account(index, COUNTRIES[index % len(COUNTRIES)], rng) for index in range(count)]


def account(record_id: str, name: str, country_code: str, rng: Random) -> Account:
    """Return a company that is known by name, with a switchboard of chance."""
    country = next(country for country in COUNTRIES if country.code == country_code)
    return Account(record_id, name, country, number(country, PhoneNumberType.FIXED_LINE, rng))


def record_id(prefix: str, rng: Random) -> str:
    """Return an id as Salesforce makes them: three characters of the object's kind, 15 or 18 in all."""
    return prefix + "".join(rng.choices(_ID_CHARACTERS, k=rng.choice((12, 15, 15, 15))))


def number(country: Country, kind: int, rng: Random) -> PhoneNumber:
    """Return a valid number of `country`: the library's example of its kind with the last seven digits redrawn.

    Two draws are hardly ever the same: people who share a number are made on purpose, not by chance.
    """
    example = phonenumbers.example_number_for_type(country.code, kind)
    if example is None or example.national_number is None:
        raise ValueError(f"no example number of kind {kind} for {country.code}")
    while True:
        varied = PhoneNumber()
        varied.merge_from(example)
        varied.national_number = example.national_number // 10**7 * 10**7 + rng.randrange(10**7)
        if phonenumbers.is_valid_number_for_region(varied, country.code):
            return varied


def ascii_of(name: str) -> str:
    """Return a name as it stands in an address: plain letters and dots."""
    plain = unicodedata.normalize("NFKD", name.translate(_UNDECOMPOSED)).encode("ascii", "ignore").decode()
    return plain.replace(" ", "").replace("'", "").lower()


def _account(index: int, country: Country, rng: Random) -> Account:
    stem = _STEMS[index % len(_STEMS)]
    branch = _BRANCHES[index // len(_STEMS) % len(_BRANCHES)]
    again = index // (len(_STEMS) * len(_BRANCHES))
    name = f"{stem} {branch}{f' {again + 1}' if again else ''} {country.company}"
    return Account(record_id("001", rng), name, country, number(country, PhoneNumberType.FIXED_LINE, rng))
