//! actix-cors around the inner service, with the policy's lists in the policy's order.

use std::rc::Rc;

use actix_cors::CorsMiddleware;
use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderMap, HeaderValue,
    },
};
use tenancy_core::CorsPolicy;

use crate::{answer::Answered, fields::change};

/// Adds the fields of CORS for an allowed origin.
#[derive(Debug)]
pub(super) struct Marking<S> {
    cors: CorsMiddleware<Rc<S>>,
    lists: Rc<Lists>,
}

#[derive(Debug)]
struct Lists {
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
}

impl<S> Marking<S> {
    pub(super) fn new(cors: CorsMiddleware<Rc<S>>, policy: &CorsPolicy) -> Self {
        let lists = Lists {
            methods: list(policy.allowed_methods()),
            headers: list(policy.allowed_headers()),
            exposed: list(policy.exposed_headers()),
        };
        Self {
            cors,
            lists: Rc::new(lists),
        }
    }

    /// Answers a preflight, or passes another request on.
    pub(super) fn call<B>(
        &self,
        request: ServiceRequest,
        preflight: bool,
    ) -> impl Future<Output = Answered<B>> + use<S, B>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
        B: MessageBody + 'static,
    {
        let response = self.cors.call(request);
        let lists = Rc::clone(&self.lists);
        async move { change(response.await, move |headers| lists.add(headers, preflight)) }
    }
}

impl Lists {
    fn add(&self, headers: &mut HeaderMap, preflight: bool) {
        let mut set = |name, value: &Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        };
        if preflight {
            set(ACCESS_CONTROL_ALLOW_METHODS, &self.methods);
            set(ACCESS_CONTROL_ALLOW_HEADERS, &self.headers);
        } else {
            set(ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed);
        }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let names: Vec<&str> = names.collect();
    HeaderValue::from_str(&names.join(",")).ok()
}
