"""Who may use which endpoint, and what everybody else is told: the guards of the contract as a small table."""

from __future__ import annotations

from dataclasses import dataclass, field

AUTH = "ApiAuthStrategy - "
CLIENT_AUTH = AUTH + "oAuth client - "
UNKNOWN_KEY = "CustomThrottlerGuard - Invalid API Key"
NO_METHOD = (AUTH + "No authentication method provided. Either pass an API key as 'Bearer' header or OAuth client "
             "credentials as 'x-cal-secret-key' and 'x-cal-client-id' headers")
OWN_OF_CLIENTS = "An OAuth client has webhooks of its own, at /v2/oauth-clients/{clientId}/webhooks"
NO_NUMBER = "Validation failed (numeric string is expected)"
ONLY = (AUTH + "Only '{0}' header provided. Please also provide '{1}' header or Auth bearer token as 'Authentication' header")

ORG = "/v2/organizations/{orgId}"
USER = ORG + "/users/{userId}/schedules"
TEAM = ORG + "/teams/{teamId}"

# What each endpoint asks of its caller beside the permission that a client needs: a role in the organization or team, or nothing.
ENDPOINTS = {
    f"GET {ORG}/schedules": "ORG_ADMIN",
    f"POST {USER}": "ORG_ADMIN",
    f"GET {USER}": "ORG_ADMIN",
    f"GET {USER}/{{scheduleId}}": "ORG_ADMIN",
    f"PATCH {USER}/{{scheduleId}}": "ORG_ADMIN",
    f"DELETE {USER}/{{scheduleId}}": "ORG_ADMIN",
    f"GET {ORG}/users/{{userId}}/availability": "ORG_ADMIN",
    f"GET {USER}/{{scheduleId}}/availability": "ORG_ADMIN",
    f"POST {ORG}/availability/query": "ORG_ADMIN",  # where the body names no team
    f"GET {TEAM}/schedules": "TEAM_ADMIN",
    f"GET {TEAM}/users/{{userId}}/schedules": "TEAM_ADMIN",
    "GET /v2/teams/{teamId}/schedules": "ANY_TEAM_ADMIN",
    "POST /v2/schedules": "OWN",
    "GET /v2/schedules": "OWN",
    "GET /v2/schedules/default": "OWN",
    "GET /v2/schedules/{scheduleId}": "OWN",
    "GET /v2/schedules/default/availability": "OWN",
    "GET /v2/schedules/{scheduleId}/availability": "OWN",
    "PATCH /v2/schedules/{scheduleId}": "OWN",
    "DELETE /v2/schedules/{scheduleId}": "OWN",
} | {
    f"{method} {path}{rest}": need
    for path, need in (("/v2/webhooks", "OWN_WEBHOOK"), (f"{ORG}/webhooks", "ORG_WEBHOOK"),
                       ("/v2/oauth-clients/{clientId}/webhooks", "CLIENT_WEBHOOK"))
    for method, rest in (("POST", ""), ("GET", ""), ("GET", "/{webhookId}"), ("PATCH", "/{webhookId}"), ("DELETE", "/{webhookId}"),
                         ("GET", "/{webhookId}/status"), ("GET", "/{webhookId}/deliveries"), ("POST", "/{webhookId}/ping"),
                         ("POST", "/{webhookId}/replay"), ("GET", "/{webhookId}/jobs/{jobId}"))
} | {"DELETE /v2/oauth-clients/{clientId}/webhooks": "CLIENT_WEBHOOK"}
OPEN = {"GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json", "GET /docs", "GET /docs/hours",
        "GET /docs/{file}"}
ROLES = ["NONE", "MEMBER", "ADMIN", "OWNER"]

Answer = tuple[int, str]


@dataclass(frozen=True)
class Target:
    """What a path names; `exists`, `has_team`, `has_user` say what is so of the organization."""

    org: int | str
    team: int | str
    user: int | str
    org_exists: bool = True
    team_exists: bool = True
    team_in_org: bool = True
    user_in_org: bool = True
    user_in_team: bool = True
    client: str = "none"  # an OAuth client of the organization


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they are to the organization and team of the target."""

    headers: dict[str, str]
    refusal: str | None = None  # what a caller who is nobody is told
    user: int = 0
    org_role: str = "NONE"
    team_role: str = "NONE"
    is_system_admin: bool = False
    client: str | None = None
    permissions: set[str] = field(default_factory=set)
    org: int = 0  # the client's organization, else the user's first one

    def is_org_admin(self) -> bool:
        return self.is_system_admin or ROLES.index(self.org_role) >= ROLES.index("ADMIN")


def refusal(endpoint: str, caller: Caller, target: Target) -> Answer | None:
    """Status and message of the first guard that refuses, in the contract's order; None: the caller may."""
    need = ENDPOINTS[endpoint]
    if caller.refusal:
        return 401, caller.refusal
    is_webhook = need.endswith("_WEBHOOK")
    lacking = of_permission(caller, "SCHEDULE_READ" if is_read(endpoint) else
                            "SCHEDULE_READ, SCHEDULE_WRITE" if is_webhook else "SCHEDULE_WRITE")
    if lacking or need == "OWN":
        return lacking
    if need == "ANY_TEAM_ADMIN":
        return of_any_team(caller, target)
    if need == "OWN_WEBHOOK":
        return (403, OWN_OF_CLIENTS) if caller.client else None
    if need == "CLIENT_WEBHOOK":
        return of_client(caller, target, is_read(endpoint))
    return (of_org(target) or (of_team(caller, target) if need == "TEAM_ADMIN" else of_org_role(caller, target))
            or (of_user(target, need) if "{userId}" in endpoint else None))


def is_read(endpoint: str) -> bool:
    return endpoint.startswith("GET ") or endpoint.endswith("/query")


def of_permission(caller: Caller, need: str) -> Answer | None:
    if caller.client is None or set(need.split(", ")) <= caller.permissions:
        return None
    return 403, (f"PermissionsGuard - oAuth client with id={caller.client} does not have the required permissions={need}. "
                 "Go to platform dashboard settings and add the required permissions to the oAuth client.")


def of_client(caller: Caller, target: Target, is_reading: bool) -> Answer | None:
    """Of one that is there, whose organization the target's is."""
    if caller.is_system_admin:
        return None
    if not caller.org:
        return 403, "OAuthClientGuard - No organization associated with the user."
    if caller.org_role == "NONE":
        return 403, (f"OAuthClientGuard - forbidden. oAuth client with id={target.client} does not belong to the organization "
                     f"with id={caller.org}.")
    if is_reading or caller.org_role != "MEMBER":
        return None
    return 403, "OrganizationRolesGuard - User must have one of the roles: ADMIN, OWNER."


def of_org(target: Target) -> Answer | None:
    if not isinstance(target.org, int):
        return 400, NO_NUMBER
    if not target.org_exists:
        return 403, f"IsOrgGuard - provided organization id={target.org} does not represent any existing organization."
    return None


def of_org_role(caller: Caller, target: Target) -> Answer | None:
    if caller.is_org_admin():
        return None
    if caller.org_role == "NONE":
        return 403, f"RolesGuard - User is not a member of the organization with id={target.org}."
    return 403, (f"RolesGuard - user with id={caller.user} does not have the minimum required role=ORG_ADMIN within "
                 f"organization with id={target.org}.")


def of_team(caller: Caller, target: Target) -> Answer | None:
    if not isinstance(target.team, int):
        return 400, NO_NUMBER
    if not target.team_in_org:
        return 404, f"IsTeamInOrg - Team ({target.team}) not found."
    if caller.is_org_admin():
        return None
    if caller.org_role == "NONE":
        return 403, f"RolesGuard - User is not part of the organization with id={target.org}."
    if caller.team_role == "NONE":
        return 403, (f"RolesGuard - User is not part of the team with id={target.team} and/or, is not an admin nor an owner "
                     f"of the organization with id={target.org}.")
    if ROLES.index(caller.team_role) >= ROLES.index("ADMIN"):
        return None
    return 403, (f"RolesGuard - user with id={caller.user} does not have the minimum required role=TEAM_ADMIN within "
                 f"organization with id={target.org} team with id={target.team}.")


def of_any_team(caller: Caller, target: Target) -> Answer | None:
    """The organization is the team's: `team_in_org` of another one says that the caller is a stranger to that."""
    if not isinstance(target.team, int):
        return 400, NO_NUMBER
    is_there = target.team_exists if caller.is_system_admin else target.team_in_org and caller.org_role != "NONE"
    if not is_there:
        return 404, f"IsTeamInOrg - Team ({target.team}) not found."
    if caller.is_org_admin() or ROLES.index(caller.team_role) >= ROLES.index("ADMIN"):
        return None
    if caller.team_role == "NONE":
        return 403, f"RolesGuard - User is not a member of the team with id={target.team}."
    return 403, (f"RolesGuard - user with id={caller.user} does not have the minimum required role=TEAM_ADMIN within team with "
                 f"id={target.team}.")


def of_user(target: Target, need: str) -> Answer | None:
    if not isinstance(target.user, int):
        return 400, NO_NUMBER
    if need == "TEAM_ADMIN" and not (target.user_in_org and target.user_in_team):
        return 403, (f"IsUserInOrgTeam - user with id=({target.user}) is not part of the team with id=({target.team}) in the "
                     f"organization with id=({target.org})")
    if not target.user_in_org:
        return 403, f"IsUserInOrg - user with id={target.user} is not part of the organization with id={target.org}."
    return None
