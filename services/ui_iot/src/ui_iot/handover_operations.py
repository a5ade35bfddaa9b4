"""The operations of /api/v2 about what ends and moves: expiring certificates, rescues, transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import handover_models as models
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS, EVERYBODY

if TYPE_CHECKING:
    from ui_iot.handover_api import HandoverApi

DEVICE = "/api/v2/devices/{device_id}"
TRANSFERS = "/api/v2/transfers"
TRANSFER = f"{TRANSFERS}/{{transfer_id}}"


def handover_operations(api: HandoverApi) -> list[Operation]:
    return [
        Operation(
            name="listExpiring",
            summary="Devices whose certificates expire within 30 days, or did",
            method="GET",
            path="/api/v2/expiring",
            roles=EVERYBODY,
            handler=api.expiring,
            headers=("If-None-Match",),
            answers={200: models.ExpiringAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        *_rescues(api),
        *_transfers(api),
    ]


def _rescues(api: HandoverApi) -> list[Operation]:
    return [
        Operation(
            name="openRescue",
            summary="Let a device whose certificate has expired have the next one, for the same key and a time",
            method="POST",
            path=f"{DEVICE}/rescue",
            roles=ADMINISTRATORS,
            handler=api.open_rescue,
            body=models.RescueBody,
            answers={201: models.RescueAnswer},
            refusals=frozenset({409}),
        ),
        Operation(
            name="closeRescue",
            summary="Take the approval of a rescue back",
            method="DELETE",
            path=f"{DEVICE}/rescue",
            roles=ADMINISTRATORS,
            handler=api.close_rescue,
            answers={200: models.RescueClosedAnswer},
        ),
    ]


def _transfers(api: HandoverApi) -> list[Operation]:
    return [
        Operation(
            name="offerDevice",
            summary="Offer a device to another tenant; whether there is such a tenant is not told",
            method="POST",
            path=f"{DEVICE}/transfer",
            roles=ADMINISTRATORS,
            handler=api.offer,
            body=models.OfferBody,
            answers={201: models.OfferAnswer},
            refusals=frozenset({409}),
        ),
        Operation(
            name="listTransfers",
            summary="What you offered, and what you were offered, newest first",
            method="GET",
            path=TRANSFERS,
            roles=ADMINISTRATORS,
            handler=api.transfers,
            headers=("If-None-Match",),
            answers={200: models.TransfersAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="withdrawTransfer",
            summary="Take back an offer that nobody has accepted",
            method="POST",
            path=f"{TRANSFER}/withdraw",
            roles=ADMINISTRATORS,
            handler=api.withdraw,
            answers={200: models.TransferEndedAnswer},
        ),
        Operation(
            name="acceptTransfer",
            summary="Take a device that you are offered: it begins anew, with a token to enrol by",
            method="POST",
            path=f"{TRANSFER}/accept",
            roles=ADMINISTRATORS,
            handler=api.accept,
            answers={201: models.AcceptedAnswer},
            refusals=frozenset({409}),
        ),
        Operation(
            name="declineTransfer",
            summary="Say no to a device that you are offered",
            method="POST",
            path=f"{TRANSFER}/decline",
            roles=ADMINISTRATORS,
            handler=api.decline,
            answers={200: models.TransferEndedAnswer},
        ),
    ]
