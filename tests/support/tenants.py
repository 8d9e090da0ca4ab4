"""Two tenants with somebody of every role, and a key for each: who the authorization cases are asked as.

    organization one   team red: ann (admin), bob (member)     olga: org_admin
    organization two   team blue: zoe (admin)
    outside            root: proxy_admin, vera: proxy_admin_viewer, ivy: internal_user, ines: internal_user_viewer

Rows are written by SQL, so that a family can be tested before those it builds on.
"""

import hashlib
import json

ROLES = {
    "root": "proxy_admin", "vera": "proxy_admin_viewer", "ivy": "internal_user", "ines": "internal_user_viewer",
    "ann": "internal_user", "bob": "internal_user", "olga": "internal_user", "zoe": "internal_user",
}  # fmt: skip
TEAM_OF = {"ann": "red", "bob": "red", "zoe": "blue"}


def sha256(key):
    return hashlib.sha256(key.encode()).hexdigest()


class Tenants:
    def __init__(self, cp, postgres):
        self.cp, self.postgres = cp, postgres
        self.keys = {"master": cp.key}
        self._sql("""INSERT INTO "LiteLLM_BudgetTable" (budget_id, created_by, updated_by) VALUES ('b', 'x', 'x');
            INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, created_by, updated_by)
            VALUES ('one', 'One', 'b', 'x', 'x'), ('two', 'Two', 'b', 'x', 'x')""")
        for user, role in ROLES.items():
            teams = [TEAM_OF[user]] if user in TEAM_OF else []
            self._sql("""INSERT INTO "LiteLLM_UserTable" (user_id, user_role, teams) VALUES (%s, %s, %s::text[])""",
                      user, role, "{" + ",".join(teams) + "}")  # fmt: skip
        self.team("red", "one", {"ann": "admin", "bob": "user"})
        self.team("blue", "two", {"zoe": "admin"})
        self._sql("""INSERT INTO "LiteLLM_OrganizationMembership" (user_id, organization_id, user_role)
                     VALUES ('olga', 'one', 'org_admin')""")
        for user in ROLES:
            self.keys[user] = self.make_key(user_id=user, team_id=TEAM_OF.get(user))
        self.keys["nobody"] = self.make_key()

    def _sql(self, text, *args):
        return self.postgres.sql(self.cp.database, text, *args)

    def team(self, team_id, organization_id=None, members=None, **columns):
        members = [{"user_id": u, "role": r} for u, r in (members or {}).items()]
        names = ["team_id", "organization_id", "members_with_roles", *columns]
        values = [team_id, organization_id, json.dumps(members), *columns.values()]
        self._sql(f"""INSERT INTO "LiteLLM_TeamTable" ({", ".join(names)}) VALUES ({", ".join(["%s"] * len(names))})""", *values)

    def make_key(self, **columns):
        """A key as if it had always been there; the key itself."""
        key = f"sk-test-{len(self.keys)}-{hashlib.sha256(repr((id(self), sorted(columns.items()), len(self.keys))).encode()).hexdigest()[:20]}"
        columns = {k: v for k, v in {"token": sha256(key), **columns}.items() if v is not None}
        self._sql(f"""INSERT INTO "LiteLLM_VerificationToken" ({", ".join(columns)})
                      VALUES ({", ".join(["%s"] * len(columns))})""", *columns.values())  # fmt: skip
        self.keys.setdefault(key, key)
        return key

    def audits(self, object_id):
        """action, changed_by, before, after of an object's entries, oldest first."""
        rows = self._sql("""SELECT l.action, l.changed_by, coalesce(before_value, 'null'), coalesce(updated_values, 'null')
                            FROM "LiteLLM_AuditLog" l JOIN weir.audit_origin o ON o.audit_id = l.id
                            WHERE object_id = %s ORDER BY o.seq""", object_id)  # fmt: skip
        return [(a, b, json.loads(c), json.loads(d)) for a, b, c, d in rows]

    def changes(self, table):
        """(key, gone) of weir.change, in order."""
        rows = self._sql("SELECT array_to_json(key), gone FROM weir.change WHERE tbl = %s ORDER BY id", table)
        return [(tuple(json.loads(k)), g == "t") for k, g in rows]
