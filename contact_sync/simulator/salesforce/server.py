"""Running the organisation in a thread, for tests and demos.

What belongs here: the organisation behind the application. Sockets and threads are `hosting`'s.
"""

from contact_sync.simulator.hosting import HostedApp
from contact_sync.simulator.salesforce.app import Org
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync.simulator.salesforce.trouble import Trouble


class SalesforceServer(HostedApp):
    """A running organisation, stopped when its `with` block ends; what it holds stays in `org`.

    `base_url` is both its My Domain and its instance.

    Args:
        settings: The organisation.
        port: Where to listen; 0 takes a free port.

    Raises:
        RuntimeError: It did not start.
    """

    def __init__(self, settings: OrgSettings | None = None, *, port: int = 0) -> None:
        self.org = Org(settings or OrgSettings())
        super().__init__(self.org.app(), port=port, own_date=True)

    @property
    def trouble(self) -> Trouble:
        """What goes wrong."""
        return self.org.trouble
