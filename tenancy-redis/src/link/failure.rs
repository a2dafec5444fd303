//! What has gone wrong, and whether asking again may help.

use redis::{ErrorKind, ServerErrorKind};

use crate::{RedisError, RedisErrorKind};

/// A question that has no answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: RedisError,
    pub(crate) mend: Mend,
}

/// What may help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mend {
    /// Another connection.
    Reconnect,
    /// Waiting a little.
    Wait,
    /// Waiting a little: the slot is on its way between two nodes, or no node has it. The node itself is well.
    Settle,
    /// To give it the script.
    Load,
    /// To ask another node of its cluster, which has the slot: `host:port`.
    Moved(Box<str>),
    /// The same for this time only: the key may be there already.
    Ask(Box<str>),
    /// Nothing: there was too little time left to say whether the server answers.
    Late,
    /// Nothing: the same question has the same answer.
    Nothing,
}

impl Failure {
    pub(crate) fn unavailable(why: &str, mend: Mend) -> Self {
        Self {
            error: RedisError::unavailable(why),
            mend,
        }
    }
}

/// What the driver says, without what it may repeat of keys, values and URLs.
impl From<redis::RedisError> for Failure {
    fn from(error: redis::RedisError) -> Self {
        use RedisErrorKind::{Refused, Unavailable, Unexpected};
        let code = error.code().unwrap_or("ERR").to_owned();
        let says = |what: &str| error.detail().is_some_and(|detail| detail.contains(what));
        let (kind, mend, why) = match error.kind() {
            ErrorKind::Io if error.is_timeout() => {
                (Unavailable, Mend::Reconnect, "no answer in time".to_owned())
            }
            ErrorKind::Io => {
                let why = "the connection is lost or was refused".to_owned();
                (Unavailable, Mend::Reconnect, why)
            }
            ErrorKind::AuthenticationFailed => {
                let why = "it does not know this name and password".to_owned();
                (Refused, Mend::Nothing, why)
            }
            ErrorKind::Server(ServerErrorKind::NoScript) => {
                (Unavailable, Mend::Load, "it has lost the script".to_owned())
            }
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => {
                let why = format!("it is a replica ({code})");
                (Unavailable, Mend::Reconnect, why)
            }
            ErrorKind::Server(kind @ (ServerErrorKind::Moved | ServerErrorKind::Ask)) => {
                let why = "the key is at another node; give this cluster to `RedisClient::cluster`";
                let mend = match error.redirect_node() {
                    Some((node, _)) if kind == ServerErrorKind::Moved => Mend::Moved(node.into()),
                    Some((node, _)) => Mend::Ask(node.into()),
                    None => Mend::Nothing,
                };
                (Refused, mend, why.to_owned())
            }
            ErrorKind::Server(ServerErrorKind::TryAgain) => {
                let why = "not yet: the slot is on its way to another node (TRYAGAIN)";
                (Unavailable, Mend::Settle, why.to_owned())
            }
            ErrorKind::Server(ServerErrorKind::ClusterDown) if says("not served") => {
                let why = "no node of the cluster has the slot (CLUSTERDOWN)";
                (Unavailable, Mend::Settle, why.to_owned())
            }
            ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::ClusterDown) => {
                (Unavailable, Mend::Wait, format!("not yet ({code})"))
            }
            ErrorKind::Server(ServerErrorKind::ResponseError)
                if says("cluster support disabled") =>
            {
                let why = "it is no node of a cluster; give this server to `RedisClient::new`";
                (Refused, Mend::Nothing, why.to_owned())
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                let why = "its ACL forbids a command, key or channel (NOPERM)".to_owned();
                (Refused, Mend::Nothing, why)
            }
            ErrorKind::Server(_) | ErrorKind::Extension if code == "BUSY" => {
                (Unavailable, Mend::Wait, format!("not yet ({code})"))
            }
            ErrorKind::Server(_) | ErrorKind::Extension => {
                (Refused, Mend::Nothing, format!("with the code {code}"))
            }
            ErrorKind::MasterNameNotFoundBySentinel | ErrorKind::EmptySentinelList => {
                let why = "no sentinel knows a master of this name".to_owned();
                (Unavailable, Mend::Reconnect, why)
            }
            ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => {
                let why = error.category().to_owned();
                (Refused, Mend::Nothing, why)
            }
            // Whoever answers garbage may have more of it for this connection.
            ErrorKind::Parse => {
                let why = "it does not speak the protocol of Redis".to_owned();
                (Unexpected, Mend::Reconnect, why)
            }
            _ => (Unexpected, Mend::Reconnect, error.category().to_owned()),
        };
        Self {
            error: RedisError::new(kind, why),
            mend,
        }
    }
}
