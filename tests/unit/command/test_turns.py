import asyncio

from ovs_pathfinder.command import turns


def test_units_are_taken_together_or_not_at_all():
    async def work() -> list[str]:
        order: list[str] = []
        shared = turns.Turns()
        await shared.take("a")

        async def want(name: str, *units: str) -> None:
            await shared.take(*units)
            order.append(name)

        both = asyncio.ensure_future(want("both", "a", "b"))
        alone = asyncio.ensure_future(want("alone", "b"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.append("freed a")
        shared.free("b")
        shared.free("a")
        await asyncio.gather(both, alone, return_exceptions=True)
        return order

    assert asyncio.run(work()) == ["alone", "freed a", "both"]


def test_who_came_first_is_first():
    async def work() -> list[int]:
        order: list[int] = []
        shared = turns.Turns()

        async def one(number: int) -> None:
            async with shared.at("leader"):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(one(number) for number in range(5)))
        return order

    assert asyncio.run(work()) == [0, 1, 2, 3, 4]


def test_who_gives_up_waiting_holds_nobody_up():
    async def work() -> bool:
        shared = turns.Turns({"app/leader": "app/0"})
        await shared.take("app/0")
        waiting = asyncio.ensure_future(shared.take("app/leader"))
        await asyncio.sleep(0)
        shared.free("app/0")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(shared.take("app/leader"), 5)
        return True

    assert asyncio.run(work())
