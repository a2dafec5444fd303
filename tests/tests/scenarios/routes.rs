//! The routes of the service that the scenarios are played against, as data: both frameworks build
//! their service from this table, and a row that no scenario covers fails.

use tenancy_core::RouteNeeds;

/// Routes that stand together: below a prefix, behind the same layers.
pub(crate) struct Area {
    pub(crate) prefix: &'static str,
    /// What stands around them, innermost first.
    pub(crate) layers: &'static [Layer],
    pub(crate) rows: &'static [Row],
}

/// What stands around an area.
#[derive(Clone, Copy)]
pub(crate) enum Layer {
    /// The tenancy, with what the routes need.
    Tenancy(RouteNeeds),
    /// A guard for this permission.
    Guard(&'static str),
    /// The tenancy of an engine that is built alike and is another.
    TenancyOfAnotherEngine(RouteNeeds),
    /// A guard of an engine that is built alike and is another.
    GuardOfAnotherEngine(&'static str),
}

/// A route.
pub(crate) struct Row {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What a guard on the route requires.
    pub(crate) permission: Option<&'static str>,
    pub(crate) handler: Handler,
}

impl Handler {
    /// Whether the answer is one that can be read to its end.
    pub(crate) const fn answers(self) -> bool {
        !matches!(self, Self::Panicking | Self::Events | Self::Socket)
    }
}

/// What a route does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Handler {
    /// Says how many notes there are.
    Count,
    /// Writes a note.
    Add,
    /// Reads a note by its id.
    Read,
    /// Changes a note by its id.
    Overwrite,
    /// Deletes a note by its id.
    Delete,
    /// Says everything about the context.
    Context,
    /// `Tenant`: says the slug.
    Tenant,
    /// `MaybeTenant`: says the slug or `none`.
    MaybeTenant,
    /// `Principal`: says the kind.
    Principal,
    /// The principal, if there is one.
    MaybePrincipal,
    /// Asks for nothing.
    Open,
    /// `TenantDb`, and says nothing of it.
    Db,
    /// Requires `tenant:manage` by `?`.
    Manage,
    /// Requires a permission that was never declared.
    Undeclared,
    /// Fails in the database.
    Broken,
    /// Fails with an error of the application's own.
    Failing,
    /// Panics while it has a transaction open.
    Panicking,
    /// Streams events until the context has ended.
    Events,
    /// A websocket that counts the notes whenever it is asked, until the context has ended.
    Socket,
}

const fn row(method: &'static str, path: &'static str, handler: Handler) -> Row {
    Row {
        method,
        path,
        permission: None,
        handler,
    }
}

const fn guarded(
    method: &'static str,
    path: &'static str,
    handler: Handler,
    permission: &'static str,
) -> Row {
    Row {
        permission: Some(permission),
        ..row(method, path, handler)
    }
}

const TENANT: Layer = Layer::Tenancy(RouteNeeds::tenant());
const PUBLIC: Layer = Layer::Tenancy(RouteNeeds::tenant().or_anonymous());
const VISITORS: Layer = Layer::Tenancy(
    RouteNeeds::tenant()
        .or_anonymous_if_stale()
        .or_anonymous_if_not_member(),
);
const OPTIONAL: Layer = Layer::Tenancy(RouteNeeds::optional());
const CENTRAL: Layer = Layer::Tenancy(RouteNeeds::central());

const EXTRACTORS: &[Row] = &[
    row("GET", "/tenant", Handler::Tenant),
    row("GET", "/maybe-tenant", Handler::MaybeTenant),
    row("GET", "/principal", Handler::Principal),
    row("GET", "/maybe-principal", Handler::MaybePrincipal),
    row("GET", "/db", Handler::Db),
    row("GET", "/open", Handler::Open),
    guarded("GET", "/guarded", Handler::Open, "notes:read"),
];

/// Every route.
pub(crate) const AREAS: &[Area] = &[
    Area {
        prefix: "/app",
        layers: &[TENANT],
        rows: &[
            guarded("GET", "/notes", Handler::Count, "notes:read"),
            guarded("POST", "/notes", Handler::Add, "notes:write"),
            row("GET", "/notes/{id}", Handler::Read),
            guarded("PUT", "/notes/{id}", Handler::Overwrite, "notes:write"),
            guarded("DELETE", "/notes/{id}", Handler::Delete, "notes:write"),
            row("GET", "/context", Handler::Context),
            row("POST", "/manage", Handler::Manage),
            row("GET", "/undeclared", Handler::Undeclared),
            row("GET", "/broken", Handler::Broken),
            row("GET", "/failing", Handler::Failing),
            row("GET", "/panicking", Handler::Panicking),
            row("GET", "/events", Handler::Events),
            row("GET", "/socket", Handler::Socket),
        ],
    },
    Area {
        prefix: "/required",
        layers: &[TENANT],
        rows: EXTRACTORS,
    },
    Area {
        prefix: "/public",
        layers: &[PUBLIC],
        rows: EXTRACTORS,
    },
    Area {
        prefix: "/visitors",
        layers: &[VISITORS],
        rows: &[
            row("GET", "/maybe-principal", Handler::MaybePrincipal),
            row("POST", "/open", Handler::Open),
        ],
    },
    Area {
        prefix: "/strict-in-visitors",
        layers: &[TENANT, VISITORS],
        rows: &[row("GET", "/tenant", Handler::Tenant)],
    },
    Area {
        prefix: "/public-in-visitors",
        layers: &[PUBLIC, VISITORS],
        rows: &[row("GET", "/maybe-principal", Handler::MaybePrincipal)],
    },
    Area {
        prefix: "/optional",
        layers: &[OPTIONAL],
        rows: EXTRACTORS,
    },
    Area {
        prefix: "/central",
        layers: &[CENTRAL],
        rows: EXTRACTORS,
    },
    Area {
        prefix: "/account",
        layers: &[CENTRAL],
        rows: &[
            row("POST", "/open", Handler::Open),
            row("GET", "/principal", Handler::Principal),
        ],
    },
    Area {
        prefix: "/uncovered",
        layers: &[],
        rows: EXTRACTORS,
    },
    Area {
        prefix: "/t/{tenant}",
        layers: &[TENANT],
        rows: &[guarded("GET", "/notes", Handler::Count, "notes:read")],
    },
    Area {
        prefix: "/strict-in-optional",
        layers: &[TENANT, OPTIONAL],
        rows: &[row("GET", "/tenant", Handler::Tenant)],
    },
    Area {
        prefix: "/strict-in-public",
        layers: &[TENANT, PUBLIC],
        rows: &[row("GET", "/tenant", Handler::Tenant)],
    },
    Area {
        prefix: "/strict-in-central",
        layers: &[TENANT, CENTRAL],
        rows: &[row("GET", "/tenant", Handler::Tenant)],
    },
    Area {
        prefix: "/central-in-strict",
        layers: &[CENTRAL, TENANT],
        rows: &[
            row("GET", "/tenant", Handler::Tenant),
            row("GET", "/principal", Handler::Principal),
        ],
    },
    Area {
        prefix: "/guarded",
        layers: &[Layer::Guard("tenant:manage"), TENANT],
        rows: &[row("GET", "/tenant", Handler::Tenant)],
    },
    Area {
        prefix: "/inside-another-engine",
        layers: &[
            Layer::Guard("notes:read"),
            TENANT,
            Layer::TenancyOfAnotherEngine(RouteNeeds::tenant()),
        ],
        rows: &[row("GET", "/tenant", Handler::Tenant)],
    },
    Area {
        prefix: "/guard-outside",
        layers: &[TENANT, Layer::Guard("notes:read")],
        rows: &[row("GET", "/tenant", Handler::Tenant)],
    },
    Area {
        prefix: "/guard-of-another-engine",
        layers: &[Layer::GuardOfAnotherEngine("notes:read"), TENANT],
        rows: &[row("GET", "/tenant", Handler::Tenant)],
    },
];

/// The service that one layer covers as a whole.
pub(crate) const COVERED: &[Area] = &[Area {
    prefix: "",
    layers: &[TENANT],
    rows: &[row("GET", "/notes", Handler::Count)],
}];

/// What a scenario calls a route: its method and whole path.
pub(crate) fn name(area: &Area, row: &Row) -> String {
    format!("{} {}{}", row.method, area.prefix, row.path)
}
