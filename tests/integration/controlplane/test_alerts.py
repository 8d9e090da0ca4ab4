"""A soft budget that a key or a team reached raises one alert for each period, to whom `alerting` names; a receiver that is
slow, dead or rude harms nothing else."""

import contextlib
import time

from support.receivers import Mailbox, Webhook, within


def soft_key(cp, spend=None, **members):
    reply = cp.post("/key/generate", {"soft_budget": 1.5, "max_budget": 5, "key_alias": "ci", **members})
    assert reply.status == 200, reply.body
    return reply.json["token"]


def spend(postgres, cp, key, dollars):
    postgres.sql(cp.database, """UPDATE "LiteLLM_VerificationToken" SET spend = %s WHERE token = %s""", dollars, key)


def settled(postgres, cp):
    """A look or two have gone by."""
    time.sleep(4.5)


def test_a_key_raises_one_alert_for_each_period(start, database, postgres):
    with Webhook() as hook, Webhook() as slack:
        cp = start(database, {"general_settings": {"alerting": ["webhook", "slack"]}},
                   env={"WEBHOOK_URL": hook.url, "SLACK_WEBHOOK_URL": slack.url, "PROXY_BASE_URL": "https://proxy.example"})  # fmt: skip
        user = cp.post("/user/new", {"user_id": "u1", "user_email": "ann@example.com", "auto_create_key": False})
        assert user.status == 200
        key = soft_key(cp, user_id="u1", budget_duration="30d")
        spend(postgres, cp, key, 1.4)
        settled(postgres, cp)
        assert not hook.seen
        spend(postgres, cp, key, 1.5)
        within(lambda: hook.seen and slack.seen)
        path, kind, body = hook.seen[0]
        assert (path, kind) == ("/hook/secret-part", "application/json")
        assert body == {
            "spend": 1.5, "max_budget": 5, "soft_budget": 1.5, "token": key, "customer_id": None, "user_id": "u1",
            "team_id": None, "team_alias": None, "organization_id": None, "user_email": "ann@example.com", "key_alias": "ci",
            "projected_exceeded_date": None, "projected_spend": None, "event_group": "key", "alert_emails": None,
            "max_budget_alert_emails": None, "event": "soft_budget_crossed",
            "event_message": "Soft Budget Crossed: Total Soft Budget:`1.5`"}  # fmt: skip
        text = slack.bodies()[0]["text"]
        assert text.startswith("Alert type: `budget_alerts`\nLevel: `High`\nTimestamp: `")
        assert "\n\nMessage: Soft Budget Crossed: Total Soft Budget:`1.5`\n\n*spend:* `1.5`\n*max_budget:* `5" in text
        assert "*key_alias:* `ci`\n" in text and text.endswith("\n\nProxy URL: `https://proxy.example`")
        assert key not in text
        # more of it is no news
        for dollars in (1.6, 2, 4.9):
            spend(postgres, cp, key, dollars)
        settled(postgres, cp)
        assert len(hook.seen) == len(slack.seen) == 1
        # the next period is
        postgres.sql(database, """UPDATE "LiteLLM_VerificationToken" SET spend = 0,
            budget_reset_at = budget_reset_at + interval '1 month' WHERE token = %s""", key)
        settled(postgres, cp)
        assert len(hook.seen) == 1
        spend(postgres, cp, key, 3)
        within(lambda: len(hook.seen) == 2 and len(slack.seen) == 2)
        assert hook.bodies()[1]["spend"] == 3


def test_without_a_period_a_reset_makes_it_news_again(start, database, postgres):
    with Webhook() as hook:
        cp = start(database, {"general_settings": {"alerting": ["webhook"]}}, env={"WEBHOOK_URL": hook.url})
        key = soft_key(cp)
        spend(postgres, cp, key, 2)
        within(lambda: hook.seen)
        spend(postgres, cp, key, 3)
        settled(postgres, cp)
        assert len(hook.seen) == 1
        spend(postgres, cp, key, 0)
        settled(postgres, cp)
        spend(postgres, cp, key, 2)
        within(lambda: len(hook.seen) == 2)


def test_teams_name_their_receivers(start, database, postgres):
    with Mailbox() as box, Webhook() as hook:
        cp = start(database, {"general_settings": {"alerting": ["webhook"]}},
                   env={"WEBHOOK_URL": hook.url, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(box.port), "SMTP_TLS": "False",
                        "SMTP_SENDER_EMAIL": "weir@example.com", "SMTP_USERNAME": "weir", "SMTP_PASSWORD": "geheim"})  # fmt: skip
        for ident, metadata in (("many", {"soft_budget_alerting_emails": ["a@example.com", "b@example.com", "no\r\nBcc: x@y"]}),
                                ("text", {"soft_budget_alerting_emails": "c@example.com, d@example.com"}), ("none", {})):
            reply = cp.post("/team/new", {"team_id": ident, "team_alias": f"Team {ident}", "soft_budget": 2, "max_budget": 10,
                                          "metadata": metadata})  # fmt: skip
            assert reply.status == 200, reply.body
        postgres.sql(database, """UPDATE "LiteLLM_TeamTable" SET spend = 2.5""")
        within(lambda: len(box.seen) == 4 and len(hook.seen) == 2)
        settled(postgres, cp)
        assert sorted(to for _, tos, _, _ in box.seen for to in tos) == [f"<{c}@example.com>" for c in "abcd"]
        sender, _, mail, login = next(s for s in box.seen if s[1] == ["<a@example.com>"])
        assert sender == "<weir@example.com>" and login == ["weir", "geheim"]
        assert (mail["from"], mail["to"], mail["subject"]) == ("weir@example.com", "<a@example.com>", "Soft Budget Crossed")
        [part] = [m for m in mail.walk() if not m.is_multipart()]
        text = part.get_payload(decode=True).decode()
        assert "Total Soft Budget:`2`" in text and "*team_alias:* `Team many`" in text
        assert sorted(b["team_id"] for b in hook.bodies()) == ["many", "text"]
        assert next(b for b in hook.bodies() if b["team_id"] == "text")["alert_emails"] == ["c@example.com", "d@example.com"]
        assert "geheim" not in cp.log()


def test_mail_goes_encrypted_or_not_at_all(start, certs, postgres, empty_schema):
    """Login and text go to a server that the authorities we trust vouch for, behind STARTTLS or from the first byte."""
    rows = {"offered": ("good", False), "at once": ("good", True), "of a stranger": ("stranger", False), "not offered": (None, False)}
    boxes = {name: Mailbox(chain and certs.chain(chain), at_once) for name, (chain, at_once) in rows.items()}
    with contextlib.ExitStack() as stack:
        for name, box in boxes.items():
            stack.enter_context(box)
            url = postgres.database(template=empty_schema)
            cp = start(url, {"general_settings": {"alerting": ["email"]}},
                       env={"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(box.port), "SMTP_SENDER_EMAIL": "weir@example.com",
                            "SMTP_USERNAME": "weir", "SMTP_PASSWORD": "geheim", "SSL_CERT_FILE": str(certs.ca),
                            "SMTP_USE_SSL": str(box.at_once)})  # fmt: skip
            reply = cp.post("/team/new", {"team_id": "t", "soft_budget": 2, "max_budget": 10,
                                          "metadata": {"soft_budget_alerting_emails": ["a@example.com"]}})  # fmt: skip
            assert reply.status == 200, reply.body
            postgres.sql(url, """UPDATE "LiteLLM_TeamTable" SET spend = 2.5""")
            box.url = url
        failed = "SELECT count(*) FROM weir.alert_send WHERE tries > 0 AND done_at IS NULL AND error IS NOT NULL"
        within(lambda: all(boxes[name].seen or postgres.sql(boxes[name].url, failed) == [("1",)] for name in boxes), 20)
        assert {name: len(box.seen) for name, box in boxes.items()} == {"offered": 1, "at once": 1, "of a stranger": 0, "not offered": 0}
        for box in (boxes["offered"], boxes["at once"]):
            assert box.seen[0][3] == ["weir", "geheim"]
        assert {verb for box in boxes.values() for verb in box.clear} <= {"EHLO", "STARTTLS", "QUIT", "HELO"}
        assert boxes["at once"].clear == [] and "STARTTLS" in boxes["of a stranger"].clear


def test_a_receiver_that_fails_is_tried_again_and_not_for_ever(start, database, postgres):
    with Webhook(500, 200) as hook:
        cp = start(database, {"general_settings": {"alerting": ["webhook"]}}, env={"WEBHOOK_URL": hook.url})
        spend(postgres, cp, soft_key(cp), 2)
        within(lambda: len(hook.seen) == 2, 20)
        settled(postgres, cp)
        assert len(hook.seen) == 2
        assert "alert_not_sent" in cp.log() and "answered 500" in cp.log()
        assert "secret-part" not in cp.log()
        postgres.sql(database, "UPDATE weir.alert_send SET done_at = NULL, tries = 5, due_at = now()")
        settled(postgres, cp)
        assert len(hook.seen) == 2


def test_a_receiver_that_never_answers_harms_nothing(start, database, postgres):
    with Webhook(None) as hook:
        cp = start(database, {"general_settings": {"alerting": ["webhook"]}}, env={"WEBHOOK_URL": hook.url})
        key = soft_key(cp)
        spend(postgres, cp, key, 2)
        within(lambda: hook.seen)
        began = time.monotonic()
        # jobs go on: a period ends meanwhile
        postgres.sql(database, """UPDATE "LiteLLM_VerificationToken" SET budget_duration = '1d',
            budget_reset_at = now() AT TIME ZONE 'UTC' - interval '1 s'""")
        within(lambda: postgres.sql(database, f"""SELECT spend FROM "LiteLLM_VerificationToken" WHERE token = '{key}'""") == [("0",)], 5)
        assert cp.get("/health/readiness").status == 200
        cp.stop()  # and the end does not wait for it
        assert time.monotonic() - began < 9


def test_off(start, database, postgres):
    with Webhook() as hook:
        for config in ({}, {"general_settings": {"alerting": ["webhook"], "alert_types": ["llm_exceptions"]}},
                       {"general_settings": {"alerting": ["webhook"]}, "weir": {"jobs": False}}):  # fmt: skip
            cp = start(database, config, env={"WEBHOOK_URL": hook.url})
            spend(postgres, cp, soft_key(cp, key_alias=None), 2)
            settled(postgres, cp)
            cp.stop()
        assert not hook.seen


def test_a_url_of_its_own_for_slack(start, database, postgres):
    with Webhook() as own, Webhook() as other:
        cp = start(database, {"general_settings": {"alerting": ["slack"], "alert_to_webhook_url": {"budget_alerts": own.url}}},
                   env={"SLACK_WEBHOOK_URL": other.url})  # fmt: skip
        spend(postgres, cp, soft_key(cp), 2)
        within(lambda: own.seen)
        assert not other.seen
