from datetime import UTC, datetime

from kontinual.trigger.champion import ChampionWatch
from kontinual.trigger.metrics import TriggerMetrics

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class FakeRegistry:
    version: str | None = None
    broken = False

    def champion(self) -> str | None:
        if self.broken:
            raise RuntimeError("database is locked")
        return self.version

    def champion_since(self) -> datetime | None:
        return SINCE


def champion_lines(metrics: TriggerMetrics) -> list[str]:
    text = metrics.render().decode()
    return [line for line in text.splitlines() if line.startswith("kontinual_champion_info{")]


def test_only_the_present_champion_is_shown() -> None:
    registry, metrics = FakeRegistry(), TriggerMetrics("toy")
    watch = ChampionWatch(registry, metrics)
    watch.refresh()
    assert champion_lines(metrics) == []
    for version in ("1", "2"):
        registry.version = version
        watch.refresh()
        line = f'kontinual_champion_info{{model="toy",version="{version}"}} 1.0'
        assert champion_lines(metrics) == [line]
        assert watch.version == version
    shown = metrics.registry.get_sample_value("kontinual_champion_since_seconds", {"model": "toy"})
    assert shown == SINCE.timestamp()


def test_while_the_registry_fails_the_last_champion_stays() -> None:
    registry, metrics = FakeRegistry(), TriggerMetrics("toy")
    registry.version = "1"
    watch = ChampionWatch(registry, metrics)
    watch.refresh()
    registry.broken = True
    watch.refresh()
    watch.refresh()
    assert watch.version == "1"
    assert len(champion_lines(metrics)) == 1
    text = metrics.render().decode()
    assert 'kontinual_trigger_errors_total{kind="champion",model="toy"} 2.0' in text
    registry.broken = False
    registry.version = None
    watch.refresh()
    assert champion_lines(metrics) == []
