"""Wiring of people: who calls, log-in, sessions and the team."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ui_iot.backchannel import BackChannel
from ui_iot.callers import Callers
from ui_iot.endings import Endings
from ui_iot.front_door import FrontDoor
from ui_iot.login import Login
from ui_iot.once import Once
from ui_iot.refresh import Refresher
from ui_iot.routes import People
from ui_iot.session_api import SessionApi
from ui_iot.session_pages import SessionPages
from ui_iot.sessions import Sessions
from ui_iot.team import Team
from ui_iot.team_api import TeamApi
from ui_iot.team_pages import TeamPages
from ui_iot.team_turns import Turns
from ui_iot.vault import Vault
from ui_iot.visits import visit_of

if TYPE_CHECKING:
    from ui_iot.cookies import SealedCookies
    from ui_iot.wiring.made import Parts


def open_callers(made: Parts) -> Callers:
    vault = Vault(made.sealer)
    refresher = Refresher(db=made.db, vault=vault, provider=made.provider, clock=made.clock)
    sessions = Sessions(
        db=made.db,
        vault=vault,
        refresher=refresher,
        verifier=made.verifier,
        notices=made.notices,
        clock=made.clock,
    )
    return Callers(
        sessions=sessions,
        verifier=made.verifier,
        public_url=made.public_url,
        visit_of=partial(visit_of, trusted=made.trusted_proxies),
        clock=made.clock,
        step_up_max_age_seconds=made.step_up_max_age_seconds,
        step_up_acr=made.provider.step_up_acr,
    )


def handlers(made: Parts, callers: Callers, sealed: SealedCookies) -> People:
    endings = Endings(
        db=made.db,
        vault=Vault(made.sealer),
        provider=made.provider,
        notices=made.notices,
        clock=made.clock,
    )
    once = Once(db=made.db, sealer=made.sealer, clock=made.clock)
    turns = Turns(db=made.db, directory=made.directory)
    team = Team(directory=made.directory, turns=turns, endings=endings)
    return People(
        login=Login(
            provider=made.provider,
            sessions=callers.sessions,
            door=FrontDoor(made.db),
            verifier=made.verifier,
            sealed=sealed,
            visit_of=callers.visit_of,
            on_refused=made.on_refused,
            clock=made.clock,
        ),
        back_channel=BackChannel(
            endings=endings,
            verifier=made.verifier,
            client_id=made.provider.client_id,
            db=made.db,
            visit_of=callers.visit_of,
            on_refused=made.on_refused,
        ),
        session_pages=SessionPages(db=made.db, endings=endings, callers=callers),
        session_api=SessionApi(db=made.db, endings=endings, callers=callers),
        team_pages=TeamPages(db=made.db, team=team, callers=callers),
        team_api=TeamApi(db=made.db, team=team, once=once, callers=callers),
    )
