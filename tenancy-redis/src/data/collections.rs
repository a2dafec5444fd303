//! What all collections have: a tenant's data, and a name.

/// A collection of a tenant's, and how its commands begin.
macro_rules! collection {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        #[must_use = "it does nothing before it is asked"]
        pub struct $name {
            data: $crate::TenantData,
            name: Vec<u8>,
        }

        impl $name {
            pub(super) fn new(data: &$crate::TenantData, name: impl AsRef<[u8]>) -> Self {
                let (data, name) = (data.clone(), name.as_ref().to_vec());
                Self { data, name }
            }

            #[allow(dead_code, reason = "not each collection has all three kinds of calls")]
            fn read(&self, command: &str) -> super::call::Call {
                super::call::Call::read(command).name(&self.name)
            }

            #[allow(dead_code, reason = "not each collection has all three kinds of calls")]
            fn again(&self, command: &str) -> super::call::Call {
                super::call::Call::again(command).name(&self.name)
            }

            #[allow(dead_code, reason = "not each collection has all three kinds of calls")]
            fn once(&self, command: &str) -> super::call::Call {
                super::call::Call::once(command).name(&self.name)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("data", &self.data)
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use collection;
