"""What the meals board does. Each public method is one step of the process."""

from datetime import date

from plugward.boards.orders.contract import Orders
from plugward.commons.masterdata.contract import Domain, MasterData
from plugward.kernel import Reading, Store, Work, in_work, reading
from plugward.kit.time import Clock
from plugward.vocabulary import ChargeRequest, EncounterId, WardId

from .contract import (
    CancelReason,
    DishUnknown,
    KitchenClosed,
    MealCancelled,
    MealDelivered,
    MealOrder,
    MealOrdered,
    MealOrderId,
    MealOrderNotFound,
    Meals,
    MealState,
    OrderMeal,
    PatientFasting,
)
from .rules import LIFECYCLE, MENU, cut_off, draft_of
from .tables import meal_orders

ENTRIES_MAX = 1_000
TROLLEY_MAX = 200
MEALS_A_DAY_MAX = 20


class MealService(Meals):
    def __init__(self, store: Store, clock: Clock, orders: Orders, masterdata: MasterData) -> None:
        self.store = store
        self._clock = clock
        self._orders = orders
        self._masterdata = masterdata

    async def order(self, request: OrderMeal) -> MealOrder:
        if request.dish not in MENU:
            raise DishUnknown(dish=request.dish)
        if self._clock.now() >= cut_off(request.day, request.time):
            raise KitchenClosed(day=request.day, time=request.time)
        # Ask other boards first; a unit of work is a plain function and cannot await.
        if await self._orders.is_fasting(request.encounter, on=request.day):
            raise PatientFasting(encounter=request.encounter, day=request.day)
        return await self._place(request)

    @in_work
    def cancel(self, work: Work, meal: MealOrderId, reason: CancelReason) -> MealOrder:
        return self._cancel(work, self._get(work, meal), reason)

    @in_work
    def cancel_undelivered(
        self, work: Work, encounter: EncounterId, day: date, reason: CancelReason
    ) -> None:
        """Cancel whatever this patient has not yet received on ``day``."""
        meals = work.find(
            meal_orders, MealOrder, limit=MEALS_A_DAY_MAX, encounter=encounter, day=day
        )
        for meal in meals:
            if meal.state is MealState.ORDERED:
                self._cancel(work, meal, reason)

    @in_work
    def deliver(self, work: Work, meal: MealOrderId) -> MealOrder:
        delivered = self._move(work, self._get(work, meal), MealState.DELIVERED)
        charge = ChargeRequest(
            encounter=delivered.encounter,
            item=delivered.dish,
            quantity=1,
            performed_at=self._clock.now(),
        )
        work.publish(MealDelivered(meal=delivered, charge=charge))
        return delivered

    @reading
    def for_ward(self, read: Reading, ward: WardId, day: date) -> tuple[MealOrder, ...]:
        return read.find(
            meal_orders, MealOrder, limit=TROLLEY_MAX, ward=ward, day=day, order_by="time"
        )

    async def offer_dishes(self) -> None:
        """Make the dishes known as charge items; whoever keeps master data sets later prices."""
        known = {
            entry.code
            for entry in await self._masterdata.entries(Domain.CHARGE_ITEM, 0, ENTRIES_MAX)
        }
        drafts = tuple(draft_of(dish) for code, dish in MENU.items() if code not in known)
        if drafts:
            await self._masterdata.publish(Domain.CHARGE_ITEM, drafts, "膳食插板自带的菜品")

    @in_work
    def _place(self, work: Work, request: OrderMeal) -> MealOrder:
        meal = MealOrder(**request.fields(), state=MealState.ORDERED)
        work.insert(meal_orders, meal)
        work.publish(MealOrdered(meal=meal))
        return meal

    def _get(self, work: Work, meal: MealOrderId) -> MealOrder:
        return work.get(meal_orders, MealOrder, meal, missing=MealOrderNotFound)

    def _cancel(self, work: Work, meal: MealOrder, reason: CancelReason) -> MealOrder:
        cancelled = self._move(work, meal, MealState.CANCELLED)
        work.publish(MealCancelled(meal=cancelled, reason=reason))
        return cancelled

    def _move(self, work: Work, meal: MealOrder, to: MealState) -> MealOrder:
        LIFECYCLE.check(meal.state, to)
        moved = meal.replace(state=to)
        work.update(meal_orders, before=meal, after=moved)
        return moved
