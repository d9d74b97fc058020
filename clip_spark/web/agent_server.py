"""*Server.* Opens the indices and answers one agent on standard input and output, until the input ends."""

from __future__ import annotations

from threadpoolctl import threadpool_limits

from clip_spark.web.agent_spec import AgentSpec
from clip_spark.web.agent_tools import agent_server
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.reload import Reloader
from clip_spark.web.spec import named_uris
from clip_spark.web.whole_files import WholeFiles

MOST_HITS = 1_050
"""Of one request: an agent's last page, and the hits whose values are counted."""


def run(spec: AgentSpec) -> None:
    """*Server.* Answer until the agent closes the connection; new generations of an index are taken as they come.

    Raises:
        UserError: an index or a map cannot be opened, or its model cannot be loaded.
    """
    indices, maps = named_uris(spec.index), named_uris(spec.map, "map")
    app = create_app(Catalog.open(indices, maps), max_k=MOST_HITS)
    threadpool_limits(1, user_api="blas")
    Reloader(app.state, indices, maps).start()
    WholeFiles(app.state).start()
    agent_server(app).run()
