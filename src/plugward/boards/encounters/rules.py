"""The rules of a visit: pure functions, no database, no clock."""

from plugward.kernel import Lifecycle

from .contract import EncounterState

LIFECYCLE = Lifecycle(
    {
        EncounterState.PLANNED: {
            EncounterState.ARRIVED,
            EncounterState.IN_PROGRESS,  # called in before the desk's word of the arrival got here
            EncounterState.CANCELLED,
        },
        EncounterState.ARRIVED: {
            EncounterState.PLANNED,  # the clinic was stopped while the patient waited
            EncounterState.IN_PROGRESS,
            EncounterState.CANCELLED,
        },
        EncounterState.IN_PROGRESS: {EncounterState.FINISHED},
        EncounterState.FINISHED: set(),
        # Late money can take a released number again; then the visit is planned again.
        EncounterState.CANCELLED: {EncounterState.PLANNED},
    }
)

OVER = frozenset({EncounterState.FINISHED, EncounterState.CANCELLED})
BEGUN = frozenset({EncounterState.IN_PROGRESS, EncounterState.FINISHED})
