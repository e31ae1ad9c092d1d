"""What a person sees and does, in a real browser."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from kontinual.trigger import Answer

Visit = Callable[..., Page]
PHONE = {"viewport": {"width": 360, "height": 740}}
expect.set_options(timeout=30_000)


def section(page: Page, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True)


def test_a_reader_sees_how_the_loop_stands_and_nothing_to_press(visit: Visit) -> None:
    page = visit("visitor")
    now = section(page, "Now")
    expect(now).to_contain_text("A retraining is in progress")
    expect(now).to_contain_text("version 4")
    running = section(page, "In progress")
    expect(running.get_by_role("list", name="steps")).to_contain_text("tune done, 21 min 0 s")
    expect(running.get_by_role("list", name="steps")).to_contain_text("rollout running")
    names = page.get_by_role("main").locator("a.button, button").all_text_contents()
    assert names == []


def test_each_decision_tells_its_reason_and_its_evidence(visit: Visit) -> None:
    page = visit()
    card = section(page, "Timeline").get_by_role("article").filter(has_text="Trigger 3: ")
    expect(card).to_contain_text("suppressed")
    expect(card).to_contain_text("the input moved but the model is not hurt")
    rules = card.get_by_role("list", name="rules in their order")
    expect(rules).to_be_hidden()
    card.get_by_text("Evidence for trigger 3").click()
    spoke = rules.get_by_role("listitem").filter(has_text="decided")
    expect(spoke).to_have_count(1)
    expect(spoke).to_contain_text("model_hurt")
    expect(rules.get_by_role("listitem").filter(has_text="paused")).to_contain_text("passed")
    expect(rules.get_by_role("listitem").filter(has_text="cooldown")).to_contain_text("not asked")
    expect(card).to_contain_text("fall of ROC AUC: 0.004, threshold 0.015")


def test_runs_and_versions_tell_the_weights_they_came_by(visit: Visit) -> None:
    page = visit()
    rolled_back = section(page, "Timeline").get_by_role("article").filter(has_text="rolled back")
    expect(rolled_back).to_contain_text("25 % failed, 4500 requests")
    expect(rolled_back).to_contain_text("log loss of the canary rose by 0.083 at 25 %")
    versions = section(page, "Versions").get_by_role("listitem")
    canary = versions.filter(has_text="Version 5")
    expect(canary).to_contain_text("canary")
    expect(canary).to_contain_text("5 %")
    champion = versions.filter(has_text="Version 4")
    expect(champion).to_contain_text("champion")
    expect(champion).to_contain_text("95 %")
    expect(champion.get_by_role("link", name="Roll back")).to_have_count(0)


def test_quality_is_drawn_with_each_retraining_marked(visit: Visit) -> None:
    quality = section(visit(), "Quality over time")
    plot = quality.get_by_role("img")
    for mark in ("v1", "v2", "v3 back", "v4"):
        expect(plot.get_by_text(mark, exact=True)).to_be_visible()
    expect(quality).to_contain_text(re.compile(r"version 4: 0\.6\d\d \(on its holdout 0\.741\)"))
    box = plot.locator("polyline").first.bounding_box()
    assert box is not None
    assert box["width"] > 50


def test_drift_is_told_of_each_feature(visit: Visit) -> None:
    rows = section(visit(), "Drift of each feature").get_by_role("row")
    expect(rows.filter(has_text="carrier")).to_contain_text("over")
    expect(rows.filter(has_text="origin")).not_to_contain_text("over")
    expect(rows.filter(has_text="temp")).to_contain_text("seasonal, not judged")


def test_without_scripts_everything_can_be_read_and_done(visit: Visit, world: Any) -> None:
    page = visit(java_script_enabled=False)
    expect(page.get_by_role("link", name="Look again")).to_be_visible()
    expect(section(page, "Timeline").get_by_role("article")).not_to_have_count(0)
    page.get_by_role("link", name="Retrain now").click()
    page.get_by_label("Reason").fill("seen without scripts")
    page.get_by_role("button", name="Ask for a retraining").click()
    expect(page.get_by_text("A retraining is asked for")).to_be_visible()
    asked = world.ledger.triggers()[-1]
    assert (asked.by, asked.summary) == ("ada", "seen without scripts")
    page.get_by_role("link", name=f"Withdraw trigger {asked.id}").click()
    page.get_by_label("Reason").fill("it was a test")
    page.get_by_role("button", name="Withdraw").click()
    decision = world.ledger.trigger(asked.id).decision
    assert (decision.answer, decision.by) == (Answer.SUPPRESS, "ada")


def test_the_keyboard_alone_pauses_and_resumes(visit: Visit, world: Any) -> None:
    page = visit()

    def walk_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent.trim()") == name:
                return
        pytest.fail(f"Tab never reaches {name}")

    walk_to("Pause")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pause this loop?")).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "reason":
            break
    page.keyboard.type("the upstream changes its units")
    walk_to("Pause")
    page.keyboard.press("Enter")
    expect(section(page, "Now")).to_contain_text("paused by ada")
    paused = world.ledger.state().paused
    assert (paused.by, paused.reason) == ("ada", "the upstream changes its units")
    walk_to("Resume")
    page.keyboard.press("Enter")
    page.get_by_label("Reason").focus()
    page.keyboard.type("it is done")
    walk_to("Resume")
    page.keyboard.press("Enter")
    expect(section(page, "Now")).to_contain_text("A retraining is in progress")
    assert world.ledger.state().paused is None


def test_a_held_trigger_is_approved_and_the_page_says_by_whom(visit: Visit) -> None:
    page = visit()
    held = section(page, "Held").get_by_role("article").filter(has_text="new_labels")
    expect(held).to_contain_text("is in progress")
    held.get_by_role("link", name="Approve").click()
    expect(page.get_by_role("main")).to_contain_text("Held by run_in_progress")
    page.get_by_label("Reason").fill("looks right")
    page.get_by_role("button", name="Approve").click()
    expect(held).to_contain_text("Approved by ada: looks right")


def test_news_comes_by_itself_and_leaves_what_was_open(visit: Visit, world: Any) -> None:
    page = visit()
    evidence = section(page, "Timeline").locator("#t-evidence-2")
    evidence.locator("summary").focus()
    page.keyboard.press("Enter")
    reason = "<script>document.title='owned'</script>"
    number = world.ledger.ask_by_hand(reason, by="eve").id
    card = section(page, "Timeline").get_by_role("article").filter(has_text=f"Trigger {number}:")
    expect(card).to_contain_text(reason)
    expect(evidence).to_have_attribute("open", "")
    assert page.evaluate("document.activeElement.textContent") == "Evidence for trigger 2"
    assert "owned" not in page.title()


@pytest.mark.parametrize("where", ["", "/pause"])
@pytest.mark.parametrize(
    "options", [{"color_scheme": "light"}, {"color_scheme": "dark", **PHONE}], ids=["desk", "phone"]
)
def test_nothing_stands_in_the_way_of_who_sees_or_moves_otherwise(
    visit: Visit, world: Any, where: str, options: dict[str, Any]
) -> None:
    page = visit(**options)
    page.goto(world.page + where)
    page.evaluate("[...document.querySelectorAll('details')].slice(0, 2).map((d) => d.open = true)")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
